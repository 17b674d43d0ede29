"""Time zones of settings; UTC is known also where the system has no time zones installed."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudms.scaling.reading import Section


def zone(name: str) -> tzinfo:
    """Return the time zone of a name that `zone_of` has read."""
    return UTC if name == "UTC" else ZoneInfo(name)


def zone_of(settings: Section) -> str:
    """Return the time zone that settings name. Raises: Invalid."""
    name = settings.text("zone", "UTC")
    try:
        zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "for instance: zone: Europe/Berlin (the package tzdata has them)"
        raise settings.wrong(f"is '{name[:60]}', which is no time zone", hint, "zone") from None
    return name
