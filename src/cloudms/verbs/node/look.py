"""`cms node list` and `info`: the VMs that work on experiments, what each does and what it has done."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context, not_found
from cloudms.engine import Listing
from cloudms.jobs import store
from cloudms.model import Node
from cloudms.verb import Doc, Names, verb

_COLUMNS = ("name", "experiment", "cloud", "status", "currentJob", "queued", "seen", "reason")


@verb("node", "list", columns=_COLUMNS, example="cms node list --experiment fit")
def list_(
    ctx: Context,
    *,
    experiment: Annotated[str | None, Doc("only those of this experiment"), Names("experiment")] = None,
    status: Annotated[
        str | None, Doc("only in this state: booting, preparing, ready, unreachable, bad, lost …")
    ] = None,
) -> Listing:
    """List the VMs that work, or have worked, on experiments, and the tasks that each runs now."""
    names = [store.find(ctx, experiment).name] if experiment else [each.name for each in store.experiments(ctx)]
    found = [node for name in names for node in store.nodes(ctx, name) if status in (None, node.status)]
    return Listing(items=tuple(found))


@verb("node", "info", example="cms node info web1")
def info(
    ctx: Context,
    name: Annotated[str, Doc("name of the VM"), Names("node")],
    *,
    experiment: Annotated[
        str | None, Doc("what it does for this experiment, not for its last one"), Names("experiment")
    ] = None,
) -> Node:
    """Show what a VM does for an experiment: its status, the tasks it runs, and those that have ended on it."""
    names = [store.find(ctx, experiment).name] if experiment else [each.name for each in store.experiments(ctx)]
    known = [node for each in names for node in store.nodes(ctx, each)]
    found = next((node for node in known if node.name == name), None)
    if found is None:
        raise not_found("node", name, (node.name for node in known), "cms node list shows them")
    return found
