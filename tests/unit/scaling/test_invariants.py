"""What holds for every group, whatever its load, its faults and its clock do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloudms.scaling.simulation import Moment, run
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import Trace
from cloudms.scaling.world import Machine
from tests.unit.scaling.chaos import Plan, Run, plans

some = settings(max_examples=25, deadline=None)


BACK = Plan(
    spec={
        "min": 0, "max": 6, "interval": 15.0,
        "policies": [{"kind": "queue", "per_member": 1, "busy": 80, "name": "p0"}],
        "stabilisation": {"up": 0, "down": 0}, "cooldown": {"up": 0, "down": 0}, "tolerance": 0, "warm_up": 20,
        "rates": {"up": [{"percent": 50, "per": 60}], "down": [{"members": 1, "per": 60}]}, "max_cost": 0,
        "on_in": "suspend", "replace": {"members": 0, "per": 60},
    },
    machine=Machine(boot=50.0, price=0.0, noise=0.0), levels=[(30.0, 11)], events=[(7, "back", 1)], size=3, seed=0,
)  # fmt: skip
"""A clock that goes back while a member comes: the change must not seem younger than it is, or two go at once."""


@some
@example(BACK)
@given(plans)
def test_no_decision_breaks_a_promise(plan: Plan) -> None:
    Run(plan).go()


CALM = Machine(noise=0.0, boot=20.0, capacity=10.0)


def _flat(rate: float, steps: int) -> Trace:
    return Trace(name="flat", step=15.0, rates=(rate,) * steps)


def _settled(moments: list[Moment]) -> int:
    """Return after how many steps the size no longer changes."""
    changes = [number for number, (one, two) in enumerate(pairwise(moments), 1) if one.size != two.size]
    return changes[-1] if changes else 0


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(
        [
            {"kind": "target", "metric": "cpu", "value": 60, "window": 15},
            {"kind": "target", "metric": "requests", "value": 6, "window": 15},
            {"kind": "threshold", "above": 80, "window": 15, "add": 4},
            {"kind": "queue", "per_member": 30, "window": 15},
        ]
    ),
    st.floats(0.5, 250.0),
    st.integers(1, 40),
    st.sampled_from([0, 60, 120]),
    st.sampled_from([0, 45]),
)
def test_a_steady_load_is_met_within_stated_steps(
    policy: dict[str, object], rate: float, size: int, down: int, warm_up: int
) -> None:
    """The size settles within 60 looks and twice the window down, carries the load, and stays.

    A threshold takes one member out at a time, and needs so long for each.
    """
    spec = ScalingSpec.from_plain(
        {"max": 40, "policies": [policy], "stabilisation": {"down": down}, "drain": 5, "warm_up": warm_up}
    )
    limit = 60 + (spec.max * (2 + down // 15) if policy["kind"] == "threshold" else 2 * down // 15)
    moments = run(spec, _flat(rate, limit + 20), CALM, size=size)
    assert _settled(moments) <= limit
    assert moments[-1].served.used <= 0.8 * 1.1 + 1e-9
    assert moments[-1].served.queue == pytest.approx(0, abs=1)
    needed = rate / CALM.capacity
    assert needed <= moments[-1].size <= needed / 0.5 + 2


@some
@given(st.lists(st.floats(0, 300), min_size=5, max_size=60), st.integers(0, 1000))
def test_the_same_trace_leads_to_the_same_decisions(rates: list[float], seed: int) -> None:
    spec = ScalingSpec.from_plain({"max": 30, "policies": [{"kind": "target", "metric": "cpu", "value": 60}]})
    trace = Trace(name="any", step=15.0, rates=tuple(rates))
    once, again = (run(spec, trace, Machine(), seed=seed) for _ in range(2))
    assert [each.decision for each in once] == [each.decision for each in again]
