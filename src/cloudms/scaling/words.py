"""How sentences about scaling spell numbers, times and members."""

from __future__ import annotations

from cloudms.scaling.base import METRICS

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def span(seconds: float) -> str:
    """Return a duration: 30s, 5m, 1h30m, 1.5s."""
    if seconds < 60:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
    rest, told = round(seconds), ""
    for size, unit in _UNITS:
        if rest >= size:
            told += f"{rest // size}{unit}"
            rest %= size
    return told + (f"{rest}s" if rest else "")


def count_of(count: float, noun: str) -> str:
    """Return a number with its noun: 1 member, 3 members, 2.4 members."""
    return f"{number(count)} {noun}" + ("" if count == 1 else "s")


def number(value: float) -> str:
    """Return a number with as many digits as say something: 92, 7.25, 0.031."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def value_of(metric: str, value: float) -> str:
    """Return a value in the unit of its metric: 92%, 0.2s, 340/s, 12."""
    unit = METRICS.get(metric, "")
    if unit.startswith("%"):
        return f"{value:.0f}%" if value >= 10 or value == 0 else f"{value:.1f}%"
    if unit.startswith("seconds"):
        return f"{number(value)}s"
    return f"{number(value)}/s" if metric == "requests" else number(value)


def listed(names: tuple[str, ...] | list[str], most: int = 5) -> str:
    """Return names in a sentence: a, b and 3 more."""
    if len(names) <= most:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])
    return f"{', '.join(names[:most])} and {len(names) - most} more"
