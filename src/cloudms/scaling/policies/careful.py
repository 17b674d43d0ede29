"""What was not measured is never taken for little: how a policy reads a level in which members are missing."""

from __future__ import annotations

from collections.abc import Callable

from cloudms.scaling.base import METRICS, Level
from cloudms.scaling.reading import Section


def count(level: Level, size: int, needed: Callable[[float, int], float]) -> float:
    """Return the members that a level needs.

    On the way out only members that vote count; on the way in all that share the load do, and what was not measured is
    taken to be at its limit. Parameters: `needed`, the members that a value of the metric calls for at so many members.
    """
    more = needed(level.value, level.voting)
    if more >= size:
        return more
    found = max(more, needed(level.value, level.sharing))
    if level.measured < level.of:
        found = max(found, float(size) if level.worst is None else needed(level.worst, level.sharing))
    return min(found, float(size))


def metric_of(settings: Section, default: str) -> str:
    """Return the metric of the settings. Raises: Invalid."""
    return settings.choice("metric", tuple(METRICS), default)
