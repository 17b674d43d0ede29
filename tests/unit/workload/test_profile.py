"""How much is asked over time: the moments at which requests are due, and plates as they are."""

from __future__ import annotations

import math
from itertools import islice, pairwise
from random import Random

import pytest

from cloudms.errors import Invalid
from cloudms.workload import profile
from cloudms.workload.plates import STATES, plate
from cloudms.workload.profile import Profile
from cloudms.workload.service import PLATE


def within(shape: Profile, begin: float, end: float) -> int:
    """Return how many requests are due between two moments."""
    return sum(begin < moment <= end for moment in shape.due())


def test_a_rate_that_stays_is_evenly_spaced() -> None:
    moments = list(islice(profile.constant(4).due(), 8))
    assert moments == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
    assert within(profile.constant(7, 60), 0, 60) == 420
    assert list(profile.constant(0, 60).due()) == []


def test_steps_change_at_once() -> None:
    shape = profile.steps("5:60,20:1m,0:30s,2:10")
    assert shape.length == 160
    assert [within(shape, *part) for part in ((0, 60), (60, 120), (120, 150), (150, 160))] == [300, 1200, 0, 20]
    assert [shape.rate(moment) for moment in (0, 59.9, 60, 130, 155, 161)] == [5, 5, 20, 0, 2, 0]


def test_a_ramp_grows_evenly() -> None:
    shape = profile.ramp("0:10", 100)
    assert [shape.rate(moment) for moment in (0, 50, 100)] == [0, 5, 10]
    assert within(shape, 0, 100) == 500
    assert within(shape, 0, 50) == 125
    gaps = [second - first for first, second in pairwise(shape.due())]
    assert gaps[0] > 3 * gaps[-1]
    assert within(profile.ramp("10:0", 100), 0, 50) == 375


def test_a_day_has_its_night_and_its_noon() -> None:
    shape = profile.day("2:40", 600)
    assert [round(shape.rate(moment), 6) for moment in (0, 150, 300, 450, 600)] == [2, 21, 40, 21, 2]
    assert within(shape, 0, 600) == 600 * 21
    assert within(shape, 250, 350) > 5 * within(shape, 0, 100)


@pytest.mark.parametrize("shape", [profile.steps("3:7,0:5,11:2"), profile.ramp("9:1", 30), profile.day("0:8", 40)])
def test_requests_are_due_exactly_when_the_area_says(shape: Profile) -> None:
    moments = list(shape.due())
    assert len(moments) == math.floor(shape.area(shape.length) + 1e-6)
    assert moments == sorted(moments)
    assert all(shape.area(moment) == pytest.approx(number, abs=1e-6) for number, moment in enumerate(moments, 1))


def test_random_moments_have_the_same_rate() -> None:
    moments = list(profile.constant(50, 100).due(Random(1)))
    assert 4700 < len(moments) < 5300
    gaps = [second - first for first, second in pairwise(moments)]
    assert max(gaps) > 5 / 50
    assert min(gaps) < 0.1 / 50
    assert moments == list(profile.constant(50, 100).due(Random(1)))


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":60", "x:60", "5:never", "-1:60", "nan:60", "5:60,", "5:abc", "inf:1"]
)
def test_what_is_no_step_is_said(text: str) -> None:
    with pytest.raises(Invalid):
        profile.steps(text)


def test_what_has_no_end_or_no_numbers_is_said() -> None:
    for make in (profile.ramp, profile.day):
        with pytest.raises(Invalid, match="needs an end"):
            make("1:5", math.inf)
        for text in ("5", "a:b", "1:-5", "1:1000000000"):
            with pytest.raises(Invalid):
                make(text, 60)


def test_plates_are_those_of_indian_states() -> None:
    random = Random(7)
    made = [plate(random) for _ in range(2000)]
    assert all(PLATE.fullmatch(each) for each in made)
    assert {each[:2] for each in made} == set(STATES)
    assert len(set(made)) > 1990
    assert made[:50] == [plate(again) for again in [Random(7)] for _ in range(50)]
