"""Prediction: what the day (or the week) usually brings is there before the load comes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.scaling.base import Level, Silence, View, Wish
from cloudms.scaling.policies import careful
from cloudms.scaling.reading import Section
from cloudms.scaling.words import number, span, value_of
from cloudms.scaling.zones import zone, zone_of

PERIODS = {"day": 86400.0, "week": 7 * 86400.0}
LEARNED = 0.5
"""How much the newest day counts against all before it."""
LEAST, MOST = 0.5, 2.0
"""How far today may be below and above the usual before that is no longer believed."""


class Predictive(careful.OneMetric):
    """Learns the load of each `slot` of a `period` (day or week, in `zone`) and has the members for it `ahead`.

    `value` is what a member shall have of the metric, as in target tracking; `margin` (0.1 is 10 %) what is added to
    the prediction. It never asks for fewer members than the load calls for now.
    """

    kind: ClassVar[str] = "predictive"

    value: float
    ahead: float = 600.0
    slot: float = 300.0
    period: str = "day"
    zone: str = "UTC"
    margin: float = 0.1
    window: float = 60.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "metric", "value", "ahead", "slot", "period", "zone", "margin", "window")
        slot = settings.seconds("slot", 300.0, least=60.0)
        if 86400 % slot:
            raise settings.wrong(f"is {span(slot)}, which does not divide a day", "for instance: slot: 5m", "slot")
        return cls(
            metric=careful.metric_of(settings, "requests"),
            value=settings.number("value", above=0.0),
            ahead=settings.seconds("ahead", 600.0),
            slot=slot,
            period=settings.choice("period", tuple(PERIODS), "day"),
            zone=zone_of(settings),
            margin=settings.percent("margin", 10.0) / 100,
            window=settings.seconds("window", 60.0, least=1.0),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        times = {"ahead": self.ahead, "slot": self.slot, "window": self.window}
        plain: dict[str, Any] = {"metric": self.metric, "value": self.value, "period": self.period, "zone": self.zone}
        plain |= {word: f"{units.plain(value)}s" for word, value in times.items()}
        plain["margin"] = f"{units.plain(self.margin * 100)}%"
        return self.labelled(plain)

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return what the load calls for now, or what it usually does `ahead`, whichever is more."""
        level = observed.level(self.metric, self.window)
        if isinstance(level, Silence):
            return level
        load = self._load(level)
        told = f"the load is {self._says(load)} now{level.partly}"
        expected = self._expected(observed, load)
        if expected is None:
            told += f", and nothing is known yet of what comes within {span(self.ahead)}"
        else:
            told += f", and about {self._says(expected)} is usual within {span(self.ahead)}"
        total, floor = level.total, expected or 0.0
        count = careful.count(
            level, size, lambda value, members: max(value if total else members * value, floor) / self.value
        )
        return Wish(count=count, reason=told, metric=self.metric, value=level.value)

    def learn(self, observed: View, memory: Any) -> Any:
        """Return what is known of the slots, given what was: the mean of the present one, and those that are over."""
        level = observed.level(self.metric, self.window)
        known = memory if isinstance(memory, Mapping) and memory.get("slot") == self.slot else {}
        if isinstance(level, Silence):
            return known or memory
        begin = observed.now - self._second(observed.now) % self.slot
        place, load = self._place(observed.now), self._load(level)
        slots = dict(known.get("slots", {}))
        last = known.get("last")
        if last and last["begin"] == begin:
            last = {**last, "sum": last["sum"] + load, "count": last["count"] + 1}
        else:
            if last:
                key, mean = str(last["place"]), last["sum"] / last["count"]
                slots[key] = round(mean if key not in slots else slots[key] + LEARNED * (mean - slots[key]), 6)
            last = {"begin": begin, "place": place, "sum": load, "count": 1}
        return {"slot": self.slot, "slots": slots, "last": last}

    def _expected(self, observed: View, load: float) -> float | None:
        """Return the most that is usual until `ahead`, as far as today is like other days; None: nothing is known."""
        memory = observed.memory.get(self.name)
        slots = memory.get("slots", {}) if isinstance(memory, Mapping) and memory.get("slot") == self.slot else {}
        looks = [observed.now + step * self.slot for step in range(1, int(self.ahead // self.slot) + 1)]
        coming = [slots[key] for at in (*looks, observed.now + self.ahead) if (key := str(self._place(at))) in slots]
        if not coming:
            return None
        here = slots.get(str(self._place(observed.now)), 0.0)
        today = min(max(load / here, LEAST), MOST) if here else 1.0
        return float(max(coming) * today * (1 + self.margin))

    def _load(self, level: Level) -> float:
        """Return the load of the whole group, in the unit of the metric."""
        return level.value if level.total else level.value * level.voting

    def _says(self, load: float) -> str:
        return (
            value_of(self.metric, load) if self.metric == "requests" else f"{number(load / self.value)} members' worth"
        )

    def _second(self, at: float) -> float:
        """Return how many seconds of the local day have passed."""
        here = datetime.fromtimestamp(at, zone(self.zone))
        return here.hour * 3600 + here.minute * 60 + here.second + here.microsecond / 1e6

    def _place(self, at: float) -> int:
        day = datetime.fromtimestamp(at, zone(self.zone)).weekday() if self.period == "week" else 0
        return int((day * 86400 + self._second(at)) // self.slot)
