"""`cms run list` and `info`: what was run, and what became of it on every VM."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Listing, runs
from cloudms.model import Run
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.limits import Limit

OneRun = Annotated[str, Doc("name of the run, such as run-7; last is the newest"), Names("run")]


@verb("run", "list", newest=True, columns=Run.columns, example="cms run list --limit 10")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only runs in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    limit: Limit = 50,
) -> Listing:
    """List what was run, the newest first."""
    rows = ctx.catalog.find("run", text=" ".join(words), newest=True, limit=max(limit, 0))
    return Listing(items=tuple(runs.seen(ctx, Run.from_document(row.document)) for row in rows))


@verb("run", "info", example="cms run info last")
def info(ctx: Context, name: OneRun = "last") -> Run:
    """Show everything about one run, with the record of every VM."""
    return runs.with_records(ctx, runs.find(ctx, name))
