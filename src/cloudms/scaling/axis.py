"""Round numbers and times for the axes of drawings."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor, log10

_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)


def values(top: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers from 0 to at most `top`."""
    rough = top / max(count, 1)
    size = 10.0 ** floor(log10(rough)) if rough > 0 else 1.0
    step = next(size * each for each in (1, 2, 2.5, 5, 10) if size * each >= rough * 0.999)
    return [step * number for number in range(int(top / step + 1e-9) + 1)]


def whole(top: float, count: int = 4) -> list[float]:
    """Return about `count` whole numbers from 0 to at most `top`."""
    found = [value for value in values(top, count) if value == int(value)]
    return found if len(found) > 1 else [0.0, float(max(int(top), 1))]


def times(begin: float, end: float, count: int = 8) -> list[tuple[float, str]]:
    """Return about `count` round times between two (epoch seconds), each with its text (UTC)."""
    rough = (end - begin) / max(count, 1)
    step = next((each for each in _TIMES if each >= rough), _TIMES[-1])
    first = -(-begin // step) * step
    found = [first + step * number for number in range(int((end - first) / step + 1e-9) + 1)]
    return [(at, _text(at, step)) for at in found]


def _text(at: float, step: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if step >= 86400:
        return f"{when:%b %d}"
    return f"{when:%H:%M}" if step >= 60 else f"{when:%H:%M:%S}"
