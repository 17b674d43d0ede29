"""`cms experiment list`, `info`, `status` and `tasks`: which experiments there are, and how far they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from cloudms.clock import age
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.labels import check_named, expanded, has, narrow
from cloudms.errors import Invalid
from cloudms.jobs import store
from cloudms.jobs.base import ENDED
from cloudms.model import Experiment, Task
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.limits import Limit

OneExperiment = Annotated[str, Doc("name of the experiment"), Names("experiment")]
ExperimentNames = Annotated[list[str], Doc("names or host lists such as fit-[1-3]"), Names("experiment")]
SHOWN = ("name", "status", "tasks", "done", "failed", "group", "reason")
"""What is shown of an experiment after a change."""


@verb("experiment", "list", newest=True, columns=Experiment.columns, example="cms experiment list --label paper=icml")
def list_(
    ctx: Context,
    *,
    label: Labels = None,
    status: Annotated[str | None, Doc("only in this state: waiting, running, done, failed or cancelled")] = None,
    limit: Limit = 50,
) -> Listing:
    """List the experiments, the newest first."""
    found = [each for each in store.experiments(ctx) if has(each, label) and status in (None, each.status)]
    return Listing(items=tuple(found[:limit] if limit > 0 else found))


@verb("experiment", "info", example="cms experiment info fit")
def info(ctx: Context, name: OneExperiment) -> Experiment:
    """Show everything that is known of one experiment, with all that its file says."""
    return store.find(ctx, name)


@verb("experiment", "status", example="cms experiment status fit")
def status(ctx: Context, name: OneExperiment) -> dict[str, Any]:
    """Show how far an experiment is: its tasks by status, and what each of its nodes does."""
    found = store.find(ctx, name)
    counts = Counter(task.status for task in store.tasks(ctx, name))
    nodes = store.nodes(ctx, name)
    if found.status not in ENDED and not store.driver(found):
        ctx.note(f"nobody drives it: tasks that run go on, others wait; cms experiment watch {name} goes on with it")
    return {
        "kind": "experiment_status",
        "schema": 1,
        "name": found.name,
        "status": found.status,
        "reason": found.reason,
        "done": f"{counts['done']} of {found.tasks}",
        "took": _took(ctx, found),
        "driver": store.driver(found) if found.status not in ENDED else "",
        "tasks": {word: counts[word] for word in _STATUSES if counts[word]},
        "nodes": tuple(nodes),
    }


_STATUSES = ("waiting", "starting", "running", "done", "failed", "cancelled")


def _took(ctx: Context, experiment: Experiment) -> str:
    begun = experiment.started or experiment.created
    return age((experiment.ended or ctx.clock.now()) - begun) if begun else ""


@verb("experiment", "tasks", columns=Task.columns, example="cms experiment tasks fit --status failed")
def tasks(
    ctx: Context,
    name: OneExperiment,
    *,
    status: Annotated[
        Literal["waiting", "starting", "running", "done", "failed", "cancelled"] | None, Doc("only those in this state")
    ] = None,
    node: Annotated[str | None, Doc("only those of this node"), Names("vm")] = None,
    set: Annotated[dict[str, str] | None, Doc("only those with this value of a parameter, name=value")] = None,  # noqa: A002 (the option's name)
    limit: Limit = 0,
) -> Listing:
    """List the tasks of an experiment: parameters, node, exit code and why one did not end well."""
    store.find(ctx, name)
    found = [
        task
        for task in store.tasks(ctx, name)
        if status in (None, task.status) and node in (None, task.node) and _is(task, set or {})
    ]
    return Listing(items=tuple(found[:limit] if limit > 0 else found))


def _is(task: Task, wanted: Mapping[str, str]) -> bool:
    return all(str(task.params.get(name)) == value for name, value in wanted.items())


def chosen(ctx: Context, words: Sequence[str], label: Mapping[str, str] | None) -> list[Experiment]:
    """Return the experiments of these names or labels. Raises: Invalid (nothing named), NotFound."""
    check_named("experiment", words, label)
    found = [store.find(ctx, name) for name in expanded(words)] if words else store.experiments(ctx)
    return narrow("experiment", found, label)


def task_of(ctx: Context, word: str) -> tuple[Experiment, Task | None]:
    """Return what NAME or NAME/TASK means. Raises: NotFound, Invalid (the part behind the slash is no number)."""
    name, slash, number = word.partition("/")
    experiment = store.find(ctx, name)
    if not slash:
        return experiment, None
    if not number.isdecimal() or len(number) > 9:
        raise Invalid(f"'{number[:40]}' is not the number of a task", hint=f"for instance {name}/7")
    return experiment, store.task(ctx, name, int(number))
