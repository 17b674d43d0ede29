"""What results mean: one rule for every door."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.doors import outcome
from cloudms.engine.plan import Listing, Plan
from cloudms.errors import Invalid, MissingExtra, NoCapacity, NotReady, Partial, tree
from cloudms.model import Operation, Step, Vm
from tests.unit.doors.toys import WEB

READY = NotReady("far does not answer", hint="is it up?", details={"a": 1})


def step(target: str, error: Any = None, state: str = "") -> Step:
    return Step(
        action="toy.make",
        cloud="near",
        target=target,
        state=state or ("failed" if error else "done"),
        error=error.to_public() if error else None,
        result=None if error or state else WEB.with_(name=target).to_public(),
    )


def operation(*steps: Step) -> Operation:
    return Operation(name="op-1", steps=steps)


@pytest.mark.parametrize("cls", tree())
def test_an_error_comes_back_from_its_public_form(cls: type[Any]) -> None:
    error = MissingExtra("aws", why="this") if cls is MissingExtra else cls("no", hint="try", details={"a": 1})
    again = outcome.rebuilt(error.to_public())
    assert type(again) is cls
    assert again.to_public() == error.to_public()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("a")], None),
        ([step("a"), step("b", READY)], Partial),
        ([step("a", READY)], NotReady),
        ([step("a", READY), step("b", READY)], NotReady),
        ([step("a", READY), step("b", NoCapacity("full"))], Partial),
        ([step("a", READY), step("b", state="cancelled")], Partial),
    ],
)
def test_an_operation(steps: list[Step], expected: type[Exception] | None) -> None:
    found = outcome.of_operation(operation(*steps))
    assert type(found) is (expected or type(None))


def test_the_error_of_one_is_its_own_and_of_several_says_how_many() -> None:
    one = outcome.of_operation(operation(step("a", READY)))
    assert one is not None
    assert one.message == "far does not answer"
    all_of_them = outcome.of_operation(operation(step("a", READY), step("b", READY)))
    assert all_of_them is not None
    assert all_of_them.message == "all 2 failed: far does not answer"


def test_partial_has_a_record_of_each_that_failed() -> None:
    found = outcome.of_operation(operation(step("a"), step("b", READY), step("c", state="cancelled")))
    assert found is not None
    assert found.message == "2 of 3 failed: b, c"
    assert set(found.details["failed"]) == {"b", "c"}
    assert "op-1" in found.hint


@pytest.mark.parametrize(
    ("items", "failed", "asked", "expected"),
    [
        ((WEB,), [], ["near"], None),
        ((), ["far"], ["far"], NotReady),
        ((), ["far", "off"], ["far", "off"], NotReady),
        ((), ["far"], ["far", "near"], Partial),
        ((WEB,), ["far"], ["far"], NotReady),
    ],
)
def test_a_listing(
    items: tuple[Vm, ...], failed: list[str], asked: list[str], expected: type[Exception] | None
) -> None:
    listing = Listing(items=items, failed={name: READY.to_public() for name in failed})
    assert type(outcome.of_listing(listing, asked)) is (expected or type(None))


def test_clouds_that_fail_differently_are_partial() -> None:
    failed = {"far": READY.to_public(), "off": Invalid("no").to_public()}
    assert isinstance(outcome.of_listing(Listing(failed=failed), ["far", "off"]), Partial)


def test_a_cloud_of_which_some_regions_answered_answered_in_part() -> None:
    error = NotReady("eu-west-1 is silent", details={"complete": ["us-east-1"]}).to_public()
    assert isinstance(outcome.of_listing(Listing(failed={"far": error}), ["far"]), Partial)


def test_results_are_nouns_or_the_record_of_a_step() -> None:
    gone = step("b").with_(result=None)
    found = outcome.results(operation(step("a"), gone, step("c", READY)))
    assert [(row["kind"], row.get("name") or row.get("target")) for row in found] == [("vm", "a"), ("step", "b")]


def test_nouns_of_an_operation_are_nouns_again() -> None:
    stored = Operation.from_document(operation(step("a"), step("b").with_(result=None)).to_document())
    first, second = outcome.nouns_of(stored)
    assert first == WEB.with_(name="a", raw={})
    assert isinstance(second, Step)


def test_a_plan_is_self_describing() -> None:
    plan = Plan(verb="toy make", summary="make a toy", steps=(step("a"),), question="sure?", notes=("mind it",))
    assert outcome.public_plan(plan) == {
        "kind": "plan",
        "schema": 1,
        "verb": "toy make",
        "summary": "make a toy",
        "steps": [{"action": "toy.make", "cloud": "near", "target": "a", "params": {}}],
        "question": "sure?",
        "notes": ["mind it"],
        "shows": {},
    }
