"""`cms experiment watch` and `logs`: what happens, while it happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.errors import Interrupted, Invalid, NotReady
from cloudms.jobs import store
from cloudms.jobs.base import ENDED
from cloudms.jobs.driving import Ended, begun, passes, told
from cloudms.jobs.engines import engine_of
from cloudms.model import Experiment, Task
from cloudms.verb import Doc, Names, Short, verb
from cloudms.verbs.experiment.look import OneExperiment, task_of
from cloudms.verbs.experiment.wait import in_words, left, problem

_COLUMNS = ("name", "status", "node", "attempt", "exit", "seconds", "params", "reason")
_CHUNK = 64 * 1024


@verb("experiment", "watch", streams=True, columns=_COLUMNS, example="cms experiment watch fit")
def watch(ctx: Context, name: OneExperiment) -> Iterator[Task]:
    """Show each task as it ends, and on a terminal how far the experiment is, until it has ended.

    Where no other process drives the experiment this one does, so that it goes on where a killed one left it. Ctrl-C
    ends the watching and not the experiment, which goes on in the background. It ends with exit code 12 when tasks
    have failed.
    """
    experiment = begun(ctx, store.find(ctx, name))
    seen = Ended(ctx, experiment)
    try:
        for progress in passes(ctx, experiment):
            experiment = progress.experiment
            yield from seen.of(progress)
            if not progress.ended and (ctx.terminal or progress.notes):
                ctx.progress(name, in_words(progress))
    except (KeyboardInterrupt, Interrupted):
        if not ctx.terminal:  # nobody is there who would expect it to go on: it may be the background that is stopped
            raise
        raise left(ctx, experiment) from None
    ctx.note(f"{told(experiment)}; cms experiment results {name}")
    failed = problem(experiment)
    if failed:
        raise failed


@verb("experiment", "logs", streams=True, example="cms experiment logs fit/7 --follow")
def logs(
    ctx: Context,
    name: Annotated[str, Doc("the experiment, or one task of it: fit/7"), Names("experiment")],
    *,
    follow: Annotated[bool, Doc("go on until the task, or the experiment, has ended"), Short("f")] = False,
    stderr: Annotated[bool, Doc("show what was printed to stderr")] = False,
    lines: Annotated[int, Doc("how many lines from the end of each task; 0 shows all"), Short("n")] = 0,
) -> Iterator[str]:
    """Show what a task has printed; of an experiment, what each task has, its number before every line.

    A task that runs is asked on its node. With `--follow` those of an experiment are shown as they end.
    """
    if lines < 0:
        raise Invalid(f"--lines {lines} is no number of lines", hint="for instance --lines 40")
    experiment, task = task_of(ctx, name)
    if task is not None:
        yield from _tail(_printed(ctx, experiment, task, follow=follow, stderr=stderr), lines)
        return
    for each in store.tasks(ctx, experiment.name):
        if each.status in ENDED:
            yield from _numbered(each, _tail(_stored(each, stderr=stderr), lines))
    if not follow or experiment.status in ENDED:
        return
    seen = Ended(ctx, experiment)
    for progress in passes(ctx, experiment):
        for each in seen.of(progress):
            yield from _numbered(each, _tail(_stored(each, stderr=stderr), lines))


def _numbered(task: Task, lines: Iterator[str]) -> Iterator[str]:
    return (f"{task.number:04d}  {line}" for line in lines)


def _tail(lines: Iterator[str], count: int) -> Iterator[str]:
    if not count:
        return lines
    from collections import deque

    return iter(deque(lines, maxlen=count))


def _printed(ctx: Context, experiment: Experiment, task: Task, *, follow: bool, stderr: bool) -> Iterator[str]:
    """Yield the lines of one task: from this machine once it has ended, else from its node.

    Raises: NotReady (it has not begun, and is not waited for).
    """
    while follow and task.status == "waiting":
        ctx.pause(1.0)
        task = store.task(ctx, experiment.name, task.number)
    if task.status in ENDED:
        yield from _stored(task, stderr=stderr)
        return
    if task.status == "waiting":
        hint = f"--follow waits for it; cms experiment status {experiment.name}"
        raise NotReady(f"{task.name} has not begun", hint=hint)
    rest = ""
    for text in engine_of(experiment).logs(ctx, task, follow=follow, stderr=stderr):
        *whole, rest = (rest + text).split("\n")
        yield from whole
    if rest:
        yield rest


def _stored(task: Task, *, stderr: bool) -> Iterator[str]:
    file = store.folder_of(task.experiment, task.number) / ("stderr" if stderr else "stdout")
    return _lines(file) if file.is_file() else iter(())


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file with bounded memory; one without end comes in pieces."""
    with file.open(encoding="utf-8", errors="replace", newline="\n") as opened:
        while line := opened.readline(_CHUNK):
            yield line.removesuffix("\n")
