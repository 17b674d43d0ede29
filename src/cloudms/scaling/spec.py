"""What a group scales by: its policies, its limits, and what its controller needs; the YAML of `group policy set`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from cloudms import registry, units
from cloudms.errors import Invalid, NotFound
from cloudms.record import Record
from cloudms.scaling.base import Policy
from cloudms.scaling.reading import Section

WAYS_IN: Mapping[str, str] = {
    "suspend": "keep it frozen in memory; back in a third of a second",
    "save": "keep its memory on disk; back in a second",
    "stop": "shut it down and keep its disk",
    "delete": "delete it with its disk",
}
"""What becomes of a member that is taken out."""

KEYS = (
    "policies", "min", "max", "interval", "tolerance", "stabilisation", "rates", "cooldown", "warm_up", "max_cost",
    "replace", "drain", "on_in", "standby", "hooks", "sources", "balancer",
)  # fmt: skip


class Rate(Record):
    """At most `count` members (or `count` percent of them) may be added or taken out within `per` seconds."""

    count: float
    per: float
    percent: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return it as YAML has it."""
        return {"percent" if self.percent else "members": _short(self.count), "per": f"{units.plain(self.per)}s"}


class ScalingSpec(Record):
    """How a group scales. Times are seconds.

    `min` and `max` bound the size; `tolerance` is the part (0.1 is 10 %) by which a wish may differ from the size
    without being followed. `stabilise_up` and `stabilise_down` are the windows whose most careful wish counts;
    `rate_up` and `rate_down` how fast it may go; `cooldown_up` and `cooldown_down` the rest after a change; `warm_up`
    how long a new member does not vote; `max_cost` what the group may cost per hour (0: no ceiling). `replace` is how
    many sick members may be replaced within `replace_per`. `drain` is how long a member that goes may end its requests,
    `on_in` what becomes of it (one of WAYS_IN), `standby` how many are kept ready. `hooks`, `sources` and `balancer`
    are settings that the controller, the metric sources and the balancer read. `interval` is from look to look.
    """

    policies: tuple[Policy, ...] = ()
    min: int = 1
    max: int = 10
    interval: float = 15.0
    tolerance: float = 0.1
    stabilise_up: float = 0.0
    stabilise_down: float = 300.0
    rate_up: tuple[Rate, ...] = ()
    rate_down: tuple[Rate, ...] = ()
    cooldown_up: float = 0.0
    cooldown_down: float = 0.0
    warm_up: float = 0.0
    max_cost: float = 0.0
    replace: int = 1
    replace_per: float = 60.0
    drain: float = 30.0
    on_in: str = "suspend"
    standby: int = 0
    hooks: Mapping[str, Any] = {}
    sources: Mapping[str, Any] = {}
    balancer: Mapping[str, Any] = {}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the specification of a plain dict, as YAML or JSON has it. Raises: Invalid, naming the setting."""
        top = Section(plain)
        top.known(*KEYS)
        least = top.whole("min", 1)
        most = top.whole("max", max(least, 10), least=1)
        if least > most:
            raise top.wrong(f"is {least}, and max is {most}", "min is at most as large as max", "min")
        two_ways = {key: _two_ways(top.section(key)) for key in ("stabilisation", "rates", "cooldown")}
        stabilisation, rates, cooldown = two_ways.values()
        return cls(
            policies=_policies(top),
            min=least,
            max=most,
            interval=top.seconds("interval", 15.0, least=0.1),
            tolerance=top.percent("tolerance", 10.0) / 100,
            stabilise_up=stabilisation.seconds("up", 0.0),
            stabilise_down=stabilisation.seconds("down", 300.0),
            rate_up=_rates(rates, "up"),
            rate_down=_rates(rates, "down"),
            cooldown_up=cooldown.seconds("up", 0.0),
            cooldown_down=cooldown.seconds("down", 0.0),
            warm_up=top.seconds("warm_up", 0.0),
            max_cost=top.number("max_cost", 0.0),
            **_replace(top.section("replace")),
            drain=top.seconds("drain", 30.0),
            on_in=top.choice("on_in", tuple(WAYS_IN), "suspend"),
            standby=top.whole("standby", 0),
            hooks=top.plain_of("hooks"),
            sources=top.plain_of("sources"),
            balancer=top.plain_of("balancer"),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return it as `from_plain` takes it: JSON values, times as people write them."""
        rates = {"up": self.rate_up, "down": self.rate_down}
        plain: dict[str, Any] = {
            "policies": [{"kind": each.kind, **each.to_plain()} for each in self.policies],
            "min": self.min,
            "max": self.max,
            "interval": f"{units.plain(self.interval)}s",
            "tolerance": f"{units.plain(self.tolerance * 100)}%",
            "stabilisation": {
                "up": f"{units.plain(self.stabilise_up)}s",
                "down": f"{units.plain(self.stabilise_down)}s",
            },
            "rates": {way: [rate.to_plain() for rate in found] for way, found in rates.items() if found},
            "cooldown": _times(up=self.cooldown_up, down=self.cooldown_down),
            "warm_up": f"{units.plain(self.warm_up)}s",
            "max_cost": _short(self.max_cost),
            "replace": {"members": self.replace, "per": f"{units.plain(self.replace_per)}s"},
            "drain": f"{units.plain(self.drain)}s",
            "on_in": self.on_in,
            "standby": self.standby,
        }
        sections = {"hooks": self.hooks, "sources": self.sources, "balancer": self.balancer}
        return plain | {name: dict(section) for name, section in sections.items() if section}

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values: the plain form."""
        return self.to_plain()

    @classmethod
    def from_document(cls, document: Any) -> Self:
        """Return the specification of a stored document."""
        return cls.from_plain({key: value for key, value in document.items() if key in KEYS})

    @property
    def window(self) -> float:
        """Return the seconds of samples that `decide` wants to see: the longest window, and a little more."""
        return max((policy.window for policy in self.policies), default=0.0) + 2 * self.interval

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that the policies look at."""
        return tuple(dict.fromkeys(metric for policy in self.policies for metric in policy.metrics))


