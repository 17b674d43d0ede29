"""`cms run delete`: forget runs, with the files of what their VMs said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, runs
from cloudms.errors import Conflict
from cloudms.model import Noun, OperationState, Run, Step
from cloudms.verb import Doc, Names, verb


@verb("run", "delete", changes=True, columns=("name", "state", "command"), example="cms run delete run-[1-3] --yes")
def delete(
    ctx: Context,
    names: Annotated[list[str], Doc("runs, such as run-7 or run-[1-3]"), Names("run")],
) -> Plan:
    """Forget runs: their records, and the files of what their VMs said."""
    found = [runs.find(ctx, name) for word in names for name in naming.expand(word)]
    for run in found:
        if run.state is OperationState.RUNNING:
            raise Conflict(f"{run.name} is still going on", hint=f"cms operation cancel {run.operation}")
    shown = naming.compress(run.name for run in found)
    return Plan(
        verb="run delete",
        summary=f"delete {shown} with its files",
        steps=tuple(Step(action="run.delete", cloud="", target=run.name) for run in found),
        question=f"delete {shown} with what was kept of it?",
    )


@action("run.delete")
def _delete(work: Work) -> Noun | None:
    stored = work.ctx.catalog.get("run", work.step.target)
    if stored is None:
        return None
    run = Run.from_document(stored.document)
    folder = Path(run.folder)
    if folder.parent == runs.folder():  # never anything else, whatever a document says
        shutil.rmtree(folder, ignore_errors=True)
    work.ctx.catalog.delete("run", [run.name])
    return None
