"""`cms experiment cancel`, `rerun`, `label` and `delete`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.labels import changed, changes, expanded
from cloudms.engine.plan import Left
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.jobs import store, task
from cloudms.jobs.base import ENDED
from cloudms.jobs.driving import begun
from cloudms.jobs.engines import engine_of
from cloudms.model import Experiment, Step, Task
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.experiment.look import SHOWN, ExperimentNames, OneExperiment, chosen
from cloudms.verbs.experiment.wait import ended, left_running
from cloudms.verbs.labels import Labels, RemoveLabels, SetLabels


@verb("experiment", "cancel", changes=True, columns=SHOWN, example="cms experiment cancel fit")
def cancel(ctx: Context, names: ExperimentNames = [], *, label: Labels = None) -> Plan:  # noqa: B006 (never changed)
    """End experiments: tasks that run are ended on their nodes, others do not begin; what was collected stays.

    Nodes that were booted for it are deleted.
    """
    found = [each for each in chosen(ctx, names, label) if each.status not in ENDED]
    shown = naming.compress(each.name for each in found)
    return Plan(
        verb="experiment cancel",
        summary=f"cancel {shown}" if found else "nothing to cancel: they have ended",
        steps=_steps("experiment.cancel", found),
    )


def _steps(action_: str, experiments: Sequence[Experiment], **params: object) -> tuple[Step, ...]:
    return tuple(Step(action=action_, cloud="", target=each.name, params=params) for each in experiments)


@action("experiment.cancel")
def _cancel(work: Work) -> Experiment | Left:
    experiment = store.find(work.ctx, work.step.target)
    if experiment.status in ENDED:
        return experiment
    work.report("cancelling")
    return ended(work, engine_of(experiment).cancel(work.ctx, experiment))


@verb("experiment", "rerun", changes=True, columns=SHOWN, example="cms experiment rerun fit --failed")
def rerun(
    ctx: Context,
    name: OneExperiment,
    *,
    failed: Annotated[bool, Doc("tasks that have failed")] = False,
    cancelled: Annotated[bool, Doc("tasks that were cancelled")] = False,
    task: Annotated[list[str] | None, Doc("a task by its number, or several: 3,7"), Short("t")] = None,
    detach: Annotated[bool, Doc("start it and let it go on in the background"), Short("d")] = False,
) -> Plan:
    """Run tasks again that failed or were cancelled; what is done stays, and so does the record of each attempt.

    Without `--failed`, `--cancelled` and `--task` it is all that has not ended well.
    """
    experiment = store.find(ctx, name)
    if experiment.status not in ENDED:
        raise Conflict(f"{name} is {experiment.status}", hint=f"cms experiment cancel {name}, or wait for its end")
    wanted = {"failed": failed, "cancelled": cancelled}
    statuses = [word for word, asked in wanted.items() if asked] or ([] if task else list(wanted))
    numbers = _numbers(name, task or [])
    found = [each.number for each in store.tasks(ctx, name) if each.status in statuses or each.number in numbers]
    _check_again(ctx, experiment, numbers)
    if not found:
        return Plan(verb="experiment rerun", summary=f"no task of {name} is to be run again", steps=())
    return Plan(
        verb="experiment rerun",
        summary=f"run {len(found)} of {experiment.tasks} tasks of {name} again",
        steps=_steps("experiment.rerun", [experiment], tasks=found, detach=detach),
    )


def _numbers(name: str, words: Sequence[str]) -> list[int]:
    found = [word for each in words for word in each.split(",")]
    wrong = [word for word in found if not word.isdecimal() or len(word) > 9]
    if wrong:
        raise Invalid(f"'{wrong[0][:40]}' is not the number of a task of {name}", hint="for instance --task 3,7")
    return [int(word) for word in found]


def _check_again(ctx: Context, experiment: Experiment, numbers: Sequence[int]) -> None:
    """Refuse tasks by number that are not there or have ended well. Raises: NotFound, Conflict."""
    for number in numbers:
        if store.task(ctx, experiment.name, number).status == "done":
            raise Conflict(f"task {number} of {experiment.name} is done", hint="cms experiment run runs all anew")


@action("experiment.rerun")
def _rerun(work: Work) -> Experiment | Left:
    """Set tasks back and go on; a repetition finds some set back, or run again, and leaves them alone."""
    ctx, name = work.ctx, work.step.target
    with store.turn(ctx, store.find(ctx, name)) as mine:
        if not mine:
            raise Conflict(f"another process drives {name}", hint=f"cms experiment status {name}")
        experiment = store.find(ctx, name)
        if experiment.status in ENDED:
            for number in work.step.params["tasks"]:
                store.change(ctx, store.task(ctx, name, number), _again)
            counts = store.summed(experiment, store.tasks(ctx, name))
            fresh = {"status": "waiting", "reason": "", "cancel": False, "ended": None, **counts}
            experiment = store.change(
                ctx, experiment, lambda now: now.with_(**fresh), action="experiment.rerun", text="run again"
            )
    experiment = begun(ctx, experiment)
    return left_running(ctx, experiment) if work.step.params["detach"] else ended(work, experiment)


def _again(now: Task) -> Task:
    return task.again(now) if now.status in ("failed", "cancelled") else now


@verb("experiment", "label", changes=True, columns=("name", "labels"), example="cms experiment label fit --set a=b")
def label_(
    ctx: Context,
    names: ExperimentNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of experiments."""
    params = changes(set, remove)
    found = chosen(ctx, names, label)
    shown = naming.compress(each.name for each in found)
    steps = _steps("experiment.label", found, **params)
    return Plan(verb="experiment label", summary=f"label {shown}", steps=steps)


@action("experiment.label")
def _label(work: Work) -> Experiment:
    experiment = store.find(work.ctx, work.step.target)
    return store.change(
        work.ctx, experiment, lambda now: now.with_(labels=changed(now.labels, work.step.params)),
        action="experiment.label", text="labelled",
    )  # fmt: skip


@verb("experiment", "delete", changes=True, columns=("name", "status"), example="cms experiment delete fit --yes")
def delete(
    ctx: Context,
    names: ExperimentNames = [],  # noqa: B006 (never changed)
    *,
    label: Labels = None,
    missing_ok: Annotated[bool, Doc("succeed when an experiment of that name does not exist")] = False,
) -> Plan:
    """Delete experiments with all that was collected, also from the nodes; one that runs is refused."""
    wanted = [name for name in expanded(names) if not missing_ok or ctx.catalog.get("experiment", name)]
    try:
        found = chosen(ctx, wanted, label) if wanted or not names else []
    except NotFound:
        if not missing_ok:
            raise
        found = []
    for each in found:
        if each.status not in ENDED:
            raise Conflict(f"{each.name} is {each.status}", hint=f"cms experiment cancel {each.name}")
    shown = naming.compress(each.name for each in found)
    return Plan(
        verb="experiment delete",
        summary=f"delete {shown}" if found else "nothing to delete",
        question=f"Delete {shown} with all results, for good?" if found else "",
        steps=_steps("experiment.delete", found),
    )


@action("experiment.delete")
def _delete(work: Work) -> Experiment | None:
    stored = work.ctx.catalog.get("experiment", work.step.target)
    if stored is None:
        return None
    experiment = Experiment.from_document(stored.document)
    engine_of(experiment).delete(work.ctx, experiment)
    store.remove(work.ctx, experiment)
    shutil.rmtree(store.folder_of(experiment.name), ignore_errors=True)
    return experiment.with_(status="deleted")
