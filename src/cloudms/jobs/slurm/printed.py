"""What a task has printed: from the folder of its results, or while it runs from its node."""

from __future__ import annotations

from collections.abc import Iterator

from cloudms import ssh
from cloudms.cluster import store as clusters
from cloudms.cluster.control import Control
from cloudms.cluster.files import of_root
from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.jobs import store
from cloudms.jobs.slurm import arrays, results
from cloudms.jobs.task import OPEN
from cloudms.model import Task, Vm

_PIECE = 1 << 18
_PLACES = "/var/tmp/cms-*"  # noqa: S108 (of a node; job.sh makes one for each person)
_LOOK = 2.0
"""Seconds between looks at a task that runs."""


def printed(ctx: Context, task: Task, *, follow: bool, stderr: bool) -> Iterator[str]:
    """Yield what a task has printed, in pieces; with `follow` until it has ended. Raises: NotReady."""
    name, place, attempt = "stderr" if stderr else "stdout", 0, 0
    while True:
        task = store.task(ctx, task.experiment, task.number)
        if attempt != task.attempt:
            place, attempt = 0, task.attempt
        if task.status not in OPEN:
            yield from _kept(task, name, place)
            return
        try:
            got = _running(ctx, task, name, place)
        except NotReady:
            if not follow:
                raise
            got = ""
        if got:
            yield got
            place += len(got.encode("utf-8", "surrogateescape"))
        elif not follow:
            return
        else:
            ctx.pause(_LOOK)


def _kept(task: Task, name: str, place: int) -> Iterator[str]:
    file = store.folder_of(task.experiment, task.number) / name
    if file.is_file():
        with file.open("rb") as stream:
            stream.seek(place)
            while piece := stream.read(_PIECE):
                yield piece.decode("utf-8", "replace")


def _running(ctx: Context, task: Task, name: str, place: int) -> str:
    """Return the next piece of what a running task prints. Raises: NotReady."""
    experiment = store.find(ctx, task.experiment)
    cluster = clusters.find(ctx, experiment.group)
    if task.status != "running":
        hint = f"cms experiment logs {task.name} --follow waits for it"
        raise NotReady(f"{task.name} has not begun", hint=hint)
    row = next((row for row in ctx.catalog.find("vm", name=task.node) if row.document["name"] == task.node), None)
    if row is None or cluster.ssh:
        raise NotReady(f"the node of {task.name} cannot be asked", hint="what it printed comes when it has ended")
    array = next((each for each in arrays.load(ctx, experiment) if task.number in each.tasks), None)
    job = arrays.by_task(Control(cluster).jobs(), array.job).get(task.number) if array else None
    if array is None or job is None:
        raise NotReady(f"{task.name} has just ended", hint="try again")
    attempt = results.name_of(task.number, array.number, job.restarts)
    where = f"{_PLACES}/.cms/experiments/{experiment.id}.{attempt}/tasks/{attempt}/{name}"
    line = f"tail -c +{place + 1} {where} | head -c {_PIECE}"
    done = ssh.run(Vm.from_document(row.document), [of_root(line)], timeout=60.0)
    if done.exit == ssh.UNREACHED:
        raise NotReady(f"{task.node} does not answer", hint="try again")
    return done.stdout
