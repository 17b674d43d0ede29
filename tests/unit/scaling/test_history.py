"""Measurements: what is none is told, what is late comes to its place, and a level is the same however it was fed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudms.errors import Invalid
from cloudms.scaling.base import Level, MemberState, Observed, Sample, Silence
from cloudms.scaling.decide import decide
from cloudms.scaling.history import History
from cloudms.scaling.spec import ScalingSpec

NOW = 1000.0
SPEC = ScalingSpec.from_plain({"policies": [{"kind": "target", "metric": "cpu", "value": 60}]})


def level(samples: list[Sample], voters: dict[str, float], **options: Any) -> Level | Silence:
    return History(samples, NOW).level("cpu", 60.0, NOW, voters, **options)


def test_late_samples_come_to_their_place() -> None:
    samples = [Sample("cpu", NOW - back, 100.0 - back, "a") for back in range(0, 60, 5)]
    mixed = random.Random(1).sample(samples, len(samples))
    assert level(samples, {"a": 0}) == level(mixed, {"a": 0})
    assert [at for at, _values in History(mixed, NOW).values("cpu", 0, NOW)] == sorted(s.time for s in samples)


def test_load_is_shared_out_when_members_come() -> None:
    """One had 90 %, and since two serve each has 45 %: the two had 45 % all the time."""
    samples = [Sample("cpu", NOW - 40, 90.0, "a"), Sample("cpu", NOW, 45.0, "a"), Sample("cpu", NOW, 45.0, "b")]
    found = level(samples, {"a": 0, "b": NOW - 20})
    assert isinstance(found, Level)
    assert (found.value, found.measured, found.of) == (45.0, 2, 2)


def test_load_is_shared_out_when_one_becomes_sick() -> None:
    samples = [Sample("cpu", NOW - 40, 40.0, "a"), Sample("cpu", NOW - 40, 40.0, "b"), Sample("cpu", NOW, 80.0, "a")]
    found = level(samples, {"a": 0}, lost={"b": NOW - 20})
    assert isinstance(found, Level)
    assert found.value == 80.0


def test_what_was_before_members_were_taken_out_does_not_count() -> None:
    samples = [Sample("cpu", NOW - 40, 20.0, "a"), Sample("cpu", NOW, 50.0, "a")]
    found = level(samples, {"a": 0}, after=NOW - 30)
    assert isinstance(found, Level)
    assert found.value == 50.0
    silent = level(samples[:1], {"a": 0}, after=NOW - 30)
    assert silent == Silence(metric="cpu", reason="cpu was not measured since the group shrank")


def test_totals_do_not_depend_on_who_serves() -> None:
    history = History([Sample("requests", NOW - 40, 20.0), Sample("requests", NOW, 40.0)], NOW)
    found = history.level("requests", 60.0, NOW, {}, after=NOW - 30)
    assert isinstance(found, Level)
    assert (found.value, found.total) == (30.0, True)


def test_a_total_is_the_sum_of_what_members_tell() -> None:
    history = History([Sample("requests", NOW, 20.0, "a"), Sample("requests", NOW, 30.0, "b")], NOW)
    found = history.level("requests", 60.0, NOW, {"a": 0, "b": 0})
    assert isinstance(found, Level)
    assert (found.value, found.worst) == (50.0, 50.0)
    missing = history.level("requests", 60.0, NOW, {"a": 0, "b": 0, "c": 0})
    assert isinstance(missing, Level)
    assert missing.worst is None


def test_a_sample_stands_for_the_time_since_the_one_before() -> None:
    """Looks that are as far apart as the window still fill it."""
    samples = [Sample("cpu", NOW - 65, 90.0, "a"), Sample("cpu", NOW, 90.0, "a")]
    assert isinstance(level(samples, {"a": 0}, sustained=True), Level)
    assert isinstance(level(samples[1:], {"a": 0}, sustained=True), Silence)


def test_what_is_old_is_dropped() -> None:
    history = History([Sample("cpu", NOW - back, 1.0, "a") for back in range(100)], NOW)
    history.forget(NOW - 10)
    assert len(history.values("cpu", 0, NOW)) == 11


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from("abc"), st.one_of(st.floats(-50, 200), st.just(float("nan")))),
        max_size=60,
    ),
    st.dictionaries(st.sampled_from("abc"), st.floats(900, 1000)),
    st.integers(1, 7),
)
def test_fed_at_once_or_bit_by_bit_it_says_the_same(rows: list[Any], voters: dict[str, float], parts: int) -> None:
    samples = [Sample("cpu", NOW - 5 * back, value, name) for back, name, value in rows]
    bit_by_bit = History()
    for part in range(parts):
        bit_by_bit.add(samples[part::parts], NOW)
    for sustained in (False, True):
        once = History(samples, NOW).level("cpu", 60.0, NOW, voters, sustained=sustained)
        again = bit_by_bit.level("cpu", 60.0, NOW, voters, sustained=sustained)
        if isinstance(once, Level):
            assert isinstance(again, Level)
            assert once.value == pytest.approx(again.value)
            assert (once.measured, once.of) == (again.measured, again.of)
            assert -1e-9 <= once.value <= 300
        else:
            assert once == again


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            Sample,
            st.sampled_from(["cpu", "requests", "", "odd"]),
            st.one_of(st.floats(), st.none(), st.text(max_size=3), st.integers(-10, 2000), st.booleans()),
            st.one_of(st.floats(), st.none(), st.text(max_size=3), st.integers(-10, 200), st.booleans()),
            st.sampled_from(["", "a", "b"]),
        ),
        max_size=30,
    )
)
def test_no_sample_breaks_a_decision(samples: list[Sample]) -> None:
    decision, _state = decide(SPEC, Observed(now=NOW, members=(MemberState("a"), MemberState("b")), samples=samples))
    assert 1 <= decision.clamped <= SPEC.max
    assert decision.reason


@pytest.mark.parametrize("now", [float("nan"), float("inf"), "now", None])
def test_a_time_that_is_none_is_refused(now: Any) -> None:
    with pytest.raises(Invalid, match="no time to observe at"):
        decide(SPEC, Observed(now=now, members=(MemberState("a"),)))
