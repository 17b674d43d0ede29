"""How a task changes: pure functions from a task to the next one, so that every way it can go stands in one place.

    waiting → starting → running → done | failed
       ↑         ├──────────┤
       └─────────┴──────────┘   returned, tried again, or its node lost
    waiting, starting, running → cancelled

`history` has a record for each attempt; those that `count` against the retries or moves say so by their status:
failed and timeout are tries of the task, lost is a loss of its node, returned and cancelled are neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudms.errors import Conflict
from cloudms.model import Task
from cloudms.record import Record

Change = Callable[[Task], Task]
OPEN = ("waiting", "starting", "running")
"""Statuses of tasks that have not ended."""
_LOSSES = {"restarted": "its node was restarted under it", "killed": "what ran it was killed on its node"}
PLACED = ("starting", "running")
"""Statuses of tasks that a node has."""


class Ending(Record):
    """How an attempt ended on its node: exit code, name of the signal that ended it, epoch seconds of the node's clock.

    `cause` is empty for an ordinary end, else timeout, cancelled, restarted (the node, under it) or killed (what ran it
    on its node).
    `problem` is a sentence about what could not be had of it (an output that is missing), empty when all was there.
    """

    exit: int | None = None
    signal: str = ""
    started: float | None = None
    ended: float | None = None
    cause: str = ""
    problem: str = ""

    @property
    def seconds(self) -> float | None:
        """Return how long it took."""
        return None if self.started is None or self.ended is None else max(self.ended - self.started, 0.0)


def given(task: Task, node: str, cloud: str, now: float) -> Task:
    """Return a waiting task as it is given to a node: its next attempt. Raises: Conflict."""
    _only(task, "waiting")
    attempt = task.attempt + 1
    record = {"attempt": attempt, "node": node, "cloud": cloud, "status": "starting", "given": now}
    return task.with_(
        status="starting", node=node, cloud=cloud, attempt=attempt, exit=None, signal="", seconds=None,
        started=None, ended=None, reason="", values={}, history=(*task.history, record),
    )  # fmt: skip


def begun(task: Task, started: float) -> Task:
    """Return a task whose commands run since `started`. Raises: Conflict."""
    _only(task, *PLACED)
    return _noted(task.with_(status="running", started=started), status="running", started=started)


def ended(task: Task, ending: Ending, retries: int, moves: int) -> Task:
    """Return a task whose attempt has ended: done, waiting for another try, or failed. Raises: Conflict.

    Parameters: `retries`, how often it may be tried again; `moves`, how often it may lose its node.
    """
    _only(task, *PLACED)
    if ending.cause in _LOSSES:
        return lost(task.with_(started=ending.started), f"{_LOSSES[ending.cause]} ({task.node})", ending.ended, moves)
    if ending.cause == "cancelled":
        return cancelled(task, ending.ended)
    facts = {"exit": ending.exit, "signal": ending.signal, "seconds": ending.seconds}
    times = {"started": ending.started, "ended": ending.ended}
    after = task.with_(**facts, **times)
    reason = reason_of(ending)
    if not reason:
        return _noted(after.with_(status="done", reason=""), status="done", **facts, **times)
    status = "timeout" if ending.cause == "timeout" else "failed"
    after = _noted(after, status=status, reason=reason, **facts, **times)
    return _again(after, reason, tries(after, "failed", "timeout") <= retries)


def reason_of(ending: Ending) -> str:
    """Return why an attempt did not end well, or an empty string."""
    if ending.cause == "timeout":
        return f"no end within its time{f' ({ending.seconds:.0f} s)' if ending.seconds else ''}"
    if ending.signal:
        return f"ended by signal {ending.signal}"
    if ending.exit:
        return f"exit code {ending.exit}"
    return ending.problem


def lost(task: Task, reason: str, now: float | None, moves: int) -> Task:
    """Return a task whose node is gone: waiting for another one, or failed. One that had not begun loses nothing.

    Raises: Conflict.
    """
    _only(task, *PLACED)
    if task.status == "starting" and task.started is None:
        return returned(task, reason)
    after = _noted(task.with_(ended=now), status="lost", reason=reason, ended=now)
    return _again(after, reason, tries(after, "lost") <= moves)


def returned(task: Task, reason: str) -> Task:
    """Return a task that its node gave back before it began. Raises: Conflict."""
    _only(task, "starting")
    return _noted(_free(task), status="returned", reason=reason)


def given_up(task: Task, reason: str) -> Task:
    """Return a waiting task that no node will ever take. Raises: Conflict."""
    _only(task, "waiting")
    return task.with_(status="failed", reason=reason)


def cancelled(task: Task, now: float | None) -> Task:
    """Return a task that was ended, or will not begin, on request; one that has ended stays what it is."""
    if task.status not in OPEN:
        return task
    after = task.with_(status="cancelled", ended=now, reason="cancelled on request")
    return _noted(after, status="cancelled", ended=now) if task.status in PLACED else after


def again(task: Task) -> Task:
    """Return a failed or cancelled task that is to be run once more, its tries counted anew. Raises: Conflict."""
    _only(task, "failed", "cancelled")
    kept = tuple({**record, "counts": False} for record in task.history)
    return _free(task.with_(history=kept))


def tries(task: Task, *statuses: str) -> int:
    """Return how many attempts ended in one of `statuses` and count."""
    return sum(record["status"] in statuses and record.get("counts", True) for record in task.history)


def _again(task: Task, reason: str, allowed: bool) -> Task:
    return _free(task).with_(reason=reason) if allowed else task.with_(status="failed", reason=reason)


def _free(task: Task) -> Task:
    return task.with_(status="waiting", node="", cloud="", started=None, ended=None)


def _noted(task: Task, **facts: Any) -> Task:
    """Return the task with facts in the record of its current attempt."""
    last: Mapping[str, Any] = {**task.history[-1], **facts}
    return task.with_(history=(*task.history[:-1], last))


def _only(task: Task, *statuses: str) -> None:
    if task.status not in statuses:
        raise Conflict(f"{task.name} is {task.status}, not {' or '.join(statuses)}", hint="cms experiment status")


def recorded(task: Task) -> dict[str, object]:
    """Return what the document of a node keeps of a task that has ended on it."""
    last = task.history[-1] if task.history else {}
    keys = ("attempt", "status", "exit", "started", "ended", "reason")
    return {"task": task.name, **{key: last[key] for key in keys if last.get(key) not in (None, "")}}
