"""Plans become durable operations: recorded, partial, cancelled, resumed."""

from __future__ import annotations

import pytest

from cloudms import engine
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, cancel, resume
from cloudms.engine.operation import observed
from cloudms.engine.process import alive, this_process
from cloudms.errors import Conflict, Interrupted, Invalid, NoCapacity, NotFound
from cloudms.model import Operation, OperationState, Step, Vm
from tests.unit.engine.conftest import Call

DONE: list[str] = []


@action("test.do")
def _do(work: Work) -> Vm:
    if work.step.params.get("fail"):
        raise NoCapacity("no more", hint="less")
    if work.step.params.get("bug"):
        raise ZeroDivisionError("oops")
    if work.step.params.get("interrupt"):
        raise KeyboardInterrupt
    DONE.append(work.step.target)
    return Vm(name=work.step.target)


def plan(*targets: str, **params: dict[str, bool]) -> Plan:
    steps = tuple(Step(action="test.do", cloud="first", target=t, params=params.get(t, {})) for t in targets)
    return Plan(verb="vm list", summary="test", steps=steps)


@pytest.fixture(autouse=True)
def _empty() -> None:
    DONE.clear()


def stored(ctx: Context, name: str) -> Operation:
    row = ctx.catalog.get("operation", name)
    assert row
    return Operation.from_document(row.document)


def test_every_step_has_its_record(ctx: Context) -> None:
    operation = engine.run(ctx, plan("a", "b", "c"))
    assert operation.state is OperationState.DONE
    assert [(s.target, s.state) for s in operation.steps] == [("a", "done"), ("b", "done"), ("c", "done")]
    assert [s.result["name"] for s in operation.steps if s.result] == ["a", "b", "c"]
    assert stored(ctx, operation.name) == operation


def test_who_watches_hears_of_every_step(ctx: Context) -> None:
    heard: list[tuple[int, str, str]] = []
    begun = engine.start(ctx, plan("a", "b", b={"fail": True}))
    engine.execute(ctx, begun, lambda position, step: heard.append((position, step.target, step.state)))
    assert sorted(heard) == [(0, "a", "done"), (0, "a", "running"), (1, "b", "failed"), (1, "b", "running")]


def test_an_operation_is_found_by_the_labels_it_began_or_goes_on_with(ctx: Context) -> None:
    engine.execute(ctx, engine.start(ctx, plan("a", a={"fail": True}), labels={"request": "x"}))
    again = plan("a").with_(resume="op-1")
    engine.execute(ctx, engine.start(ctx, again, labels={"second": "y"}))
    for labels in ({"request": "x"}, {"second": "y"}):
        assert [row.key for row in ctx.catalog.find("operation", labels=labels)] == ["op-1"]
    assert not ctx.catalog.find("operation", labels={"request": "y"})


def test_a_failure_never_stops_the_rest(ctx: Context) -> None:
    operation = engine.run(ctx, plan("a", "b", "c", b={"fail": True}))
    assert operation.state is OperationState.PARTIAL
    assert sorted(DONE) == ["a", "c"]
    failed = operation.steps[1]
    assert failed.error is not None
    assert (failed.state, failed.error["code"], failed.error["hint"]) == ("failed", "no_capacity", "less")


def test_a_bug_in_one_step_is_recorded_and_the_others_are_done(ctx: Context) -> None:
    with pytest.raises(ZeroDivisionError):
        engine.run(ctx, plan("a", "b", "c", b={"bug": True}))
    assert sorted(DONE) == ["a", "c"]
    operation = stored(ctx, "op-1")
    assert operation.state is OperationState.PARTIAL
    assert operation.steps[1].error is not None
    assert "ZeroDivisionError" in operation.steps[1].error["message"]


def test_all_failed_is_failed(ctx: Context) -> None:
    assert engine.run(ctx, plan("a", a={"fail": True})).state is OperationState.FAILED


def test_an_interruption_is_recorded_and_names_the_way_on(ctx: Context) -> None:
    with pytest.raises(Interrupted) as caught:
        engine.run(ctx, plan("a", a={"interrupt": True}))
    name = caught.value.details["operation"]
    assert stored(ctx, name).state is OperationState.CANCELLED
    assert f"cms operation resume {name}" in caught.value.hint


def test_resume_does_only_what_was_not_done(ctx: Context) -> None:
    operation = engine.run(ctx, plan("a", "b", b={"fail": True}))
    fixed = operation.with_(steps=tuple(s.with_(params={}) for s in operation.steps))
    ctx.catalog.put("operation", {fixed.name: fixed.to_document()})
    DONE.clear()
    assert resume(ctx, operation.name).state is OperationState.DONE
    assert DONE == ["b"]


def test_resume_refuses_what_is_done_unknown_or_alive(ctx: Context) -> None:
    done = engine.run(ctx, plan("a"))
    with pytest.raises(Invalid, match="is done"):
        resume(ctx, done.name)
    with pytest.raises(NotFound, match="op-99"):
        resume(ctx, "op-99")
    running = engine.start(ctx, plan("b"))
    with pytest.raises(Conflict, match="still being worked on"):
        resume(ctx, running.name)


def test_an_operation_of_a_dead_process_is_interrupted(ctx: Context) -> None:
    running = engine.start(ctx, plan("a"))
    assert observed(running).state is OperationState.RUNNING
    host = this_process().split("/")[0]
    dead = running.with_(process=f"{host}/1/1")
    assert observed(dead).state is OperationState.INTERRUPTED
    ctx.catalog.put("operation", {dead.name: dead.to_document()})
    assert resume(ctx, dead.name).state is OperationState.DONE


def test_cancel_asks_a_living_process_and_ends_the_record_of_a_dead_one(ctx: Context) -> None:
    running = engine.start(ctx, plan("a"))
    asked = cancel(ctx, running.name)
    assert asked.cancel
    assert asked.state is OperationState.RUNNING
    dead = running.with_(process="elsewhere/x/0", name="op-7")
    ctx.catalog.put("operation", {"op-7": dead.to_document()})
    assert cancel(ctx, "op-7").state is OperationState.CANCELLED


def test_this_process_lives_and_its_pid_alone_is_no_proof() -> None:
    assert alive(this_process())
    host, pid, started = this_process().split("/")
    assert not alive(f"{host}/{pid}/{int(started) + 1}")


def test_a_dry_run_writes_nothing(ctx: Context, call: Call) -> None:
    planned = call("vm boot", name="web", count=3, dry_run=True)
    assert [step.target for step in planned.steps] == ["web-1", "web-2", "web-3"]
    assert ctx.catalog.find("operation") == []
    assert ctx.catalog.find("vm") == []
    assert ctx.catalog.find("name") == []
