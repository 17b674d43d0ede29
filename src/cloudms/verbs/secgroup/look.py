"""`cms secgroup list`, `info` and `refresh`: which groups there are, and how commands find those that are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from cloudms.clouds.base import SecGroups
from cloudms.context import Context
from cloudms.engine import Listing, things
from cloudms.engine.browse import browse, chosen, one
from cloudms.engine.refresh import wants_fresh
from cloudms.errors import NotFound
from cloudms.model import SecGroup
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh

GroupName = Annotated[str, Doc("name or id of the security group"), Names("secgroup")]
GroupNames = Annotated[list[str], Doc("names or ids of security groups"), Names("secgroup")]


@verb("secgroup", "list", columns=SecGroup.columns, example="cms secgroup list")
def list_(ctx: Context, *, cloud: CloudName = None, cached: Cached = False, refresh: Refresh = False) -> Listing:
    """List the security groups of all clouds that have them, with their rules and the VMs in them."""
    return browse(ctx, "secgroup", groups_of, cloud=_able(ctx, cloud), role=SecGroups, cached=cached, refresh=refresh)


@verb("secgroup", "refresh", columns=SecGroup.columns, example="cms secgroup refresh")
def refresh_(ctx: Context, *, cloud: CloudName = None) -> Listing:
    """Ask the clouds for their security groups, bring the catalog up to date and list them."""
    listing: Listing = list_(ctx, cloud=cloud, refresh=True)
    return listing


@verb("secgroup", "info", example="cms secgroup info web")
def info(
    ctx: Context, name: GroupName, *, cloud: CloudName = None, cached: Cached = False, refresh: Refresh = False
) -> SecGroup:
    """Show everything that is known of one security group, a line per rule."""
    found = one_group(ctx, name, cloud)
    if not wants_fresh(ctx, cached=cached, refresh=refresh):
        return found
    current = things.current(ctx, found, groups_of)
    if current is None:
        raise NotFound(f"{name} has just disappeared from cloud '{found.cloud}'", hint="cms event list")
    return current


def groups_of(opened: SecGroups) -> Iterable[SecGroup]:
    """Ask one cloud."""
    return opened.list_secgroups()


def one_group(ctx: Context, name: str, cloud: str | None) -> SecGroup:
    """Return the one group of that name or id. Raises: NotFound, Conflict (several have it), Unsupported."""
    found = one(ctx, "secgroup", name, groups_of, cloud=_able(ctx, cloud), role=SecGroups)
    return SecGroup.from_document(found.to_document())


def chosen_groups(ctx: Context, names: Sequence[str], cloud: str | None) -> list[SecGroup]:
    """Return the groups of these names or ids. Raises: Invalid, NotFound, Conflict, Unsupported."""
    found = chosen(ctx, "secgroup", names, None, groups_of, cloud=_able(ctx, cloud), role=SecGroups)
    return [SecGroup.from_document(noun.to_document()) for noun in found]


def _able(ctx: Context, cloud: str | None) -> str:
    """Return the cloud that was chosen, refused with those that can when it has no groups. Raises: Unsupported."""
    for name in ctx.cloud_names(cloud) if cloud and cloud != "all" else ():
        things.able(ctx, name, SecGroups)
    return cloud or ""
