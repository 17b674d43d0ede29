"""The promises of scaling are checked in earnest: each check fails when what keeps its promise is left out."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from tests.unit.scaling.chaos import Plan, Run, plans

from cloudms.scaling.base import SEATS
from cloudms.scaling.choice import sick
from cloudms.scaling.clamps import CLAMPS


@pytest.mark.parametrize("left_out", ["silence", "stabilisation", "cooldown", "rates", "cost", "bounds", "protection"])
def test_without_a_clamp_a_promise_is_broken(left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clamps = tuple(each for each in CLAMPS if each[0] != left_out)
    monkeypatch.setattr("cloudms.scaling.decide.CLAMPS", clamps)

    _breaks()


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("decide.replaced", lambda _spec, members, _state, _now: (tuple(each.name for each in sick(members)), "")),
        ("choice.may_go", lambda members: [each for each in members if each.status in SEATS]),
        ("decide.choice.comers", lambda members, count: tuple(each.name for each in members[:count])),
    ],
    ids=["all sick at once", "protected too", "anybody comes"],
)
def test_without_care_a_promise_is_broken(place: str, instead: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"cloudms.scaling.{place}", instead)
    _breaks()


def _breaks() -> None:
    """Find a plan whose decisions break a promise. Raises: what pytest raises when there is none."""

    @settings(max_examples=200, deadline=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(plans)
    def broken(plan: Plan) -> None:
        Run(plan).go()

    with pytest.raises((AssertionError, KeyError)):
        broken()
