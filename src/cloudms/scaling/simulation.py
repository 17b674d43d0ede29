"""A simulated group: the loop's own decisions on a simulated clock, with a trace of load and pretended machines.

Nothing of it touches a cloud, a catalog or the time of this machine; a day of a thousand members takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from cloudms.model import Noun
from cloudms.record import Record
from cloudms.scaling.base import Decision, LoopState, Observed
from cloudms.scaling.decide import decide
from cloudms.scaling.history import History
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import DAY, Trace
from cloudms.scaling.world import Machine, Served, World

Disturb = Callable[[World, float], None]
"""Called before every decision, so that members can fail and people can interfere."""


class Moment(Record):
    """One step: its end, what was served in it, the members after it, what was decided then."""

    at: float
    served: Served
    size: int
    price: float
    decision: Decision


class Simulated(Noun):
    """What a policy cost and what the requests suffered, on the same load.

    `members` is the mean number of members, `most` the largest, `member_hours` and `cost` what they took, `latency` the
    mean of all requests in seconds, `latency_p95` what 95 % of them stay below, `late` the part (percent) that took
    longer than the objective or failed, `changes` how often the group grew or shrank.
    """

    kind: ClassVar[str] = "simulation"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "members", "most", "member_hours", "cost", "latency", "latency_p95", "late", "changes",
    )  # fmt: skip

    trace: str = ""
    members: float = 0.0
    most: int = 0
    member_hours: float = 0.0
    cost: float = 0.0
    latency: float = 0.0
    latency_p95: float = 0.0
    late: float = 0.0
    failed: float = 0.0
    changes: int = 0


def run(
    spec: ScalingSpec, trace: Trace, machine: Machine | None = None, *, size: int | None = None, standby: int = 0,
    seed: int = 1, disturb: Disturb | None = None, state: LoopState | None = None,
) -> list[Moment]:  # fmt: skip
    """Return what happens step by step.

    Parameters: `size`, the members at the beginning (min without it); `standby`, those ready to come back; `seed`, for
    the noise of the measurements; `state`, what the loop remembers from before.
    """
    machine = machine or Machine()
    spec = spec.with_(interval=trace.step)
    world = World(
        machine, spec.min if size is None else size, trace.start, standby=standby, drain=min(spec.drain, trace.step),
        rests=spec.on_in != "delete", seed=seed,
    )  # fmt: skip
    history, keep = History(), spec.window + trace.step
    now, state = trace.start, state or LoopState()
    moments = []
    for rate in trace.rates:
        now += trace.step
        world.settle(now)
        served = world.serve(rate, now, trace.step)
        if disturb:
            disturb(world, now)
        history.problems = history.add(world.samples(served, now, spec.metrics), now)
        history.forget(now - keep)
        observed = Observed(now=now, members=world.members, history=history)
        decision, state = decide(spec, observed, state, group="simulated", busy=world.busy)
        world.act(decision, now)
        moments.append(Moment(at=now, served=served, size=world.size, price=world.price(), decision=decision))
    return moments


def summary(name: str, trace: Trace, moments: Sequence[Moment], *, objective: float = 1.0) -> Simulated:
    """Return what the last day of a simulation (or all of it, when it is shorter) amounts to.

    Parameters: `objective`, the seconds within which a request is to be answered.
    """
    counted = list(moments)[-int(DAY / trace.step) :]
    hours = trace.step / 3600
    requests = sum(each.served.rate for each in counted)
    weighed = sorted((each.served.latency, each.served.rate) for each in counted)
    late = sum(each.served.rate if each.served.latency > objective else each.served.failed for each in counted)
    failed = sum(min(each.served.failed, each.served.rate) for each in counted)
    return Simulated(
        name=name,
        trace=trace.name,
        members=round(sum(each.size for each in counted) / max(len(counted), 1), 2),
        most=max((each.size for each in counted), default=0),
        member_hours=round(sum(each.size for each in counted) * hours, 1),
        cost=round(sum(each.price for each in counted) * hours, 2),
        latency=_rounded(sum(latency * rate for latency, rate in weighed) / requests if requests else 0.0),
        latency_p95=_rounded(_percentile(weighed, 0.95 * requests)),
        late=round(100 * min(late / requests, 1.0), 2) if requests else 0.0,
        failed=round(100 * failed / requests, 2) if requests else 0.0,
        changes=sum(each.decision.action in ("out", "in") for each in counted),
    )


def _percentile(weighed: Sequence[tuple[float, float]], until: float) -> float:
    """Return the value at which the weights of sorted values reach `until`."""
    passed = 0.0
    for value, weight in weighed:
        passed += weight
        if passed >= until:
            return value
    return weighed[-1][0] if weighed else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
