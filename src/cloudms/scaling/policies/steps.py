"""Steps: the further a metric is from where it should be, the more members at once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import inf
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.errors import Invalid
from cloudms.record import Record
from cloudms.scaling.base import Silence, View, Wish
from cloudms.scaling.policies import careful
from cloudms.scaling.reading import Section
from cloudms.scaling.words import count_of, number, span, value_of

EXAMPLE = "for instance: {from: 70, to: 90, add: 1} or {to: 30, remove: 1}"


class Step(Record):
    """From a value of `low` on and below `high`: `change` members (or percent of them) more, fewer below 0."""

    low: float = -inf
    high: float = inf
    change: float = 0.0
    percent: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return it as YAML has it."""
        bounds = {"from": self.low, "to": self.high}
        plain: dict[str, Any] = {word: value for word, value in bounds.items() if abs(value) != inf}
        amount = abs(self.change)
        word = "add" if self.change > 0 else "remove"
        return plain | {word: f"{units.plain(amount)}%" if self.percent else int(amount)}


class Steps(careful.OneMetric):
    """`steps` do not overlap; between them nothing changes."""

    kind: ClassVar[str] = "steps"

    steps: tuple[Step, ...]
    window: float = 60.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "metric", "window", "steps")
        steps = sorted((_step(each) for each in settings.sections("steps")), key=lambda step: step.low)
        if not steps:
            raise settings.wrong("has no step", EXAMPLE, "steps")
        for one, next_one in pairwise(steps):
            if one.high > next_one.low:
                raise settings.wrong(f"overlap at {next_one.low:g}", "let one end where the next begins", "steps")
        return cls(
            metric=careful.metric_of(settings, "cpu"),
            steps=tuple(steps),
            window=settings.seconds("window", 60.0, least=1.0),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        plain = {"metric": self.metric, "steps": [step.to_plain() for step in self.steps]}
        plain["window"] = f"{units.plain(self.window)}s"
        return self.labelled(plain)

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return the voters and what the step of the present value adds or removes."""
        level = observed.level(self.metric, self.window)
        if isinstance(level, Silence):
            return level
        count = careful.count(level, size, lambda value, members: self._count(value, members, size))
        step = self._at(level.value)
        told = f"{self.metric} is {value_of(self.metric, level.value)} over {span(self.window)}{level.partly}"
        told += ", between the steps" if step is None else f", the step that {self._says(step)}"
        return Wish(count=count, reason=told, metric=self.metric, value=level.value, exact=True)

    def _at(self, value: float) -> Step | None:
        return next((step for step in self.steps if step.low <= value < step.high), None)

    def _count(self, value: float, members: int, size: int) -> float:
        step = self._at(value)
        if step is None:
            return size
        amount = step.change * members / 100 if step.percent else step.change
        if step.percent and abs(amount) < 1:
            amount = 1.0 if step.change > 0 else -1.0
        count = members + amount
        return max(count, size) if step.change > 0 else max(min(count, size), 0)

    def _says(self, step: Step) -> str:
        word, amount = ("adds", step.change) if step.change > 0 else ("takes out", -step.change)
        return f"{word} {number(amount)}%" if step.percent else f"{word} {count_of(amount, 'member')}"


def _step(section: Section) -> Step:
    section.known("from", "to", "add", "remove")
    if ("add" in section.plain) == ("remove" in section.plain):
        raise section.wrong("neither adds nor removes, or both", EXAMPLE)
    word = "add" if "add" in section.plain else "remove"
    percent = str(section.plain[word]).strip().endswith("%")
    amount = section.percent(word, 0.0, most=10_000) if percent else float(section.whole(word, least=1))
    if not round(amount, 9):
        raise section.wrong("is nothing", EXAMPLE, word)
    low = section.number("from", -inf) if "from" in section.plain else -inf
    high = section.number("to", inf) if "to" in section.plain else inf
    if low >= high or (low == -inf and high == inf):
        raise Invalid("a step has no beginning before its end", hint=EXAMPLE, details={"path": list(section.path)})
    return Step(low=low, high=high, change=amount if word == "add" else -amount, percent=percent)
