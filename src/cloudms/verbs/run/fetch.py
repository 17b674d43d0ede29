"""`cms run fetch`: what the VMs of a run said and what was brought from them, as one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Plan, Work, action, runs
from cloudms.engine.archive import Archive, tar
from cloudms.errors import Conflict, Invalid, NoCapacity, NotFound
from cloudms.model import OperationState, Run, Step
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.run.look import OneRun

_OWN = ("input",)
"""What a run keeps for itself: the copy of what its command read."""


def _sent(ctx: Context, name: str = runs.LAST) -> Archive:
    """Return what `fetch` would write as an archive."""
    run = _ended(ctx, name)
    parts: list[tuple[str, Path | bytes]] = [(part.name, part) for part in _parts(run)]
    return tar(run.name, [*parts, ("records.json", _records(ctx, run))], ctx.clock.now())


@verb("run", "fetch", changes=True, columns=Run.columns, example="cms run fetch last logs", sends=_sent)
def fetch(
    ctx: Context,
    name: OneRun = "last",
    folder: Annotated[Path | None, Doc("where to; the run's name without it")] = None,
    *,
    overwrite: Annotated[bool, Doc("write into a folder that has something in it"), Short("f")] = False,
) -> Plan:
    """Copy the files of a run into a folder: what each VM said, what `cms get` brought here, and records.json.

    Over REST the same comes as an archive.
    """
    run = _ended(ctx, name)
    place = (folder or Path(run.name)).absolute()
    if place.exists() and not place.is_dir():
        raise Invalid(f"{place} is not a folder", hint="name a folder, or one that is to be made")
    if not overwrite and place.is_dir() and any(place.iterdir()):
        raise Conflict(f"{place} has something in it", hint="name another folder, or --overwrite")
    return Plan(
        verb="run fetch",
        summary=f"copy the files of {run.name} to {place}",
        steps=(Step(action="run.fetch", cloud="", target=run.name, params={"folder": str(place)}),),
    )


def _ended(ctx: Context, name: str) -> Run:
    """Return a run that has ended. Raises: NotFound, Conflict."""
    run = runs.find(ctx, name)
    if run.state is OperationState.RUNNING:
        raise Conflict(f"{run.name} is still going on", hint=f"cms run logs {run.name} --follow waits for it")
    return run


def _parts(run: Run) -> Iterator[Path]:
    folder = Path(run.folder)
    if not folder.is_dir():
        raise NotFound(f"the files of {run.name} are gone", hint=f"cms run info {run.name} has what its records keep")
    return (part for part in sorted(folder.iterdir()) if part.name not in _OWN)


def _records(ctx: Context, run: Run) -> bytes:
    records = runs.with_records(ctx, run).to_document()["records"]
    return f"{json.dumps(records, indent=2)}\n".encode("utf-8", "backslashreplace")


@action("run.fetch")
def _fetch(work: Work) -> Run:
    run = _ended(work.ctx, work.step.target)
    place = Path(work.step.params["folder"])
    try:
        place.mkdir(parents=True, exist_ok=True)
        for part in _parts(run):
            if part.is_dir() and not part.is_symlink():
                shutil.copytree(part, place / part.name, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(part, place / part.name, follow_symlinks=False)
        (place / "records.json").write_bytes(_records(work.ctx, run))
    except (OSError, shutil.Error) as problem:
        why = getattr(problem, "strerror", None) or str(problem)[:200]
        raise NoCapacity(f"cannot write to {place}: {why}", hint="choose another folder") from None
    work.ctx.note(f"copied to {place}")
    return run
