"""What policies of one metric share; and how they read a level: what was not measured is never taken for little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from cloudms.record import Record
from cloudms.scaling.base import METRICS, Level
from cloudms.scaling.reading import Section


class OneMetric(Record):
    """A policy that looks at one metric; `label` is the name that a person gave it."""

    kind: ClassVar[str]

    metric: str
    label: str = ""

    @property
    def name(self) -> str:
        """Return how sentences call it."""
        return self.label or f"{self.kind} {self.metric}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metric that it looks at."""
        return (self.metric,)

    def labelled(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings as YAML has them, with the name where one was given."""
        return {**plain, "name": self.label} if self.label else dict(plain)


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
