"""What a task has printed: on its node while it runs, on this machine afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cloudms.context import Context
from cloudms.errors import NotFound, NotReady
from cloudms.jobs import store
from cloudms.jobs.exchange import attempt_name
from cloudms.jobs.node import RemoteOf
from cloudms.jobs.task import OPEN, PLACED
from cloudms.model import Task, Vm

_PIECE = 1 << 16
_LOOK, _LAST_LOOK = 0.5, 5.0
"""Seconds between looks at a task that runs: when it prints, and when it has printed nothing for long."""


def printed(ctx: Context, task: Task, remote_of: RemoteOf, *, follow: bool, stderr: bool) -> Iterator[str]:
    """Yield what a task has printed, in pieces; with `follow` until it has ended.

    Another attempt of it begins anew. Raises: NotReady (it has not begun, or its node does not answer).
    """
    name = "stderr" if stderr else "stdout"
    place, attempt, pause = 0, 0, _LOOK
    while True:
        task = store.task(ctx, task.experiment, task.number)
        if attempt != task.attempt:
            place, attempt = 0, task.attempt
        if task.status not in OPEN:
            yield from _kept(store.folder_of(task.experiment, task.number) / name, place)
            return
        got, size = _running(ctx, task, remote_of, name, place, follow=follow)
        if got:
            yield got
            place += size
        if not follow and not got:
            return
        pause = _LOOK if got else min(pause * 1.5, _LAST_LOOK)
        if not got:
            ctx.pause(pause)


def _running(ctx: Context, task: Task, remote_of: RemoteOf, name: str, place: int, *, follow: bool) -> tuple[str, int]:
    """Return the next piece of what a task prints that has not ended, and its size in bytes."""
    if task.status not in PLACED:
        if follow:
            return "", 0
        raise NotReady(f"{task.name} has not begun", hint=f"cms experiment logs {task.name} --follow waits for it")
    node = next((node for node in store.nodes(ctx, task.experiment) if node.name == task.node), None)
    row = ctx.catalog.get("vm", node.vm) if node else None
    if row is None:
        raise NotFound(f"the node of {task.name} is gone", hint=f"cms experiment watch {task.experiment}")
    try:
        remote = remote_of(ctx, store.find(ctx, task.experiment), Vm.from_document(row.document))
        return remote.tail(attempt_name(task), name, place)
    except NotReady as error:
        if follow:
            return "", 0
        raise NotReady(error.message, hint="try again when its node answers") from None


def _kept(file: Path, place: int) -> Iterator[str]:
    """Yield what stands in a file from a byte on."""
    try:
        with file.open("rb") as stream:
            stream.seek(place)
            while piece := stream.read(_PIECE):
                yield piece.decode("utf-8", "replace")
    except FileNotFoundError:
        return
