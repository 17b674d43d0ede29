"""The documents of experiments: written once, changed by compare and set, driven by one process at a time."""

from __future__ import annotations

import pytest

from cloudms.context import Context
from cloudms.errors import NotFound
from cloudms.jobs import store
from cloudms.model import Experiment, Node, Task


def _made(ctx: Context, name: str = "exp", count: int = 3) -> Experiment:
    experiment = Experiment(name=name, id=f"id-{name}", tasks=count)
    assert store.create(ctx, experiment, _tasks(name, count))
    return experiment


def _tasks(name: str, count: int) -> list[Task]:
    return [Task(name=store.task_name(name, number), experiment=name, number=number) for number in range(1, count + 1)]


def test_an_experiment_is_written_once(ctx: Context) -> None:
    made = _made(ctx)
    assert store.create(ctx, made, _tasks("exp", 3))
    assert not store.create(ctx, made.with_(id="another"), [])
    assert [task.number for task in store.tasks(ctx, "exp")] == [1, 2, 3]


def test_what_a_killed_process_left_out_is_written_by_the_next(ctx: Context) -> None:
    made = Experiment(name="exp", id="id-exp", tasks=2)
    ctx.catalog.insert("experiment", "exp", made.to_document())
    assert store.create(ctx, made, _tasks("exp", 2))
    assert len(store.tasks(ctx, "exp")) == 2


def test_tasks_of_experiments_with_names_that_begin_alike_are_kept_apart(ctx: Context) -> None:
    for name in ("exp", "exp-2", "exp0", "ex"):
        _made(ctx, name, 2)
    assert [task.name for task in store.tasks(ctx, "exp")] == ["exp/0001", "exp/0002"]


def test_tasks_come_in_the_order_of_their_numbers_however_many(ctx: Context) -> None:
    _made(ctx, "exp", 10_001)
    assert [task.number for task in store.tasks(ctx, "exp")][-3:] == [9999, 10_000, 10_001]


def test_a_change_is_made_to_what_stands_there_now(ctx: Context) -> None:
    made = _made(ctx)
    calls: list[str] = []

    def to(now: Experiment) -> Experiment:
        calls.append(now.reason)
        if len(calls) == 1:  # another process is faster
            stored = ctx.catalog.get("experiment", "exp")
            assert stored
            ctx.catalog.put("experiment", {"exp": {**stored.document, "reason": "other"}})
        return now.with_(done=now.done + 1)

    after = store.change(ctx, made, to)
    assert calls == ["", "other"]
    assert (after.done, after.reason) == (1, "other")


def test_a_change_that_changes_nothing_writes_nothing(ctx: Context) -> None:
    made = _made(ctx)
    before = ctx.catalog.get("experiment", "exp")
    store.change(ctx, made, lambda now: now, action="experiment.run", text="nothing")
    assert ctx.catalog.get("experiment", "exp") == before


def test_a_change_tells_of_itself(ctx: Context) -> None:
    made = _made(ctx)
    store.change(ctx, made, lambda now: now.with_(status="running"), action="experiment.run", text="began")
    assert ctx.catalog.find("event")[-1].document["text"] == "began"


def test_what_was_deleted_cannot_be_changed(ctx: Context) -> None:
    made = _made(ctx)
    store.put_node(ctx, Node(name="n1", experiment="exp"))
    store.remove(ctx, made)
    assert not store.tasks(ctx, "exp")
    assert not store.nodes(ctx, "exp")
    with pytest.raises(NotFound):
        store.change(ctx, made, lambda now: now.with_(done=1))


def test_a_node_that_is_known_is_kept(ctx: Context) -> None:
    store.put_node(ctx, Node(name="n1", experiment="exp", status="ready"))
    assert store.put_node(ctx, Node(name="n1", experiment="exp")).status == "ready"


def test_one_process_has_the_turn(ctx: Context) -> None:
    made = _made(ctx)
    with store.turn(ctx, made) as mine:
        assert mine
        assert store.driver(store.find(ctx, "exp"))
        with store.turn(ctx, made) as other:
            assert not other
    with store.turn(ctx, made) as later:
        assert later


def test_the_turn_of_a_dead_process_of_this_machine_is_taken_over_at_once(ctx: Context) -> None:
    made = _made(ctx)
    import os

    dead = f"{os.uname().nodename}/999999999/1#1"
    assert ctx.catalog.acquire("experiment/exp", dead, now=ctx.clock.now(), seconds=30)
    store.change(ctx, made, lambda now: now.with_(process=dead))
    assert not store.driver(store.find(ctx, "exp"))
    with store.turn(ctx, made) as mine:
        assert mine


def test_the_turn_of_a_process_elsewhere_is_taken_when_it_has_ended(ctx: Context) -> None:
    made = _made(ctx)
    far = "elsewhere/12/1#1"
    assert ctx.catalog.acquire("experiment/exp", far, now=ctx.clock.now(), seconds=30)
    store.change(ctx, made, lambda now: now.with_(process=far))
    with store.turn(ctx, made) as mine:
        assert not mine
    ctx.clock.sleep(31)
    with store.turn(ctx, made) as mine:
        assert mine


def test_unknown_experiments_and_tasks_are_named(ctx: Context) -> None:
    _made(ctx, "sweep")
    with pytest.raises(NotFound, match="no experiment named 'swep'") as caught:
        store.find(ctx, "swep")
    assert "sweep" in caught.value.hint
    with pytest.raises(NotFound, match="no task 9"):
        store.task(ctx, "sweep", 9)
