"""Durations and sizes as people write them."""

from __future__ import annotations

import re

from cloudms.errors import Invalid

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 100 * 366 * 86400.0
"""Seconds that a duration may have, so that its end is a date that can be printed."""


def duration(text: object) -> float:
    """Return the seconds of `90`, `90s`, `15m`, `8h`, `1d12h` or `2w`; 0 for `never`. Raises: Invalid."""
    plain = str(text).strip().lower()
    if plain in ("never", "none", "0"):
        return 0.0
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain.replace(" ", ""):
        raise Invalid(f"'{str(text)[:60]}' is not a duration", hint="for instance 90s, 15m, 8h, 2d or never")
    seconds = sum(float(number) * _SECONDS[unit or "s"] for number, unit in parts)
    if seconds > _LONGEST:
        raise Invalid(f"'{str(text)[:60]}' is longer than a century", hint="never is a duration, too")
    return seconds


def plain(count: float) -> str:
    """Return a number as people write it, to nine digits after the point and never with an exponent: 90, 0.5."""
    return f"{count:.9f}".rstrip("0").rstrip(".")


def size(count: float) -> str:
    """Return a number of bytes for people: 340 MiB, 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
