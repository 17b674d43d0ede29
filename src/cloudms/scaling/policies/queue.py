"""Queue: the members that are busy, and enough more for what waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.record import Record
from cloudms.scaling.base import Level, Silence, View, Wish
from cloudms.scaling.policies import careful
from cloudms.scaling.reading import Section
from cloudms.scaling.words import count_of, number, span, value_of


class Queue(Record):
    """`per_member` is how many waiting requests (or tasks) call for one member more.

    That is best what a member gets done in the time that a request may wait. How busy the members are is read from the
    metric `busy`, and as many are wanted as make it `busy` percent; where nobody measures it, all are taken for busy
    while something waits, and one fewer is tried when nothing has waited over the whole window.
    """

    kind: ClassVar[str] = "queue"

    metric: str = "queue"
    per_member: float = 4.0
    busy: float = 80.0
    window: float = 30.0
    label: str = ""

    @property
    def name(self) -> str:
        """Return how sentences call it."""
        return self.label or ("queue" if self.metric == "queue" else f"queue {self.metric}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that it looks at."""
        return (self.metric, "busy")

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "metric", "per_member", "busy", "window")
        return cls(
            metric=settings.choice("metric", ("queue", "tasks"), "queue"),
            per_member=settings.number("per_member", 4.0, above=0.0),
            busy=_busy(settings),
            window=settings.seconds("window", 30.0, least=1.0),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        plain: dict[str, Any] = {
            "metric": self.metric,
            "per_member": self.per_member,
            "busy": f"{units.plain(self.busy)}%",
        }
        plain["window"] = f"{units.plain(self.window)}s"
        return plain | ({"name": self.label} if self.label else {})

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return those that are busy and those that the queue calls for."""
        level = observed.level(self.metric, self.window)
        if isinstance(level, Silence):
            return level
        busy = observed.level("busy", self.window)
        if isinstance(busy, Silence):
            return self._unknown(level, size)
        full = careful.count(busy, size, lambda value, members: members * value / self.busy)
        count = careful.count(level, size, lambda waiting, _members: full + waiting / self.per_member)
        are = "is" if busy.voting == 1 else "are"
        told = f"{count_of(busy.voting, 'member')} {are} {value_of('busy', busy.value)} busy{busy.partly}"
        return Wish(count=count, reason=told + self._waiting(level), metric=self.metric, value=level.value)

    def _unknown(self, level: Level, size: int) -> Wish:
        """Return what the queue alone calls for."""
        if level.value > 0 or not level.voting:
            count = max(level.voting + level.value / self.per_member, 0.0 if not level.voting else float(size))
            told = f"{count_of(level.voting, 'member')} may be busy{self._waiting(level)}"
        else:
            count = float(min(level.sharing - 1, size))
            told = f"nothing has waited for {span(self.window)}, and nobody measures who is busy: one fewer is tried"
        return Wish(count=count, reason=told, metric=self.metric, value=level.value)

    def _waiting(self, level: Level) -> str:
        told = f", and {value_of(self.metric, level.value)} waited over {span(self.window)}{level.partly}"
        return f"{told}: {number(self.per_member)} for each member more"


def _busy(settings: Section) -> float:
    found = settings.percent("busy", 80.0)
    if not found:
        raise settings.wrong("is 0", "it is more, for instance: busy: 80%", "busy")
    return found
