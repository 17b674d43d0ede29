"""Driving an experiment: pass after pass until it has ended, here or in a process that goes on without a terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from cloudms import paths
from cloudms.context import Context
from cloudms.engine.process import this_process
from cloudms.errors import CloudmsError
from cloudms.jobs import asking, store
from cloudms.jobs.base import ENDED, Progress
from cloudms.jobs.engines import engine_of
from cloudms.model import Experiment, Task

_LOOKS = 100
"""How often, a tenth of a second apart, it is looked whether a process that goes on has begun."""
_LONGEST = 60.0
"""Seconds between tries of what cannot be reached."""


def begun(ctx: Context, experiment: Experiment) -> Experiment:
    """Return an experiment that runs, or that has ended: one that was written down only is started."""
    if experiment.status in ENDED:
        return experiment
    asking.complete(ctx, experiment)
    return engine_of(experiment).start(ctx, experiment)


def passes(ctx: Context, experiment: Experiment) -> Iterator[Progress]:
    """Make passes, or look on while another process makes them, and yield each until the experiment has ended.

    What may pass by itself (no network, a cloud that does not answer) is told as a note and tried again. Raises: what
    an engine raises for good, Interrupted (this process is to stop; the experiment goes on).
    """
    if experiment.status in ENDED:
        return
    engine = engine_of(experiment)
    wait = 1.0
    while True:
        try:
            progress = engine.step(ctx, experiment)
            wait = 1.0
        except CloudmsError as error:
            if not error.retryable:
                raise
            wait = min(wait * 2, _LONGEST)
            progress = Progress(experiment=experiment, notes=(f"{error.message}; trying again",), pause=wait)
        yield progress
        if progress.ended:
            return
        ctx.pause(progress.pause)
        experiment = store.find(ctx, experiment.name)


def told(experiment: Experiment) -> str:
    """Return how far an experiment is, in a few words."""
    open_ = experiment.tasks - experiment.done - experiment.failed - experiment.cancelled
    words = [f"{experiment.done} of {experiment.tasks} tasks done"]
    words += [f"{experiment.failed} failed"] * (experiment.failed > 0)
    words += [f"{experiment.cancelled} cancelled"] * (experiment.cancelled > 0)
    words += [f"{open_} left"] * (open_ > 0 and experiment.status in ENDED)
    return ", ".join(words)


class Ended:
    """Knows which tasks have ended since it was made, whoever drives the experiment."""

    def __init__(self, ctx: Context, experiment: Experiment) -> None:
        self._ctx = ctx
        self._name = experiment.name
        self._known = {task.number for task in store.tasks(ctx, experiment.name) if task.status in ENDED}

    def of(self, progress: Progress) -> list[Task]:
        """Return the tasks that have ended since the last call, in the order of their numbers."""
        experiment = progress.experiment
        count = experiment.done + experiment.failed + experiment.cancelled
        found = [task for task in progress.changed if task.status in ENDED]
        if len(self._known | {task.number for task in found}) < count:  # another process has the turn
            found = [task for task in store.tasks(self._ctx, self._name) if task.status in ENDED]
        fresh = sorted((task for task in found if task.number not in self._known), key=lambda task: task.number)
        self._known |= {task.number for task in fresh}
        return fresh


def go_on(ctx: Context, experiment: Experiment) -> None:
    """Let a process of its own drive an experiment from now on, unless another one than this does already.

    It needs no terminal and outlives this process; what it says is in `driver.log` of the experiment's folder. It is
    waited for until it has the turn.
    """
    if store.driver(experiment) not in ("", this_process()):
        return
    folder = paths.private(store.folder_of(experiment.name))
    with (folder / "driver.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "cloudms", "experiment", "watch", experiment.name],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True,
        )  # fmt: skip
    for _ in range(_LOOKS):
        now = store.find(ctx, experiment.name)
        if now.status in ENDED or store.driver(now) not in ("", this_process()):
            return
        ctx.clock.sleep(0.1)
