"""Times as OpenStack's services write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def seconds(value: Any) -> float | None:
    """Return a time, UTC with or without saying so, in epoch seconds; None when it is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def whole(value: Any) -> float | None:
    """Return a time in whole epoch seconds: Cinder tells parts of them only in its first answer."""
    found = seconds(value)
    return None if found is None else float(int(found))
