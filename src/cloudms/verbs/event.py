"""What happened: who did what to which thing, when, and how it ended."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.model import Event
from cloudms.verb import Doc, Names, verb


@verb("event", "list", columns=Event.columns, example="cms event list --target web1 --limit 20")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only events in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    target: Annotated[str | None, Doc("only what happened to the thing of this name"), Names("vm")] = None,
    cloud: Annotated[str | None, Doc("only of this cloud"), Names("cloud")] = None,
    limit: Annotated[int, Doc("at most so many; 0 shows all")] = 50,
) -> Listing:
    """List what happened, the newest first."""
    where = cloud or ctx.chosen_cloud
    rows = ctx.catalog.find(
        "event",
        name=target or "",
        cloud="" if where == "all" else where,
        text=" ".join(words),
        limit=max(limit, 0),
        newest=True,
    )
    return Listing(items=tuple(Event.from_document(row.document) for row in rows))
