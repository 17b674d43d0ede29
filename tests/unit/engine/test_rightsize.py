"""What is suggested for what was measured: cases by hand and recorded ones, and what must hold for any."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudms.engine.rightsize import KEEP, LARGER, Suggestion, candidates, suggest
from cloudms.engine.samples import Policy, percentile
from cloudms.model import Flavor, Vm

CASES = Path(__file__).parents[2] / "cases" / "rightsize"
POLICY = Policy()


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['what']}")
        for file in sorted(CASES.glob("*.json"))
        for case in json.loads(file.read_text(encoding="utf-8"))
    ]


def spread(column: list[Any]) -> list[Any]:
    """Return the values of a column: pairs are a value and how often it comes."""
    return [value for each in column for value in ([each[0]] * each[1] if isinstance(each, list) else [each])]


def samples_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    if "raw" in case:
        return list(case["raw"])
    told = case["samples"]
    names = {"cpu_percent": "cpu", "cpu_denied_percent": "denied", "memory_used_mib": "memory"}
    columns = {name: spread(told.get(column, [])) for name, column in names.items()}
    made = []
    for number in range(max(len(column) for column in columns.values())):
        values = {name: column[number] for name, column in columns.items() if number < len(column)}
        made.append({"at": number * told["every"], **{k: v for k, v in values.items() if v is not None}})
    return made


def flavors_of(rows: list[Any]) -> list[Flavor]:
    return [
        Flavor(
            name=name, cloud="one", id=name, vcpus=vcpus, memory_mib=memory, disk_gib=disk, price_per_hour=price,
            labels=more[0] if more else {},
        )
        for name, vcpus, memory, disk, price, *more in rows
    ]  # fmt: skip


@pytest.mark.parametrize("case", cases())
def test_what_was_measured_leads_to_a_suggestion(case: dict[str, Any]) -> None:
    policy = POLICY.with_(**case.get("policy", {}))
    vm = Vm(name="web1", cloud="one", flavor=case["flavor"])
    found = suggest(vm, samples_of(case), flavors_of(case["flavors"]), policy, window=case["window"])
    for field, expected in case["expect"].items():
        told = getattr(found, field)
        assert expected in told if field in ("reason", "caution") else told == expected, f"{field}: {found}"
    assert found.reason


def test_the_cases_are_worth_their_name() -> None:
    names = [case.values[0]["what"] for case in cases()]
    assert len(names) == len(set(names)) >= 30
    assert {case.values[0]["expect"]["suggestion"] for case in cases()} > {KEEP, "lean", "large"}


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 95, None), ([7], 95, 7), ([1, 2], 95, 2), (list(range(1, 101)), 95, 95), (list(range(1, 21)), 95, 19)],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


some = settings(max_examples=30, deadline=None)
"""So many cases of each; how long one takes says nothing on a busy machine."""

sizes = st.builds(
    lambda number, vcpus, memory, disk, price, arch: Flavor(
        name=f"f{number}", cloud="one", vcpus=vcpus, memory_mib=memory, disk_gib=disk, price_per_hour=price,
        labels={"arch": arch},
    ),
    st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([256, 512, 1024, 2048, 4096, 8192]),
    st.sampled_from([0, 10, 20]), st.sampled_from([None, 0.0, 0.01, 0.02, 0.05, 0.1]),
    st.sampled_from(["x86_64", "x86_64", "arm64"]),
)  # fmt: skip
offers = st.lists(sizes, min_size=1, max_size=12, unique_by=lambda flavor: flavor.name)
priced = offers.map(lambda found: [f.with_(price_per_hour=f.price_per_hour or 0.03) for f in found])
unpriced = offers.map(lambda found: [f.with_(price_per_hour=None) for f in found])
free = offers.map(lambda found: [f.with_(price_per_hour=0.0) for f in found])
measured = st.builds(
    lambda rows, cpu, memory: [
        sample(number, used * cpu, None if held is None else held * memory) for number, (used, held) in enumerate(rows)
    ],
    st.lists(st.tuples(st.floats(0, 100), st.one_of(st.none(), st.floats(0, 8192))), min_size=10, max_size=60),
    st.sampled_from([1.0, 0.5, 0.2, 0.05]),
    st.sampled_from([1.0, 0.3, 0.05]),
)
anything = st.one_of(
    st.none(),
    st.integers(-5, 10**6),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=3),
    st.booleans(),
)
nonsense = st.lists(
    st.dictionaries(st.sampled_from(["at", "cpu_percent", "memory_used_mib", "other"]), anything), max_size=40
)


def sample(number: int, cpu: float, memory: float | None) -> dict[str, Any]:
    return {"at": number * 60.0, "cpu_percent": cpu, **({} if memory is None else {"memory_used_mib": memory})}


def judged(samples: list[dict[str, Any]], flavors: list[Flavor], flavor: str = "") -> tuple[Suggestion, Flavor, Flavor]:
    """Return what is suggested, the flavor that is had and the one that is to be."""
    now = next(each for each in flavors if each.name == (flavor or flavors[0].name))
    found = suggest(Vm(name="v", cloud="one", flavor=now.name), samples, flavors, POLICY, window=60.0 * len(samples))
    chosen = now if found.suggestion == KEEP else next(each for each in flavors if each.name == found.suggestion)
    return found, now, chosen


@some
@given(measured, offers)
def test_never_less_memory_than_was_used_nor_less_at_all_when_it_is_not_known(samples: Any, flavors: Any) -> None:
    found, now, chosen = judged(samples, flavors)
    known = [each["memory_used_mib"] for each in samples if "memory_used_mib" in each]
    if found.suggestion != KEEP:
        assert not known or chosen.memory_mib * 0.8 >= max(known) - 1e-6
        assert len(known) >= POLICY.least_samples or chosen.memory_mib >= now.memory_mib
        assert chosen.vcpus * 70 >= now.vcpus * found.cpu_p95 - 1e-6 - now.vcpus * 0.1  # told to a tenth
        assert chosen.disk_gib >= now.disk_gib
        assert chosen.labels == now.labels


@some
@given(measured, offers)
def test_never_dearer_unless_starved(samples: Any, flavors: Any) -> None:
    found, now, chosen = judged(samples, flavors)
    known = [each["memory_used_mib"] for each in samples if "memory_used_mib" in each]
    cpu = percentile(sorted(each["cpu_percent"] for each in samples), 95.0) or 0.0
    starved = cpu >= 90 or max(known, default=0.0) >= now.memory_mib * 0.9
    assert (found.change == LARGER) == (starved and found.suggestion != KEEP)
    if starved or found.suggestion == KEEP:
        return
    if now.price_per_hour is None:
        assert chosen.vcpus <= now.vcpus
        assert chosen.memory_mib <= now.memory_mib
        assert found.saving_per_hour is None
    else:
        assert chosen.price_per_hour is not None
        assert chosen.price_per_hour <= now.price_per_hour
        assert found.saving_per_hour == pytest.approx(now.price_per_hour - chosen.price_per_hour)


@some
@given(measured, st.one_of(priced, unpriced, free))
def test_what_was_suggested_needs_no_other_suggestion(samples: Any, flavors: Any) -> None:
    found, now, chosen = judged(samples, flavors)
    if found.suggestion == KEEP:
        return
    again = [{**each, "cpu_percent": min(each["cpu_percent"] * now.vcpus / chosen.vcpus, 100.0)} for each in samples]
    second, _now, _chosen = judged(again, flavors, chosen.name)
    assert second.suggestion == KEEP, f"{found.reason} / {second.reason}"


@some
@given(measured, offers, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_of_flavors_means_nothing(samples: Any, flavors: Any, dice: random.Random) -> None:
    first, now, _chosen = judged(samples, flavors)
    mixed, others = list(samples), list(flavors)
    dice.shuffle(mixed)
    dice.shuffle(others)
    assert judged(mixed, others, now.name)[0] == first


@some
@given(measured, offers, st.data())
def test_a_sample_that_came_twice_changes_nothing_but_is_said(samples: Any, flavors: Any, data: Any) -> None:
    twice = data.draw(st.lists(st.sampled_from(samples), min_size=1, max_size=5))
    first, _now, _chosen = judged(samples, flavors)
    vm = Vm(name="v", cloud="one", flavor=flavors[0].name)
    second = suggest(vm, [*samples, *twice], flavors, POLICY, window=60.0 * len(samples))
    assert "came twice" in second.reason or "does not tell" in second.reason
    assert second.with_(reason="") == first.with_(reason="")


@some
@given(measured, nonsense, offers)
def test_what_is_no_number_is_left_out_and_said(samples: Any, wrong: Any, flavors: Any) -> None:
    vm = Vm(name="v", cloud="one", flavor=flavors[0].name)
    bad = [{"at": 1e9 + n, "cpu_percent": value} for n, value in enumerate((math.nan, math.inf, -1.0, "x", True))]
    first = suggest(vm, samples, flavors, POLICY, window=60.0 * len(samples))
    second = suggest(vm, [*bad, *samples], flavors, POLICY, window=60.0 * len(samples))
    assert second.with_(reason="") == first.with_(reason="")
    assert "5 samples were no numbers" in second.reason
    found = suggest(vm, [*wrong, *samples], flavors, POLICY, window=60.0 * len(samples))
    assert found.reason
    assert found.cpu_p95 is not None
    assert 0 <= found.cpu_p95 <= 100


@some
@given(nonsense, offers)
def test_nonsense_alone_keeps_a_vm_as_it_is(wrong: Any, flavors: Any) -> None:
    some = wrong[:9]
    found = suggest(Vm(name="v", cloud="one", flavor=flavors[0].name), some, flavors, POLICY, window=3600.0)
    assert found.suggestion == KEEP
    assert "no number is no load" in found.reason


def test_prices_are_asked_of_the_smallest_that_would_do_the_own_family_first() -> None:
    rows = [["m5.xlarge", 4, 16384, 0, None], ["a1.large", 2, 8192, 0, None], ["m5.large", 2, 8192, 0, None],
            ["x.tiny", 1, 512, 0, None], ["m5.huge", 64, 262144, 0, None]]  # fmt: skip
    samples = [sample(number, 5.0, 3000.0) for number in range(20)]
    vm = Vm(name="v", cloud="one", flavor="m5.xlarge")
    found = candidates(vm, samples, flavors_of(rows), POLICY, 1200.0)
    assert [flavor.name for flavor in found] == ["m5.large", "a1.large", "m5.huge"]
    assert candidates(vm, samples[:3], flavors_of(rows), POLICY, 1200.0) == []