def _two_ways(section: Section) -> Section:
    section.known("up", "down")
    return section


def _policies(top: Section) -> tuple[Policy, ...]:
    found = tuple(_policy(each) for each in top.sections("policies"))
    names = [policy.name for policy in found]
    for name in names:
        if names.count(name) > 1:
            raise top.wrong(f"has two called '{name}'", "give one of them another name: another", "policies")
    return found


def _policy(section: Section) -> Policy:
    kind = section.text("kind")
    try:
        cls = registry.load("cloudms.policies", kind)
    except NotFound as error:
        raise section.wrong(f"cannot be '{kind[:60]}'", error.hint, "kind") from None
    try:
        found: Policy = cls.from_plain({key: value for key, value in section.plain.items() if key != "kind"})
    except Invalid as error:  # the policy knows its settings, and not where it stands
        path = [*section.path, *error.details.get("path", ())]
        place = ".".join(section.path)
        raise Invalid(f"{place}: {error.message}", hint=error.hint, details={"path": path}) from None
    return found


def _rates(section: Section, way: str) -> tuple[Rate, ...]:
    found = []
    for each in section.sections(way):
        each.known("members", "percent", "per")
        percent = "percent" in each.plain
        if percent == ("members" in each.plain):
            raise each.wrong("is no rate", "for instance: {members: 2, per: 1m} or {percent: 50, per: 1m}")
        count = each.percent("percent", 100.0, most=10_000) if percent else float(each.whole("members", least=1))
        found.append(Rate(count=count, per=each.seconds("per", least=1.0), percent=percent))
    return tuple(found)


def _replace(section: Section) -> dict[str, Any]:
    section.known("members", "per")
    return {"replace": section.whole("members", 1), "replace_per": section.seconds("per", 60.0)}


def _short(number: float) -> float:
    rounded = round(number, 9)
    return int(rounded) if rounded == int(rounded) else rounded


def _times(**seconds: float) -> dict[str, str]:
    return {name: f"{units.plain(value)}s" for name, value in seconds.items()}
