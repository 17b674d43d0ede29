"""What was done and what is left of it: events, operations, cancel, resume."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.doors import table
from cloudms.doors.formats import View
from cloudms.engine import execute, start
from cloudms.engine.process import this_process
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import Operation, OperationState
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import fake


def dead(ctx: Context, operation: Operation) -> str:
    """Store an operation as that of a process which is gone, and return its name."""
    gone = operation.with_(process=f"{this_process().split('/')[0]}/1/1")
    ctx.catalog.put("operation", {gone.name: gone.to_document()})
    return gone.name


def interrupted(ctx: Context, call: Call, **options: Any) -> str:
    """Begin a boot in a process that dies before its first call."""
    return dead(ctx, start(ctx, call("vm boot", dry_run=True, **options)))


def test_events_the_newest_first_by_target_cloud_words_and_number(call: Call, clock: ManualClock) -> None:
    call("vm boot", name="a", cloud="one")
    clock.sleep(5)
    call("vm boot", "micro", name="b", cloud="two")
    found = call("event list").items
    assert found[0].target == "b"
    assert [event.at for event in found] == sorted((event.at for event in found), reverse=True)
    assert all(event.actor == "alice@desk" for event in found)
    assert {event.target for event in call("event list", target="a").items} == {"a"}
    assert {event.target for event in call("event list", cloud="two").items} == {"b"}
    assert [event.text for event in call("event list", ["asked", "for"], target="a").items] == ["asked for, from micro"]
    assert len(call("event list", limit=2).items) == 2
    assert len(call("event list", limit=0).items) == len(found)


def test_operations_the_newest_first_with_their_true_state(ctx: Context, call: Call) -> None:
    call("vm boot", name="a")
    name = interrupted(ctx, call, name="b")
    assert [(o.name, o.state) for o in call("operation list").items] == [
        (name, OperationState.INTERRUPTED),
        ("op-1", OperationState.DONE),
    ]
    assert [o.name for o in call("operation list", state="interrupted").items] == [name]
    assert [o.name for o in call("operation list", ["boot"], limit=1).items] == [name]
    with pytest.raises(Invalid) as caught:
        call("operation list", state="finished")
    assert "interrupted" in caught.value.hint


def test_show_has_every_step(call: Call) -> None:
    operation = call("vm boot", name="web", count=2)
    shown = call("operation show", operation.name)
    assert shown == operation
    assert [step["state"] for step in shown.to_public()["steps"]] == ["done", "done"]
    with pytest.raises(NotFound, match="op-9"):
        call("operation show", "op-9")


def test_a_person_sees_the_steps_as_a_table(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("no_capacity", call="create_vm", name="web-2", reason="the rack is full")
    operation = call("vm boot", "micro", name="web", count=2, cloud="two")
    lines = "".join(table.render([operation], View(single=True, now=ctx.clock.now()))).splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["TARGET", "CLOUD", "ACTION", "STATE", "SECONDS", "ERROR.MESSAGE"],
        ["web-1", "two", "vm.boot", "done", *lines[-2].split()[4:5], "-"],
        ["web-2", "two", "vm.boot", "failed", *lines[-1].split()[4:5], "the", "rack", "is", "full"],
    ]
    assert "state    partial" in lines


def test_resume_is_a_plan_that_any_door_can_run(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("no_capacity", call="create_vm", name="web-2")
    first = call("vm boot", "micro", name="web", count=3, cloud="two")
    assert first.state is OperationState.PARTIAL
    plan = call("operation resume", first.name, dry_run=True)
    assert [step.target for step in plan.steps] == ["web-2"]
    assert plan.resume == first.name
    assert plan.notes == (f"1 of 3 steps are left of {first.name}",)
    assert call("operation show", first.name) == first  # a dry run took nothing over


def test_resume_finishes_what_a_killed_process_began_and_doubles_nothing(ctx: Context, call: Call) -> None:
    name = interrupted(ctx, call, name="web", count=2)
    resumed = call("operation resume", name)
    assert (resumed.name, resumed.state) == (name, OperationState.DONE)
    assert sorted(vm.name for vm in call("vm list").items) == ["web-1", "web-2"]
    assert resumed.process == this_process()
    assert len(ctx.catalog.find("operation")) == 1


def test_a_process_that_died_between_its_last_step_and_its_end_is_closed_by_resume(ctx: Context, call: Call) -> None:
    done = call("vm boot", name="a")
    name = dead(ctx, done.with_(state=OperationState.RUNNING, ended=None))
    plan = call("operation resume", name, dry_run=True)
    assert plan.steps
    assert call("operation resume", name).state is OperationState.DONE
    assert len(fake(ctx, "one").calls("create_vm")) == 1


def test_resume_is_refused_for_what_is_done_or_alive(ctx: Context, call: Call) -> None:
    done = call("vm boot", name="a")
    with pytest.raises(Invalid, match="is done"):
        call("operation resume", done.name)
    running = start(ctx, call("vm boot", name="b", dry_run=True))
    with pytest.raises(Conflict, match="still being worked on"):
        call("operation resume", running.name)


def test_only_one_of_two_takes_an_operation_over(ctx: Context, call: Call) -> None:
    name = interrupted(ctx, call, name="web")
    plans = [call("operation resume", name, dry_run=True) for _ in range(2)]
    taken = start(ctx, plans[0])
    with pytest.raises(Conflict):
        start(ctx, plans[1])
    assert execute(ctx, taken).state is OperationState.DONE


def test_cancel_asks_a_living_process_and_ends_a_dead_one(ctx: Context, call: Call) -> None:
    running = start(ctx, call("vm boot", name="a", dry_run=True))
    call("operation cancel", running.name)
    stored = ctx.catalog.get("operation", running.name)
    assert stored
    assert (stored.document["cancel"], stored.document["state"]) == (True, "running")
    gone = interrupted(ctx, call, name="b")
    call("operation cancel", gone)
    assert call("operation show", gone).state is OperationState.CANCELLED
    with pytest.raises(Invalid, match="nothing to cancel"):
        call("operation cancel", gone)
    with pytest.raises(NotFound):
        call("operation cancel", "op-99")
