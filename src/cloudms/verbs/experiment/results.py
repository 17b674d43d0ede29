"""`cms experiment results` and `fetch`: one table of what came of it, and the files of its tasks."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.archive import Archive, tar
from cloudms.errors import Conflict, Invalid, NoCapacity
from cloudms.jobs import results as tables
from cloudms.jobs import store
from cloudms.model import Experiment, Step
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.experiment.look import SHOWN, OneExperiment

Stat = Literal["mean", "median", "min", "max", "std", "sum"]


@verb("experiment", "results", example="cms experiment results fit --by alpha --stat mean --stat std -o csv")
def results(
    ctx: Context,
    name: OneExperiment,
    *,
    by: Annotated[list[str] | None, Doc("one row per value of this parameter, over its tasks that are done")] = None,
    stat: Annotated[list[Stat] | None, Doc("what the values of several tasks become; mean without it")] = None,
    status: Annotated[
        Literal["done", "failed", "cancelled", "running", "starting", "waiting"] | None, Doc("only tasks in this state")
    ] = None,
) -> list[dict[str, Any]]:
    """Show one table over all tasks: parameters, collected values, exit code, seconds and node.

    With `--by` or `--stat` tasks are put together: each value gets a column per statistic, `n` says how many tasks are
    done, `of` how many there are.
    """
    experiment = store.find(ctx, name)
    tasks = [task for task in store.tasks(ctx, name) if status in (None, task.status)]
    if by or stat:
        words = [word for each in by or [] for word in each.split(",") if word]
        rows, columns = tables.grouped(experiment, tasks, words, list(dict.fromkeys(stat or ["mean"])))
    else:
        rows, columns = tables.rows(experiment, tasks), tables.columns(experiment, tasks)
    return [{"kind": "result", "schema": 1, **{column: row[column] for column in columns}} for row in rows]


def _sent(ctx: Context, name: str) -> Archive:
    """Return what `fetch` would write as an archive."""
    experiment = store.find(ctx, name)
    tasks = store.tasks(ctx, name)
    folders = ((f"{task.number:04d}", store.folder_of(name, task.number)) for task in tasks)
    parts: list[tuple[str, Path | bytes]] = [(number, folder) for number, folder in folders if folder.is_dir()]
    table = _table(tables.columns(experiment, tasks), tables.rows(experiment, tasks))
    return tar(name, [*parts, ("results.csv", table.encode())], ctx.clock.now())


@verb(
    "experiment", "fetch", changes=True, columns=SHOWN, example="cms experiment fetch fit results", sends=_sent,
)  # fmt: skip
def fetch(
    ctx: Context,
    name: OneExperiment,
    folder: Annotated[Path | None, Doc("where to; the experiment's name without it")] = None,
    *,
    overwrite: Annotated[bool, Doc("write into a folder that has something in it"), Short("f")] = False,
) -> Plan:
    """Copy what was collected into a folder: a folder per task with its outputs, stdout and stderr, and results.csv.

    Over REST the same comes as an archive.
    """
    experiment = store.find(ctx, name)
    place = (folder or Path(name)).absolute()
    _check(place, overwrite=overwrite)
    params = {"folder": str(place), "overwrite": overwrite}
    return Plan(
        verb="experiment fetch",
        summary=f"copy the results of {experiment.tasks} tasks of {name} to {place}",
        steps=(Step(action="experiment.fetch", cloud="", target=name, params=params),),
    )


def _check(place: Path, *, overwrite: bool) -> None:
    """Refuse what would be written over. Raises: Invalid, Conflict."""
    if place.exists() and not place.is_dir():
        raise Invalid(f"{place} is not a folder", hint="name a folder, or one that is to be made")
    if not overwrite and place.is_dir() and any(place.iterdir()):
        raise Conflict(f"{place} has something in it", hint="name another folder, or --overwrite")


@action("experiment.fetch")
def _fetch(work: Work) -> Experiment:
    experiment = store.find(work.ctx, work.step.target)
    place = Path(work.step.params["folder"])
    tasks = store.tasks(work.ctx, experiment.name)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for task in tasks:
            source = store.folder_of(experiment.name, task.number)
            if source.is_dir():
                work.report(f"{task.number} of {experiment.tasks}")
                shutil.copytree(source, place / f"{task.number:04d}", symlinks=True, dirs_exist_ok=True)
        table = _table(tables.columns(experiment, tasks), tables.rows(experiment, tasks))
        (place / "results.csv").write_text(table, encoding="utf-8", newline="")
    except (OSError, shutil.Error) as problem:
        why = getattr(problem, "strerror", None) or str(problem)[:200]
        raise NoCapacity(f"cannot write to {place}: {why}", hint="choose another folder") from None
    work.ctx.note(f"copied to {place}")
    return experiment


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows([row[column] for column in columns] for row in rows)
    return text.getvalue()
