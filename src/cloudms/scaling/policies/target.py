"""Target tracking: as many members as bring a metric to its target (the ratio rule)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.scaling.base import TOTALS, Silence, View, Wish
from cloudms.scaling.policies import careful
from cloudms.scaling.reading import Section
from cloudms.scaling.words import span, value_of


class Target(careful.OneMetric):
    """`value` is what a member shall have: percent, seconds, or its part of what is a total of the group.

    Two members at 90 % with a target of 60 % call for 2 x 90 / 60 = 3. With several of these in a group, one for each
    metric, the largest number wins.
    """

    kind: ClassVar[str] = "target"

    value: float
    window: float = 60.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "metric", "value", "window")
        return cls(
            metric=careful.metric_of(settings, "cpu"),
            value=settings.number("value", above=0.0),
            window=settings.seconds("window", 60.0, least=1.0),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        plain = {"metric": self.metric, "value": self.value, "window": f"{units.plain(self.window)}s"}
        return self.labelled(plain)

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return what divides the load into parts of the target."""
        level = observed.level(self.metric, self.window)
        if isinstance(level, Silence):
            return level
        total = level.total
        count = careful.count(level, size, lambda value, members: (value if total else members * value) / self.value)
        kind = "in all" if self.metric in TOTALS else "on average"
        told = (
            f"{self.metric} is {value_of(self.metric, level.value)} {kind} over {span(self.window)}{level.partly}, "
            f"and a member shall have {value_of(self.metric, self.value)}"
        )
        return Wish(count=count, reason=told, metric=self.metric, value=level.value)
