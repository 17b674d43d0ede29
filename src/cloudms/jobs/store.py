"""The documents of experiments in the catalog: changed by compare and set, and driven by one process at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cloudms import paths
from cloudms.catalog.base import Lease
from cloudms.clock import SystemClock
from cloudms.context import Context, not_found
from cloudms.engine.process import alive, this_process
from cloudms.engine.refresh import event
from cloudms.errors import NotFound
from cloudms.model import Experiment, Node, Noun, Task

T = TypeVar("T", bound=Noun)

_HOLD = 30.0
"""Seconds for which a turn is held without being renewed."""
_RENEW = 10.0
"""Seconds between renewals."""
_PAGE = 1000
_TURNS = itertools.count(1)


def create(ctx: Context, experiment: Experiment, tasks: Sequence[Task]) -> bool:
    """Write an experiment and its tasks, unless they are there; return whether the name was free or already this one's.

    Calling it again with the same `id` writes what a killed process has left out.
    """
    text = f"asked for, {len(tasks)} tasks"
    told = event(ctx, "experiment.run", experiment, text)
    fresh = ctx.catalog.insert("experiment", experiment.key, experiment.to_document(), event=told)
    if not fresh and find(ctx, experiment.name).id != experiment.id:
        return False
    ctx.catalog.insert_many("task", {task.key: task.to_document() for task in tasks})
    return True


def find(ctx: Context, name: str) -> Experiment:
    """Return an experiment. Raises: NotFound."""
    stored = ctx.catalog.get("experiment", name)
    if stored is None:
        known = (row.document["name"] for row in ctx.catalog.find("experiment"))
        raise not_found("experiment", name, known, "cms experiment list")
    return Experiment.from_document(stored.document)


def experiments(ctx: Context) -> list[Experiment]:
    """Return every experiment, the youngest first."""
    return [Experiment.from_document(row.document) for row in ctx.catalog.find("experiment", newest=True)]


def tasks(ctx: Context, name: str) -> list[Task]:
    """Return the tasks of an experiment in the order of their numbers."""
    return sorted(_below(ctx, Task, name), key=lambda task: task.number)


def task(ctx: Context, name: str, number: int) -> Task:
    """Return one task of an experiment. Raises: NotFound."""
    stored = ctx.catalog.get("task", task_name(name, number))
    if stored is None:
        count = find(ctx, name).tasks
        raise NotFound(f"{name} has no task {number}", hint=f"they are 1 to {count}: cms experiment status {name}")
    return Task.from_document(stored.document)


def task_name(experiment: str, number: int) -> str:
    """Return the name of a task: EXPERIMENT/0007."""
    return f"{experiment}/{number:04d}"


def nodes(ctx: Context, name: str) -> list[Node]:
    """Return the nodes of an experiment in the order of their names."""
    return list(_below(ctx, Node, name))


def _below(ctx: Context, cls: type[T], name: str) -> Iterator[T]:
    """Yield the documents whose keys begin with the name of an experiment and a slash."""
    prefix = after = f"{name}/"
    while rows := ctx.catalog.find(cls.kind, after=after, limit=_PAGE):
        for row in rows:
            if not row.key.startswith(prefix):
                return
            yield cls.from_document(row.document)
        after = rows[-1].key


def change(ctx: Context, noun: T, to: Callable[[T], T], *, action: str = "", text: str = "") -> T:
    """Store what `to` makes of a document as it stands now, and return it; nothing is written when nothing changes.

    `to` is called again when another process was faster. With `action` an event tells of the change.
    Raises: NotFound (it was deleted), what `to` raises.
    """
    while True:
        stored = ctx.catalog.get(noun.kind, noun.key)
        if stored is None:
            raise NotFound(f"{noun.kind} {noun.name} is gone", hint="cms experiment list")
        now = type(noun).from_document(stored.document)
        after = to(now)
        if after == now:
            return now
        told = event(ctx, action, after, text) if action else None
        if ctx.catalog.replace(noun.kind, noun.key, after.to_document(), version=stored.version, event=told):
            return after


def put_node(ctx: Context, node: Node) -> Node:
    """Store a node unless it is there, and return it as it stands."""
    ctx.catalog.insert("node", node.key, node.to_document())
    return change(ctx, node, lambda now: now)


def remove(ctx: Context, experiment: Experiment) -> None:
    """Delete an experiment with its tasks and nodes; its folder is the caller's business."""
    told = event(ctx, "experiment.delete", experiment, "deleted")
    for cls in (Task, Node):
        keys = [noun.key for noun in _below(ctx, cls, experiment.name)]
        ctx.catalog.delete(cls.kind, keys)
    ctx.catalog.delete("experiment", [experiment.key], events=[told])


def folder_of(experiment: str, number: int | None = None) -> Path:
    """Return the folder of an experiment's results on this machine, or of one of its tasks."""
    folder = paths.home() / "experiments" / experiment
    return folder if number is None else folder / "tasks" / f"{number:04d}"


@contextmanager
def turn(ctx: Context, experiment: Experiment, holder: str = "") -> Iterator[bool]:
    """Have the right to drive an experiment, if no other process has it; it is renewed until the block ends.

    The turn of a process that was killed is taken over at once when it was one of this machine, else when it ends.
    Parameters: `holder`, who of this process has it; the same one may have it several times at once.
    """
    owner = f"{this_process()}#{holder or next(_TURNS)}"
    lease = _acquired(ctx, experiment, owner)
    if lease is None:
        yield False
        return
    ended = threading.Event()
    thread = None
    try:
        change(ctx, experiment, lambda now: now.with_(process=owner))
        if isinstance(ctx.clock, SystemClock):
            thread = threading.Thread(target=_renew, args=(ctx, lease, ended), name="cms-turn", daemon=True)
            thread.start()
        yield True
    finally:
        ended.set()
        if thread:
            thread.join()
        ctx.catalog.release(lease)


def driver(experiment: Experiment) -> str:
    """Return the process that drives an experiment now, as host/pid/start, or an empty string."""
    process = experiment.process.partition("#")[0]
    return process if process and alive(process) else ""


def _acquired(ctx: Context, experiment: Experiment, owner: str) -> Lease | None:
    name, now = f"experiment/{experiment.name}", ctx.clock.now()
    lease = ctx.catalog.acquire(name, owner, now=now, seconds=_HOLD)
    last = find(ctx, experiment.name).process
    if lease is not None or not last or alive(last.partition("#")[0]):
        return lease
    # The last one to drive it is dead: its lease, if that is the one in the way, is renewed in its name and given back.
    dead = ctx.catalog.acquire(name, last, now=now, seconds=_HOLD)
    if dead is None:
        return None
    ctx.catalog.release(dead)
    return ctx.catalog.acquire(name, owner, now=now, seconds=_HOLD)


def _renew(ctx: Context, lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(_RENEW):
        ctx.catalog.acquire(lease.name, lease.owner, now=ctx.clock.now(), seconds=_HOLD)


def summed(experiment: Experiment, found: Sequence[Task]) -> dict[str, Any]:
    """Return the counts of an experiment's document for its tasks."""
    return {status: sum(task.status == status for task in found) for status in ("done", "failed", "cancelled")}
