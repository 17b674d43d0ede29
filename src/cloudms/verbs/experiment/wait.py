"""What commands do that see an experiment through: tell how far it is, and leave it running when they are stopped."""

from __future__ import annotations

from cloudms.context import Context
from cloudms.engine import Work
from cloudms.engine.plan import Left
from cloudms.errors import Interrupted, Partial
from cloudms.jobs import store
from cloudms.jobs.base import Progress
from cloudms.jobs.driving import go_on, passes, told
from cloudms.model import Experiment

_OFTEN = 10.0
"""Seconds between reports where nobody watches a display."""


def ended(work: Work, experiment: Experiment) -> Experiment | Left:
    """Drive an experiment until it has ended and return it, with an error when tasks have failed.

    Raises: Interrupted (it goes on in the background).
    """
    said = -_OFTEN
    try:
        for progress in passes(work.ctx, experiment):
            now = work.ctx.clock.monotonic()
            if work.ctx.terminal or now - said >= _OFTEN or progress.notes:
                said = now
                work.report(in_words(progress))
            experiment = progress.experiment
    except Interrupted:
        raise left(work.ctx, experiment) from None
    failed = problem(experiment)
    if failed:
        return Left(error=failed, noun=experiment)
    work.ctx.note(f"{told(experiment)}; cms experiment results {experiment.name}")
    return experiment


def problem(experiment: Experiment) -> Partial | None:
    """Return what an experiment that has ended amounts to: None when every task is done, or it was cancelled."""
    if experiment.status != "failed":
        return None
    why = f": {experiment.reason}" if experiment.reason else ""
    hint = f"cms experiment tasks {experiment.name} --status failed; cms experiment rerun {experiment.name} --failed"
    return Partial(f"{told(experiment)}{why}", hint=hint)


def in_words(progress: Progress) -> str:
    """Return how far an experiment is in one line."""
    words = [told(progress.experiment)]
    words += [f"{progress.tasks[status]} {status}" for status in ("running", "starting") if progress.tasks.get(status)]
    nodes = [f"{count} {status}" for status, count in progress.nodes.items() if count]
    words += [f"nodes: {', '.join(nodes)}"] if nodes else []
    return "; ".join([", ".join(words), *progress.notes])


def left(ctx: Context, experiment: Experiment) -> Interrupted:
    """Let an experiment go on in the background, and return what ends the command that saw to it."""
    go_on(ctx, experiment)
    return Interrupted(
        f"{experiment.name} goes on in the background",
        hint=f"cms experiment watch {experiment.name} shows it, cms experiment cancel {experiment.name} ends it",
    )


def left_running(ctx: Context, experiment: Experiment) -> Experiment:
    """Let an experiment go on in the background, and say how to see it."""
    go_on(ctx, experiment)
    ctx.note(f"cms experiment watch {experiment.name} shows it, cms experiment cancel {experiment.name} ends it")
    return store.find(ctx, experiment.name)
