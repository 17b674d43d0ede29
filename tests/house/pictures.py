"""The pictures of docs/scaling.md: what each policy and each clamp does, drawn from what the code itself decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from cloudms.scaling import compare, decide, svg, traces
from cloudms.scaling.plot import chart
from cloudms.scaling.simulation import Disturb, Moment, run
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import MIDNIGHT, Trace
from cloudms.scaling.world import Machine, World

FOLDER = "images/scaling"
MACHINE = Machine(noise=0.0, boot=45.0, price=0.1)
CPU: dict[str, Any] = {"kind": "target", "metric": "cpu", "value": 60, "window": "60s"}
MINUTE = 60.0
_WIDTH, _HEIGHT = 720.0, 330.0


def levels(*parts: tuple[int, float]) -> Trace:
    """Return a load of levels: for so many minutes so many requests per second."""
    rates = [rate for minutes, rate in parts for _ in range(minutes)]
    return Trace(name="levels", step=MINUTE, rates=tuple(rates))


def waves(minutes: int, period: int, low: float, high: float) -> Trace:
    """Return a load that goes up and down every `period` minutes."""
    rates = [high if minute % period < period / 2 else low for minute in range(minutes)]
    return Trace(name="waves", step=MINUTE, rates=tuple(rates))


HILL = levels((15, 5.0), (5, 12.0), (10, 22.0), (30, 40.0), (10, 25.0), (30, 12.0), (20, 5.0))


def spec(*policies: dict[str, Any], **limits: Any) -> dict[str, Any]:
    """Return a specification: without tolerance and windows where nothing is said."""
    plain = {"min": 1, "max": 10, "tolerance": 0, "stabilisation": {"up": 0, "down": 0}}
    return {**plain, "policies": list(policies or [CPU]), **limits}


@contextmanager
def without(clamp: str) -> Iterator[None]:
    """Let decisions be made without a clamp."""
    all_of_them = decide.CLAMPS
    decide.CLAMPS = tuple(each for each in all_of_them if each[0] != clamp)
    try:
        yield
    finally:
        decide.CLAMPS = all_of_them


def drawn(
    title: str,
    plain: dict[str, Any],
    trace: Trace = HILL,
    *,
    machine: Machine = MACHINE,
    size: int = 1,
    disturb: Disturb | None = None,
    beside: Sequence[Moment] = (),
    name: str = "without it",
) -> str:
    """Return the picture of a group on a load, with the sizes of another one beside it."""
    read = ScalingSpec.from_plain(plain)
    moments = run(read, trace, machine, size=size, disturb=disturb)
    found = chart(title, [moment.decision for moment in moments], read)
    other = tuple((moment.at, float(moment.decision.size)) for moment in beside)
    return svg.drawn(found.with_(beside=other, beside_name=name), width=_WIDTH, height=_HEIGHT)


def clamped(
    title: str,
    limits: dict[str, Any],
    trace: Trace,
    *,
    lifted: dict[str, Any] | None = None,
    clamp: str = "",
    **options: Any,
) -> str:
    """Return the picture of a clamp: with it, and beside that without it (`clamp` left out, or the `lifted` limits)."""
    policies = limits.pop("policies", [CPU])
    free = spec(*policies, **{**limits, **(lifted or {})})
    with without(clamp):
        beside = run(ScalingSpec.from_plain(free), trace, options.get("machine", MACHINE), size=options.get("size", 1),
                     disturb=options.get("disturb"))  # fmt: skip
    return drawn(title, spec(*policies, **limits), trace, beside=beside, **options)


def _silent(world: World, now: float) -> None:
    minute = (now - MIDNIGHT) / MINUTE
    world.silent = 40 <= minute < 70


def _at(minute: int, act: Callable[[World, float], None]) -> Disturb:
    def disturb(world: World, now: float) -> None:
        if now == MIDNIGHT + minute * MINUTE:
            act(world, now)

    return disturb


def _fail(world: World, now: float) -> None:
    world.fail([body.name for body in world.bodies.values() if body.status == "in_service"][:4], now)


def _protect(world: World, now: float) -> None:
    world.protect(list(world.bodies)[:3])


@cache
def pictures() -> dict[str, str]:
    """Return every picture by its path below docs/."""
    found = {**_policies(), **_clamps(), "comparison": _comparison()}
    return {f"{FOLDER}/{name}.svg": text for name, text in found.items()}


def _policies() -> dict[str, str]:
    two_days = traces.shaped("day", 48.0, days=2, step=300.0, noise=0.0)
    target = run(ScalingSpec.from_plain(spec(CPU)), two_days, MACHINE.with_(boot=600.0), size=1)
    steps = [{"from": 70, "to": 85, "add": 1}, {"from": 85, "add": "50%"}, {"to": 35, "remove": 1}]
    hours = {"days": "daily", "at": "08:00", "until": "18:00", "size": 6}
    predictive = {"kind": "predictive", "metric": "requests", "value": 6, "ahead": "20m"}
    quiet = traces.shaped("flat", 20.0, step=300.0, noise=0.0)
    return {
        "policy-threshold": drawn(
            "threshold: above 80% over three minutes", spec({"kind": "threshold", "above": 80, "window": "3m"})
        ),
        "policy-target": drawn("target: 60% of the processors of each", spec(CPU)),
        "policy-steps": drawn(
            "steps: one more from 70%, half as many more from 85%",
            spec({"kind": "steps", "metric": "cpu", "steps": steps}),
        ),
        "policy-schedule": drawn(
            "schedule: 6 from 08:00 to 18:00, else 2",
            spec({"kind": "schedule", "times": [hours], "otherwise": 2}),
            quiet,
            size=2,
        ),
        "policy-queue": drawn(
            "queue: one more for each 300 that wait", spec({"kind": "queue", "per_member": 300, "window": "60s"})
        ),
        "policy-predictive": drawn(
            "predictive: the second day is known, and members boot for ten minutes", spec(predictive), two_days,
            machine=MACHINE.with_(boot=600.0), beside=target, name="target tracking",
        ),
    }  # fmt: skip


def _clamps() -> dict[str, str]:
    jump = levels((15, 5.0), (45, 55.0), (30, 5.0))
    spikes = levels(*[(12, 8.0), (2, 30.0)] * 4, (5, 8.0), (30, 28.0), (10, 8.0))
    busy = MACHINE.with_(warm=240.0)
    quiet = levels((20, 28.0), (60, 3.0))
    return {
        "clamp-silence": clamped(
            "silence: nothing is measured from 00:40 to 01:10",
            {"policies": [CPU, {"kind": "schedule", "times": [{"at": "00:00", "until": "24:00", "size": 2}]}]},
            levels((20, 30.0), (70, 40.0), (20, 12.0)), clamp="silence", disturb=_silent, size=5,
        ),
        "clamp-tolerance": clamped(
            "tolerance: 15%", {"tolerance": "15%"}, waves(90, 6, 23.0, 25.0), lifted={"tolerance": 0}, size=4
        ),
        "clamp-stabilisation-down": clamped(
            "stabilisation, down: 15 minutes", {"stabilisation": {"down": "15m"}}, waves(120, 12, 10.0, 30.0),
            lifted={"stabilisation": {"down": 0}}, size=5,
        ),
        "clamp-stabilisation-up": clamped(
            "stabilisation, up: 4 minutes", {"stabilisation": {"up": "4m"}}, spikes,
            lifted={"stabilisation": {"up": 0}},
        ),
        "clamp-cooldown": clamped(
            "cooldown: 10 minutes after growing, 15 after any change, on the way in",
            {"cooldown": {"up": "10m", "down": "15m"}}, HILL, lifted={"cooldown": {}},
        ),
        "clamp-rates": clamped(
            "rates: up by 2 within 5 minutes, down by 1 within 5 minutes",
            {"rates": {"up": {"members": 2, "per": "5m"}, "down": {"members": 1, "per": "5m"}}}, jump,
            lifted={"rates": {}},
        ),
        "clamp-cost": clamped(
            "ceiling of cost: 0.55 per hour, at 0.1 for each", {"max_cost": 0.55}, jump, lifted={"max_cost": 0}
        ),
        "clamp-bounds": clamped("min 2 and max 5", {"min": 2, "max": 5}, jump, lifted={"min": 1, "max": 10}, size=2),
        "clamp-warm-up": clamped(
            "warm-up: 5 minutes, of members that are busy with themselves for 4", {"warm_up": "5m"},
            levels((10, 5.0), (50, 20.0), (20, 20.0)), lifted={"warm_up": 0}, machine=busy,
        ),
        "clamp-protection": drawn(
            "protection: three of five are protected", spec(CPU), quiet, size=5, disturb=_at(5, _protect),
            beside=run(ScalingSpec.from_plain(spec(CPU)), quiet, MACHINE, size=5),
        ),
        "replacement": clamped(
            "replacement: four are sick at 00:20; one within five minutes", {"replace": {"members": 1, "per": "5m"}},
            levels((70, 28.0)), lifted={"replace": {"members": 9, "per": "5m"}}, size=5, disturb=_at(20, _fail),
        ),
    }  # fmt: skip


def _comparison() -> str:
    machine = Machine()
    trace = traces.shaped("day", 120.0, days=2)
    found = compare.run(compare.ordinary(machine, 20), trace, machine)
    return compare.plot([result for result, _moments in found.values()], trace)
