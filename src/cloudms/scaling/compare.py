"""Policies side by side on the same load: what each costs, and what the requests suffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.scaling import simulation, svg
from cloudms.scaling.plot import chart
from cloudms.scaling.simulation import Moment, Simulated
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import Trace
from cloudms.scaling.world import Machine

FIXED = "fixed"
"""The name of what stands beside all policies: as many members as the height of the load needs, always."""
USED = 60.0
"""Percent of its processors that a member shall use in a comparison."""


def ordinary(machine: Machine, most: int) -> dict[str, ScalingSpec]:
    """Return a usual specification of each kind of policy, for machines like this and at most `most` of them."""
    share = machine.capacity * USED / 100
    policies: Mapping[str, dict[str, Any]] = {
        "threshold": {"metric": "cpu", "above": 80, "window": "60s"},
        "target": {"metric": "cpu", "value": USED, "window": "60s"},
        "steps": {
            "metric": "cpu",
            "steps": [{"from": 70, "to": 85, "add": "10%"}, {"from": 85, "add": "30%"}, {"to": 40, "remove": "10%"}],
            "window": "60s",
        },
        "schedule": {
            "times": [{"at": "07:00", "until": "19:00", "size": most}],
            "otherwise": max(most // 3, 1),
            "ahead": "10m",
        },
        "queue": {"per_member": round(machine.capacity * 10, 3), "busy": "80%", "window": "60s"},
        "predictive": {"metric": "requests", "value": share, "ahead": "10m", "window": "60s"},
    }
    found = {
        name: ScalingSpec.from_plain({"min": 1, "max": most, "policies": [{"kind": name, **policy}]})
        for name, policy in policies.items()
    }
    return found | {FIXED: ScalingSpec.from_plain({"min": most, "max": most})}


def run(
    specs: Mapping[str, ScalingSpec], trace: Trace, machine: Machine, *, objective: float = 1.0, seed: int = 1
) -> dict[str, tuple[Simulated, list[Moment]]]:
    """Return what each specification comes to, by its name.

    Parameters: `objective`, the seconds within which a request is to be answered; `seed`, for what is random.
    """
    found = {}
    for name, spec in specs.items():
        size = min(max(round(trace.rates[0] / machine.capacity / (USED / 100)), spec.min, 1), spec.max)
        moments = simulation.run(spec, trace, machine, size=size, standby=spec.standby, seed=seed)
        found[name] = simulation.summary(name, trace, moments, objective=objective), moments
    return found


def plot(found: Sequence[Simulated], trace: Trace) -> str:
    """Return the SVG of cost against latency."""
    across = "cost per day" if any(each.cost for each in found) else "member hours per day"
    points = [(each.name, each.cost or each.member_hours, each.latency_p95) for each in found]
    return svg.scatter(
        f"Cost against latency, load '{trace.name}'", across, "latency in seconds, 95% of requests", points
    )


def story(name: str, spec: ScalingSpec, moments: Sequence[Moment], trace: Trace) -> str:
    """Return the SVG of what one of them went through."""
    decisions = [moment.decision for moment in moments]
    return svg.drawn(chart(f"{name}, load '{trace.name}'", decisions, spec))
