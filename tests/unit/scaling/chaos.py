"""Random groups under random loads, faults and clocks, and what must hold for every one of their decisions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from cloudms.scaling.base import Decision, LoopState, MemberState, Observed, Sample
from cloudms.scaling.decide import decide
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.world import Machine, World

START = 1_782_900_000.0
INTERVAL = 15.0

metrics = st.sampled_from(["cpu", "busy", "requests", "latency", "queue"])
whens = st.sampled_from([0, 15, 30, 60, 120, 300])
policies = st.one_of(
    st.builds(
        lambda metric, value, window: {"kind": "target", "metric": metric, "value": value, "window": window},
        st.sampled_from(["cpu", "busy", "requests", "latency", "command"]),
        st.sampled_from([0.3, 5, 40, 70]),
        st.sampled_from([15, 30, 60]),
    ),
    st.builds(
        lambda above, window, add: {"kind": "threshold", "above": above, "window": window, "add": add},
        st.sampled_from([30, 60, 80]),
        st.sampled_from([15, 30, 60]),
        st.integers(1, 3),
    ),
    st.just(
        {"kind": "steps", "metric": "cpu", "steps": [{"from": 60, "to": 85, "add": 1}, {"from": 85, "add": "50%"},
         {"to": 30, "remove": "30%"}]}
    ),
    st.builds(lambda per, busy: {"kind": "queue", "per_member": per, "busy": busy}, st.sampled_from([1, 4, 50]),
              st.sampled_from([50, 80, 100])),
    st.just({"kind": "schedule", "times": [{"at": "10:05", "until": "10:15", "size": 4}], "otherwise": 1}),
    st.just({"kind": "predictive", "metric": "requests", "value": 6, "slot": "5m", "ahead": "5m"}),
)  # fmt: skip
rates = st.lists(
    st.one_of(
        st.builds(lambda count, per: {"members": count, "per": per}, st.integers(1, 5), st.sampled_from([30, 60, 120])),
        st.builds(lambda part, per: {"percent": part, "per": per}, st.sampled_from([10, 50, 100]), st.just(60)),
    ),
    max_size=2,
)
specs = st.builds(
    lambda least, more, found, **rest: {
        "min": least, "max": max(least + more, 1), "interval": INTERVAL,
        "policies": [{**each, "name": f"p{number}"} for number, each in enumerate(found)],
        "stabilisation": {"up": rest["up"], "down": rest["down"]},
        "cooldown": {"up": rest["rest_up"], "down": rest["rest_down"]},
        "rates": {"up": rest["rate_up"], "down": rest["rate_down"]},
        **{key: rest[key] for key in ("tolerance", "warm_up", "max_cost", "on_in")},
        "replace": {"members": rest["replace"], "per": 60},
    },
    st.integers(0, 4), st.integers(0, 12), st.lists(policies, min_size=1, max_size=3),
    up=whens, down=whens, rest_up=st.sampled_from([0, 30, 90]), rest_down=st.sampled_from([0, 30, 90]),
    rate_up=rates, rate_down=rates, tolerance=st.sampled_from([0, 5, 10, 30]), warm_up=st.sampled_from([0, 20, 60]),
    max_cost=st.sampled_from([0, 0.55, 1.05]), on_in=st.sampled_from(["suspend", "delete"]), replace=st.integers(0, 2),
)  # fmt: skip
machines = st.builds(
    lambda boot, price, noise: Machine(boot=boot, price=price, noise=noise, resume=1.0),
    st.sampled_from([1.0, 20.0, 50.0, 200.0]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.03, 0.2]),
)
levels = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 8.0, 30.0, 75.0, 400.0]), st.integers(1, 30)), min_size=1, max_size=5
)
events = st.lists(
    st.tuples(
        st.integers(0, 80),
        st.sampled_from(
            ["kill", "silence", "rubbish", "twice", "back", "ahead", "protect", "unprotect", "lower", "lose", "again"]
        ),
        st.integers(1, 5),
    ),
    max_size=6,
)


@dataclass(frozen=True)
class Plan:
    """What one run is made of."""

    spec: dict[str, Any]
    machine: Machine
    levels: list[tuple[float, int]]
    events: list[tuple[int, str, int]]
    size: int
    seed: int


plans = st.builds(Plan, specs, machines, levels, events, st.integers(0, 6), st.integers(0, 2**16))


@dataclass
class Look:
    """One decision, with what was true then. `real` is the time that no clock shows."""

    real: float
    spec: ScalingSpec
    decision: Decision
    members: tuple[MemberState, ...]
    silenced: bool
    busy: str
    price: float


@dataclass
class Run:
    """A group that goes through a plan."""

    plan: Plan
    looks: list[Look] = field(default_factory=list)
    offset: float = 0.0
    muted: int = 0
    rubbish: int = 0
    twice: int = 0

    def __post_init__(self) -> None:
        self.spec = ScalingSpec.from_plain(self.plan.spec)
        self.world = World(
            self.plan.machine, self.plan.size, START, standby=self.plan.seed % 3, drain=20.0,
            rests=self.spec.on_in != "delete", seed=self.plan.seed,
        )  # fmt: skip
        for body in list(self.world.bodies.values())[: self.plan.seed % 5 // 2]:
            body.protected = True
        self.samples: list[Sample] = []
        self.since: dict[str, tuple[str, float]] = {}
        self.state = LoopState()
        self.real = START

    def go(self) -> list[Look]:
        """Return all looks of the run; each is checked when it is made."""
        rates = [rate for rate, count in self.plan.levels for _ in range(count)]
        for number, rate in enumerate(rates):
            self.real += INTERVAL
            self.world.settle(self.real)
            served = self.world.serve(rate, self.real, INTERVAL)
            for at, kind, much in self.plan.events:
                if at == number:
                    self._happens(kind, much)
            self._measure(served)
            self._look()
        return self.looks

    def _happens(self, kind: str, much: int) -> None:
        serving = [name for name, body in self.world.bodies.items() if body.status == "in_service"]
        if kind == "kill":
            self.world.fail(serving[:much], self.real)
        elif kind == "lose":  # somebody deletes machines
            for name in serving[:much]:
                del self.world.bodies[name]
                self.world._members = None
        elif kind in ("protect", "unprotect"):
            for name in serving[:much]:
                self.world.bodies[name].protected = kind == "protect"
                self.world._members = None
        elif kind == "lower":
            most = max(self.spec.max - much, 1)
            self.spec = self.spec.with_(max=most, min=min(self.spec.min, most))
        elif kind in ("back", "ahead"):
            self.offset += {"back": -1, "ahead": 1}[kind] * much * 3600.0
        elif kind == "again":
            self.state = LoopState.from_document(json.loads(json.dumps(self.state.to_document())))
        else:
            self.muted, self.rubbish, self.twice = (
                much if kind == word else left
                for word, left in (("silence", self.muted), ("rubbish", self.rubbish), ("twice", self.twice))
            )

    def _measure(self, served: Any) -> None:
        wall = self.real + self.offset
        made = [] if self.muted else self.world.samples(served, wall, self.spec.metrics)
        if self.rubbish:
            odd: tuple[Any, ...] = (float("nan"), float("inf"), -3.0, "12", None)
            made = [each._replace(value=odd[place % 5]) for place, each in enumerate(made)]
        self.samples += made * (2 if self.twice else 1)
        self.muted, self.rubbish, self.twice = (max(left - 1, 0) for left in (self.muted, self.rubbish, self.twice))
        self.samples = self.samples[-400:]

    def _members(self) -> tuple[MemberState, ...]:
        wall = self.real + self.offset
        for member in self.world.members:
            if self.since.get(member.name, ("", 0.0))[0] != member.status:
                self.since[member.name] = (member.status, wall - (self.real - member.since))
        return tuple(member._replace(since=self.since[member.name][1]) for member in self.world.members)

    def _look(self) -> None:
        members, busy = self._members(), self.world.busy
        observed = Observed(now=self.real + self.offset, members=members, samples=tuple(self.samples))
        decision, self.state = decide(self.spec, observed, self.state, group="chaos", busy=busy)
        silent = any("count" not in each for each in decision.inputs)
        look = Look(self.real, self.spec, decision, members, silent, busy, self.world.price())
        self.looks.append(look)
        check(self.looks)
        self.world.act(decision, self.real)


def check(looks: list[Look]) -> None:
    """Check the newest decision against what came before. Raises: AssertionError."""
    look = looks[-1]
    decision = look.decision
    _bounds(look, decision)
    _names(look, decision)
    _silence(look, decision)
    _flapping(looks, look, decision)
    _rates(looks, look, decision)
    _storm(looks, look)
    assert decision.reason.strip()
    json.dumps(decision.to_document(), allow_nan=False)


def _bounds(look: Look, decision: Decision) -> None:
    spec, size = look.spec, decision.size
    kept = sum(each.protected for each in look.members if each.status not in ("standby", "draining"))
    assert {"out": decision.clamped > size, "in": decision.clamped < size}.get(
        decision.action, decision.clamped == size
    )
    if decision.action == "out":
        assert decision.clamped <= spec.max, "above max"
    if decision.action == "in":
        assert decision.clamped >= spec.min, "below min"
    if not look.busy and decision.action != "replace":
        assert decision.clamped >= spec.min, "left below min"
        assert decision.clamped <= max(spec.max, kept), "left above max"
    if decision.action == "out" and spec.max_cost and size >= spec.min:
        added = (decision.clamped - size) * max([each.price or 0.0 for each in look.members], default=0.0)
        running = sum(each.price or 0.0 for each in look.members if each.status != "standby")
        assert running + added <= spec.max_cost + 1e-6, "above the ceiling"


def _names(look: Look, decision: Decision) -> None:
    named = {each.name: each for each in look.members}
    chosen = [named[name] for name in decision.members]  # a stranger is a KeyError
    if decision.action == "in":
        assert len(chosen) == decision.size - decision.clamped
        assert not any(each.protected or each.status in ("standby", "draining") for each in chosen)
    elif decision.action == "out":
        assert all(each.status == "standby" for each in chosen)
        assert len(chosen) <= decision.clamped - decision.size
    elif decision.action == "replace":
        assert chosen
        assert all(each.status == "sick" and not each.protected for each in chosen)
    else:
        assert not chosen


def _silence(look: Look, decision: Decision) -> None:
    if look.silenced and decision.action == "in":
        assert decision.size > look.spec.max, "went in on silence"


def _flapping(looks: list[Look], look: Look, decision: Decision) -> None:
    spec = look.spec
    for earlier in looks[:-1]:
        old, ago = earlier.decision, look.real - earlier.real
        if decision.action == "in" and old.action == "out" and ago < spec.stabilise_down and decision.size <= spec.max:
            assert old.size < earlier.spec.min or decision.clamped >= min(old.clamped, spec.max), "in soon after out"
        if decision.action == "out" and old.action == "in" and ago < spec.stabilise_up:
            assert decision.size < spec.min or old.size > earlier.spec.max or decision.clamped <= old.size, (
                "out after in"
            )


def _rates(looks: list[Look], look: Look, decision: Decision) -> None:
    if decision.action not in ("out", "in") or decision.size > look.spec.max or decision.size < look.spec.min:
        return
    out = decision.action == "out"
    for rate in look.spec.rate_up if out else look.spec.rate_down:
        if rate.percent:
            continue
        within = [each for each in looks if look.real - each.real < rate.per]
        if all(each.spec.min <= each.decision.size <= each.spec.max for each in within):
            moved = sum(
                each.decision.clamped - each.decision.size for each in within if each.decision.action in ("out", "in")
            )
            assert (moved if out else -moved) <= rate.count, "faster than its rate"
    rest = look.spec.cooldown_up if out else look.spec.cooldown_down
    for earlier in looks[:-1]:
        counts = earlier.decision.action == "out" or (not out and earlier.decision.action == "in")
        assert not counts or look.real - earlier.real >= rest, "inside of the cooldown"


def _storm(looks: list[Look], look: Look) -> None:
    within = [each for each in looks if look.real - each.real < look.spec.replace_per]
    went = sum(len(each.decision.members) for each in within if each.decision.action == "replace")
    assert went <= look.spec.replace, "a storm of replacements"
