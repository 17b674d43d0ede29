"""A threshold that is passed over a whole window: one member more; one fewer when the load fits on the others."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.scaling.base import Level, Silence, View, Wish
from cloudms.scaling.policies import careful
from cloudms.scaling.reading import Section
from cloudms.scaling.words import count_of, span, value_of


class Threshold(careful.OneMetric):
    """`add` members more when the mean is above `above`; `remove` fewer when the mean of those that stay is below it.

    With `below` the mean of all must be below that, too.
    """

    kind: ClassVar[str] = "threshold"

    metric: str = "cpu"
    above: float = 80.0
    below: float = 0.0
    window: float = 30.0
    add: int = 1
    remove: int = 1

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "metric", "above", "below", "window", "add", "remove")
        above = settings.number("above", 80.0, above=0.0)
        below = settings.number("below", 0.0)
        if below > above:
            raise settings.wrong(f"is {below:g}, and above is {above:g}", "below is the lower of the two", "below")
        return cls(
            metric=careful.metric_of(settings, "cpu"),
            above=above,
            below=below,
            window=settings.seconds("window", 30.0, least=1.0),
            add=settings.whole("add", 1, least=1),
            remove=settings.whole("remove", 1),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        plain: dict[str, Any] = {"metric": self.metric, "above": self.above}
        plain |= {"below": self.below} if self.below else {}
        plain |= {"window": f"{units.plain(self.window)}s", "add": self.add, "remove": self.remove}
        return self.labelled(plain)

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return the voters and `add`, the voters less `remove`, or the size as it is."""
        level = observed.level(self.metric, self.window, sustained=True)
        if isinstance(level, Silence):
            return level
        if not level.voting:
            return Silence(metric=self.metric, reason="no member votes yet")
        mean = level.value / level.voting if level.total else level.value
        told = f"{self.metric} was {value_of(self.metric, mean)} over {span(self.window)}{level.partly}"
        count, why = self._count(level, mean, size)
        return Wish(count=count, reason=told + why, metric=self.metric, value=level.value, exact=True)

    def _count(self, level: Level, mean: float, size: int) -> tuple[int, str]:
        limit = value_of(self.metric, self.above)
        if mean > self.above:
            return max(level.voting + self.add, size), f", above {limit}"
        stay = level.sharing - self.remove
        fits = self.remove > 0 and 0 < stay < size and self._load(level) < self.above * stay
        if fits and (not self.below or mean < self.below):
            return stay, f", which fits on {count_of(stay, 'member')} below {limit}"
        low = f", and not below {value_of(self.metric, self.below)}" if fits else ""
        return size, f", not above {limit}{low}"

    @staticmethod
    def _load(level: Level) -> float:
        """Return what those that stay would have to carry together, at worst."""
        value = level.value if level.measured >= level.of else level.worst
        if value is None:
            return inf
        return value if level.total else value * level.sharing
