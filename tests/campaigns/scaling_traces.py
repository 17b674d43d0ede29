"""Random groups under random loads, faults and clocks: no decision breaks a promise."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings

from tests.campaigns.figure import Figure
from tests.unit.scaling.chaos import Plan, Run, plans

DESCRIPTION = (
    "a random trace of load, faults, silence and clock jumps: bounds, windows, rates and names hold at each look"
)
SMOKE = 500


def run(times: int) -> Figure:
    """Do it `times` times; the first trace that breaks a promise is named, as small as it can be made."""
    done, looks = 0, 0

    @settings(
        max_examples=times, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(plans)
    def keeps(plan: Plan) -> None:
        nonlocal done, looks
        looks += len(Run(plan).go())
        done += 1

    try:
        keeps()
    except AssertionError as problem:
        notes = " ".join(getattr(problem, "__notes__", ()))
        return Figure(0, 1, f"{problem} {notes}"[:2000])
    return Figure(done, 0, f"{looks} decisions in {done} traces, none of which breaks a promise")
