"""`cms group list` and `info`: which groups there are, and who is in them."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Listing, groups
from cloudms.engine.refresh import list_vms, wants_fresh
from cloudms.model import Group, Vm
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import Cached, Refresh

OneGroup = Annotated[str, Doc("name of the group"), Names("group")]


@verb("group", "list", columns=Group.columns, example="cms group list --label project=genome")
def list_(ctx: Context, *, label: Labels = None, cached: Cached = False, refresh: Refresh = False) -> Listing:
    """List the groups, also those that nobody described and VMs only name.

    Which VMs are members is asked of the clouds as `vm list` does.
    """
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    listing = list_vms(ctx, ctx.cloud_names("all"), fresh=fresh)
    known = [item for item in listing.items if isinstance(item, Vm)]
    return listing.with_(items=tuple(groups.every(ctx, known, label)))


@verb("group", "info", example="cms group info web")
def info(ctx: Context, name: OneGroup, *, cached: Cached = False, refresh: Refresh = False) -> Group:
    """Show everything that is known of one group; `vm list --group` shows its members."""
    return groups.find(ctx, name, groups.all_vms(ctx, fresh=wants_fresh(ctx, cached=cached, refresh=refresh)))
