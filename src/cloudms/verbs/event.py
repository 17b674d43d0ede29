"""What happened: who did what to which thing, when, and how it ended."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms.context import Context, listed
from cloudms.engine import Listing
from cloudms.model import Event
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.limits import Limit


@verb("event", "list", newest=True, columns=Event.columns, example="cms event list --target web1 --limit 20")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only events in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    target: Annotated[str | None, Doc("only what happened to the thing of this name"), Names("vm")] = None,
    cloud: Annotated[str | None, Doc("only of this cloud, or these: a,b"), Names("cloud")] = None,
    limit: Limit = 50,
) -> Listing:
    """List what happened, the newest first."""
    where = cloud or ctx.chosen_cloud
    clouds = [""] if where in ("", "all") else listed(where)
    find: dict[str, Any] = {"name": target or "", "text": " ".join(words), "limit": max(limit, 0), "newest": True}
    rows = [row for name in clouds for row in ctx.catalog.find("event", cloud=name, **find)]
    if len(clouds) > 1:
        rows = sorted(rows, key=lambda row: float(row.document["at"]), reverse=True)[: limit if limit > 0 else None]
    return Listing(items=tuple(Event.from_document(row.document) for row in rows))
