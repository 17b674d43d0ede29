"""What was submitted for an experiment: written down before Slurm is asked, found again by its name after a kill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudms.cluster.control import Job
from cloudms.context import Context
from cloudms.model import Experiment
from cloudms.record import Record

_KIND = "slurm-arrays"


class Array(Record):
    """One submission: its `number`, the id of its job in Slurm (0: not known yet), the tasks of it that are open, and
    how often Slurm has begun each again.
    """

    number: int
    job: int = 0
    tasks: tuple[int, ...] = ()
    restarts: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        """Accept plain JSON values."""
        self.__dict__["tasks"] = tuple(self.tasks)

    def without(self, number: int) -> Array:
        """Return it with a task that is settled."""
        return self.with_(tasks=tuple(each for each in self.tasks if each != number))


def load(ctx: Context, experiment: Experiment) -> list[Array]:
    """Return what was submitted for an experiment."""
    stored = ctx.catalog.get(_KIND, experiment.name)
    if stored is None or stored.document.get("id") != experiment.id:
        return []
    return [Array(**row) for row in stored.document["arrays"]]


def save(ctx: Context, experiment: Experiment, arrays: Sequence[Array]) -> None:
    """Store what was submitted; only whoever has the turn does."""
    rows: list[dict[str, Any]] = [array.to_document() for array in arrays]
    document = {"name": experiment.name, "id": experiment.id, "arrays": rows}
    ctx.catalog.put(_KIND, {experiment.name: document})


def forget(ctx: Context, experiment: Experiment) -> None:
    """Remove it."""
    ctx.catalog.delete(_KIND, [experiment.name])


def name_of(experiment: Experiment, number: int) -> str:
    """Return what the job of a submission is called in Slurm."""
    return f"cms-{experiment.name}-{experiment.id[:8]}-{number}"


def by_task(jobs: Iterable[Job], job: int) -> dict[int, Job]:
    """Return the jobs of an array by the number of their task; those that wait together are taken apart."""
    found: dict[int, Job] = {}
    for each in jobs:
        if each.array == job:
            numbers = [each.task] if each.task >= 0 and not each.tasks else expanded(each.tasks)
            found |= dict.fromkeys(numbers, each)
    return found


def expanded(tasks: str) -> list[int]:
    """Return the numbers of Slurm's `7-9,12%4`."""
    found: list[int] = []
    for part in tasks.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found += range(int(first), int(last if last.isdecimal() else first) + 1)
    return found
