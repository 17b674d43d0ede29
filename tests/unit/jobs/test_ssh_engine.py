"""The engine over imagined nodes: everything is run once and kept, whatever nodes, clouds and managers do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.guards import unguarded
from cloudms.jobs import asking, store
from cloudms.jobs.base import Progress
from cloudms.jobs.nodes import boot
from cloudms.jobs.spec import Boot, Setup, Spec, Value
from cloudms.jobs.ssh_engine import SshEngine
from cloudms.jobs.task import again
from cloudms.model import Experiment, Task
from tests.unit.calling import Call

from .imagined import Killed, World

Make = Callable[..., Experiment]


@pytest.fixture
def world(clock: ManualClock) -> World:
    """Return nodes on which a task takes ten seconds."""
    return World(clock)


@pytest.fixture
def lab(call: Call) -> list[str]:
    """Boot a group of three VMs and return their names."""
    operation = call("vm boot", "micro", name="n", count=3, group="lab")
    return sorted(step.target for step in operation.steps)


@pytest.fixture
def make(ctx: Context) -> Make:
    """Return a function that writes an experiment."""

    def do(tasks: int = 6, **wanted: Any) -> Experiment:
        wanted = {"group": "lab"} | wanted
        spec = Spec(name="exp", commands=("true",), values=(Value(name="v", regex="value=(.*)"),), **wanted)
        return asking.write(ctx, spec.with_(repeats=tasks), "token", exact=True)

    return do


def drive(
    ctx: Context, world: World, *, passes: int = 200, engine: SshEngine | None = None,
    until: Callable[[list[Task]], bool] = lambda _tasks: False,
) -> Progress:  # fmt: skip
    """Make passes until the experiment has ended, or something is so; the clock goes on by what each asks for."""
    engine = engine or SshEngine(world.remote)
    for _ in range(passes):
        progress = engine.step(ctx, store.find(ctx, "exp"))
        if progress.ended or until(store.tasks(ctx, "exp")):
            return progress
        ctx.clock.sleep(max(progress.pause, 1.0))
    raise AssertionError(store.tasks(ctx, "exp"))


def statuses(ctx: Context) -> set[str]:
    """Return the statuses of all tasks."""
    return {task.status for task in store.tasks(ctx, "exp")}


def running(count: int) -> Callable[[list[Task]], bool]:
    """Return whether so many tasks run."""
    return lambda tasks: sum(task.status == "running" for task in tasks) >= count


def test_every_task_is_run_once_and_what_came_of_it_is_here(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    made = make(7)
    ended = drive(ctx, world)
    assert (ended.experiment.status, ended.experiment.done, ended.tasks) == ("done", 7, {"done": 7})
    assert world.begun() == dict.fromkeys(range(1, 8), 1)
    for task in store.tasks(ctx, "exp"):
        folder = store.folder_of(made.name, task.number)
        assert (folder / "stdout").read_text() == f"value={task.number:04d}.1\n"
        assert '"status": "done"' in (folder / "task.json").read_text()
        assert (task.seconds, task.exit) == (10.0, 0)
        assert task.values["v"] in (f"{task.number:04d}.1", task.number + 0.1)
    assert {node.status for node in store.nodes(ctx, "exp")} == {"released"}
    assert {node.name for node in store.nodes(ctx, "exp")} == set(lab)


def test_all_tasks_are_with_their_nodes_at_once_so_that_these_go_on_alone(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    make(30)
    drive(ctx, world, until=running(3))
    assert statuses(ctx) == {"running", "starting"}
    for node in world.nodes.values():
        assert len(node.queued) + len(node.running) == 10


def test_a_node_that_is_slow_gives_back_what_it_has_not_begun(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    make(9)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    slow = world.nodes[lab[0]]
    slow.running = {name: ctx.clock.now() + 1000 for name in slow.running}
    drive(ctx, world, engine=engine, until=lambda tasks: sum(task.status == "done" for task in tasks) == 8)
    assert set(world.begun().values()) == {1}
    assert any(
        "gave it back" in record.get("reason", "") for task in store.tasks(ctx, "exp") for record in task.history
    )


def test_a_failure_is_tried_again_elsewhere_and_then_stays_one(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    world.code = lambda number, attempt, _node: {1: 3, 2: 4 if attempt == 1 else 0}.get(number, 0)
    make(4, retries=1)
    ended = drive(ctx, world)
    first, second = store.tasks(ctx, "exp")[:2]
    assert (ended.experiment.status, ended.experiment.reason) == ("failed", "exit code 3 (1)")
    assert (first.status, first.attempt, first.reason) == ("failed", 2, "exit code 3")
    assert (second.status, second.attempt, second.exit) == ("done", 2, 0)
    assert first.history[0]["node"] != first.history[1]["node"]


def test_the_tasks_of_a_node_that_is_deleted_end_elsewhere_and_say_why(
    ctx: Context, world: World, lab: list[str], make: Make, call: Call
) -> None:
    make(9)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    world.silent.add(lab[0])
    call("vm delete", [lab[0]])
    ended = drive(ctx, world, engine=engine)
    assert ended.experiment.status == "done"
    moved = [task for task in store.tasks(ctx, "exp") if task.attempt > 1]
    assert len(moved) == 3
    assert {task.node for task in store.tasks(ctx, "exp")} == set(lab[1:])
    told = {record["status"]: record["reason"] for task in moved for record in task.history[:1]}
    assert told == {"lost": f"{lab[0]} was deleted", "returned": f"{lab[0]} was deleted"}
    node = next(node for node in store.nodes(ctx, "exp") if node.name == lab[0])
    assert (node.status, node.reason) == ("lost", f"{lab[0]} was deleted")


def test_a_node_that_is_silent_for_long_is_given_up_and_what_it_still_runs_is_ended_when_it_is_back(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    world.seconds = 400.0
    make(3)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    world.silent.add(lab[0])
    drive(ctx, world, engine=engine, until=lambda tasks: any(task.attempt > 1 for task in tasks))
    lost = next(node for node in store.nodes(ctx, "exp") if node.name == lab[0])
    assert (lost.status, "has not answered for" in lost.reason) == ("lost", True)
    world.silent.clear()
    ended = drive(ctx, world, engine=engine)
    assert ended.experiment.status == "done"
    assert not world.nodes[lab[0]].running
    assert len(list(store.folder_of("exp").glob("tasks/*"))) == 3


def test_a_silence_that_is_short_changes_nothing(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    make(6)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    world.silent.add(lab[0])
    for _ in range(5):
        engine.step(ctx, store.find(ctx, "exp"))
        ctx.clock.sleep(5)
    world.silent.clear()
    assert drive(ctx, world, engine=engine).experiment.status == "done"
    assert set(world.begun().values()) == {1}


def test_a_node_that_leaves_the_group_ends_what_it_runs_and_gets_nothing_more(
    ctx: Context, world: World, lab: list[str], make: Make, call: Call
) -> None:
    make(9)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    call("group remove", "lab", [lab[0]])
    assert drive(ctx, world, engine=engine).experiment.status == "done"
    assert set(world.begun().values()) == {1}
    assert sum(task.node == lab[0] for task in store.tasks(ctx, "exp")) == 1
    node = next(node for node in store.nodes(ctx, "exp") if node.name == lab[0])
    assert (node.status, node.reason) == ("released", "it has left the group")


def test_when_clouds_do_not_answer_either_it_is_our_own_network_and_no_node_is_given_up(
    ctx: Context, world: World, lab: list[str], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(6)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    world.silent |= set(lab)
    monkeypatch.setattr("cloudms.jobs.nodes.fate", lambda _ctx, _node: None)
    for _ in range(20):
        engine.step(ctx, store.find(ctx, "exp"))
        ctx.clock.sleep(600)
    world.silent.clear()
    assert drive(ctx, world, engine=engine).experiment.status == "done"
    assert {task.attempt for task in store.tasks(ctx, "exp")} == {1}


def test_what_failed_is_run_again_on_the_same_nodes(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    world.code = lambda number, attempt, _node: int(number == 2 and attempt == 1)
    made = make(3)
    assert drive(ctx, world).experiment.status == "failed"
    _set_back(ctx, made)
    for node in world.nodes.values():  # as `clean` leaves them
        node.known = False
    assert drive(ctx, world).experiment.status == "done"
    assert world.begun() == {1: 1, 2: 2, 3: 1}


def test_what_failed_is_run_again_on_nodes_that_are_booted_anew(ctx: Context, world: World, make: Make) -> None:
    world.code = lambda number, attempt, _node: int(number == 2 and attempt == 1)
    made = make(3, group="", boot=Boot(size=2, cloud="first", image="micro"))
    assert drive(ctx, world).experiment.status == "failed"
    ctx.clock.sleep(100)
    _set_back(ctx, made)
    world.nodes.clear()
    assert drive(ctx, world).experiment.status == "done"
    assert not list(ctx.cloud("first").list_vms())


def _set_back(ctx: Context, made: Experiment) -> None:
    """Do what `experiment rerun --failed` does."""
    for task in store.tasks(ctx, "exp"):
        if task.status == "failed":
            store.change(ctx, task, again)
    store.change(ctx, made, lambda now: now.with_(status="waiting", ended=None, failed=0))
    ctx.clock.sleep(1)


def test_a_node_whose_set_up_fails_gets_no_tasks(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    world.bad.add(lab[1])
    make(4, setup=Setup(packages=("nothing",)))
    assert drive(ctx, world).experiment.status == "done"
    assert {task.node for task in store.tasks(ctx, "exp")} == {lab[0], lab[2]}
    node = next(node for node in store.nodes(ctx, "exp") if node.name == lab[1])
    assert (node.status, node.reason) == ("bad", "its set-up failed: E: no package")


def test_without_a_node_that_could_take_them_tasks_fail_with_the_reason(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    world.bad |= set(lab)
    make(4, setup=Setup(packages=("nothing",)))
    ended = drive(ctx, world)
    assert (ended.experiment.status, ended.experiment.failed) == ("failed", 4)
    assert "no node is left: its set-up failed: E: no package" in store.tasks(ctx, "exp")[0].reason


@pytest.mark.parametrize("point", range(1, 73, 3))
def test_a_manager_that_is_killed_at_any_point_loses_nothing_and_doubles_nothing(
    ctx: Context, world: World, lab: list[str], make: Make, point: int
) -> None:
    make(6)
    world.kill_at = point
    with pytest.raises(Killed):
        drive(ctx, world)
    ctx.clock.sleep(31)  # its turn ends
    drive(ctx, world)
    assert statuses(ctx) == {"done"}
    assert world.begun() == dict.fromkeys(range(1, 7), 1)
    assert {task.attempt for task in store.tasks(ctx, "exp")} == {1}


def test_a_new_manager_for_every_pass_loses_nothing_and_doubles_nothing(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    make(6)
    for _ in range(60):
        if SshEngine(world.remote).step(ctx, store.find(ctx, "exp")).ended:
            break
        ctx.clock.sleep(3)
    assert statuses(ctx) == {"done"}
    assert world.begun() == dict.fromkeys(range(1, 7), 1)


def test_cancelling_ends_what_runs_and_begins_nothing_more(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    made = make(9)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    assert engine.cancel(ctx, made).cancel
    ended = drive(ctx, world, engine=engine)
    assert (ended.experiment.status, ended.experiment.cancelled) == ("cancelled", 9)
    assert statuses(ctx) == {"cancelled"}
    assert len(world.ran) == 3
    assert not any(node.running for node in world.nodes.values())


def test_an_experiment_that_has_not_begun_is_cancelled_at_once(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    made = make(3)
    engine = SshEngine(world.remote)
    engine.cancel(ctx, made)
    assert drive(ctx, world, engine=engine, passes=3).experiment.status == "cancelled"
    assert not world.ran


def test_nodes_are_booted_for_it_and_deleted_when_it_has_ended(ctx: Context, world: World, make: Make) -> None:
    made = make(6, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(2))
    booted = ctx.catalog.find("vm", labels={"experiment": made.name})
    assert len(booted) == 2
    assert all(row.document["expires"] for row in booted)
    assert drive(ctx, world, engine=engine).experiment.status == "done"
    assert not list(ctx.cloud("first").list_vms())
    assert not ctx.catalog.find("vm")


def test_a_node_is_left_alone_until_its_boot_has_ended(
    ctx: Context, world: World, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(4, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    monkeypatch.setattr(engine, "boot", lambda ctx, experiment, wish: boot(ctx, experiment, wish) and None)
    monkeypatch.setattr("cloudms.jobs.nodes.ready", lambda ctx, _experiment: {ctx.catalog.find("vm")[0].key})
    engine.step(ctx, store.find(ctx, "exp"))
    assert len(store.nodes(ctx, "exp")) == 2
    assert len(world.nodes) == 1


def test_nodes_that_are_to_be_kept_stay(ctx: Context, world: World, make: Make) -> None:
    make(2, group="", boot=Boot(size=2, cloud="first", image="micro", keep=True))
    assert drive(ctx, world).experiment.status == "done"
    assert len(list(ctx.cloud("first").list_vms())) == 2


def test_cancelling_deletes_what_was_booted(ctx: Context, world: World, make: Make) -> None:
    made = make(6, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(2))
    engine.cancel(ctx, made)
    assert drive(ctx, world, engine=engine).experiment.status == "cancelled"
    assert not list(ctx.cloud("first").list_vms())


def test_a_boot_that_fails_fails_the_tasks_with_its_reason(ctx: Context, world: World, make: Make) -> None:
    make(2, group="", boot=Boot(size=2, cloud="first", image="no-such-image"))
    ended = drive(ctx, world)
    assert ended.experiment.status == "failed"
    assert "no-such-image" in store.tasks(ctx, "exp")[0].reason
    assert not ctx.catalog.find("vm")


def lose(ctx: Context, world: World, name: str) -> None:
    """Let the cloud take a VM back."""
    cloud = ctx.cloud("first")
    vm = next(vm for vm in cloud.list_vms() if vm.name == name)
    cloud.delete_vm(vm)
    world.silent.add(name)


def names(ctx: Context) -> dict[str, str]:
    """Return the status of every node by its name."""
    return {node.name: node.status for node in store.nodes(ctx, "exp")}


def test_a_node_that_is_lost_is_replaced_while_tasks_wait(ctx: Context, world: World, make: Make) -> None:
    world.seconds = 1000.0
    made = make(6, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(2))
    lose(ctx, world, "exp-node-1")
    drive(ctx, world, engine=engine, until=lambda _tasks: names(ctx).get("exp-node-3") == "ready")
    assert names(ctx) == {"exp-node-1": "lost", "exp-node-2": "ready", "exp-node-3": "ready"}
    told = store.find(ctx, "exp")
    assert (told.replaced, told.reason) == (1, "1 node is missing and booted anew, 1 of 2 that may be replaced")
    assert told.reason in [row.document["text"] for row in ctx.catalog.find("event", name="exp")]
    ended = drive(ctx, world, engine=engine, passes=2000)
    assert (ended.experiment.status, ended.experiment.done, ended.experiment.replaced) == ("done", 6, 1)
    assert {task.node for task in store.tasks(ctx, "exp")} == {"exp-node-2", "exp-node-3"}
    assert not ctx.catalog.find("vm", labels={"experiment": made.name})


def test_no_more_nodes_are_replaced_than_it_was_to_have(ctx: Context, world: World, make: Make) -> None:
    world.seconds = 1000.0
    make(9, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    for number in (1, 2, 3):
        name = f"exp-node-{number}"
        drive(ctx, world, engine=engine, until=lambda _tasks, name=name: names(ctx).get(name) == "ready")
        lose(ctx, world, name)
        drive(ctx, world, engine=engine, until=lambda _tasks, name=name: names(ctx).get(name) == "lost")
    drive(ctx, world, engine=engine, until=lambda _tasks: names(ctx).get("exp-node-4") == "ready")
    lose(ctx, world, "exp-node-4")
    ended = drive(ctx, world, engine=engine)
    assert (ended.experiment.status, ended.experiment.replaced) == ("failed", 2)
    assert set(names(ctx)) == {f"exp-node-{number}" for number in (1, 2, 3, 4)}


def test_nothing_is_replaced_when_no_task_waits_or_a_person_stopped_it(
    ctx: Context, world: World, make: Make, call: Call
) -> None:
    make(2, group="", boot=Boot(size=2, cloud="first", image="micro"), moves=0)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(2))
    lose(ctx, world, "exp-node-1")
    assert drive(ctx, world, engine=engine).experiment.replaced == 0


def test_a_node_that_a_person_stopped_is_not_replaced(ctx: Context, world: World, make: Make, call: Call) -> None:
    make(6, group="", boot=Boot(size=2, cloud="first", image="micro"))
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(2))
    call("vm stop", ["exp-node-1"], force=True)
    world.silent.add("exp-node-1")
    ended = drive(ctx, world, engine=engine)
    assert (ended.experiment.status, ended.experiment.replaced) == ("done", 0)


def test_a_boot_in_vain_is_tried_again_after_longer_and_longer_pauses(ctx: Context, world: World, make: Make) -> None:
    full(ctx, times=5)
    make(4, group="", boot=Boot(size=2, cloud="first", image="micro"))
    said: dict[str, float] = {}
    engine = SshEngine(world.remote)
    for _ in range(2000):
        progress = engine.step(ctx, store.find(ctx, "exp"))
        said |= {text: ctx.clock.now() for text in progress.notes if text not in said}
        if progress.ended:
            break
        ctx.clock.sleep(max(progress.pause, 1.0))
    assert (progress.experiment.status, progress.experiment.replaced) == ("done", 0)
    again = [text for text in said if "tried again at" in text]
    assert len(again) == 5
    assert all(text.startswith("2 nodes are missing: ") for text in again)
    due = [datetime.fromisoformat(text.rpartition(" ")[2]).timestamp() - said[text] for text in again]
    assert [round(seconds, -1) for seconds in due] == [60, 120, 240, 480, 900]
    told = [row.document["text"] for row in ctx.catalog.find("event", name="exp")]
    assert set(again) <= set(told)


def full(ctx: Context, times: int) -> None:
    """Let the cloud have no room for so many boots; 0 is always."""
    cloud = unguarded(ctx.cloud("first"))
    assert isinstance(cloud, FakeCloud)
    cloud.add_fault("no_capacity", call="create_vm*", times=times)


def test_a_boot_that_is_always_in_vain_is_given_up(ctx: Context, world: World, make: Make) -> None:
    full(ctx, times=0)
    make(2, group="", boot=Boot(size=1, cloud="first", image="micro"))
    began = ctx.clock.now()
    ended = drive(ctx, world, passes=2000)
    assert (ended.experiment.status, ended.experiment.failed) == ("failed", 2)
    assert "no node is left: " in store.tasks(ctx, "exp")[0].reason
    assert ctx.clock.now() - began > 60 + 120 + 240 + 480 + 900


def test_one_manager_at_a_time_drives_it(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    made = make(3)
    with store.turn(ctx, made):
        seen = SshEngine(world.remote).step(ctx, made)
    assert (seen.mine, seen.tasks) == (False, {"waiting": 3})
    assert not world.ran


def test_a_group_that_is_off_is_refused(ctx: Context, world: World, lab: list[str], make: Make, call: Call) -> None:
    made = make(3)
    call("vm stop", lab)
    with pytest.raises(NotReady, match="none of its members is running"):
        SshEngine(world.remote).start(ctx, made)


def test_passes_come_seldom_while_nothing_happens(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    world.seconds = 1e6
    make(3)
    engine = SshEngine(world.remote)
    pauses = []
    for _ in range(60):
        progress = engine.step(ctx, store.find(ctx, "exp"))
        pauses.append(progress.pause)
        ctx.clock.sleep(progress.pause)
    assert pauses[0] < 1
    assert pauses[-1] == 15.0
    assert pauses[5:] == sorted(pauses[5:])


def test_the_plan_says_who_gets_what_and_touches_nothing(ctx: Context, lab: list[str], make: Make) -> None:
    made = make(7)
    steps = SshEngine().plan(ctx, made)
    assert [(step.target, step.params["tasks"]) for step in steps] == list(zip(lab, (3, 2, 2), strict=True))
    own = SshEngine().plan(ctx, made.with_(spec={**made.spec, "boot": {"size": 2, "cloud": "second"}, "group": ""}))
    assert [step.action for step in own] == ["vm.boot", "vm.boot", "experiment.tasks", "experiment.tasks"]
    assert store.find(ctx, "exp").status == "waiting"
