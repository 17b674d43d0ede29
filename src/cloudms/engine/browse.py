"""What list verbs and names have in common: nouns of the clouds, from the catalog while it knows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cloudms.clouds.base import Role
from cloudms.context import Context, not_found
from cloudms.engine.labels import pick
from cloudms.engine.plan import Listing
from cloudms.engine.refresh import list_nouns, wants_fresh
from cloudms.engine.select import vm
from cloudms.errors import Conflict
from cloudms.model import Noun

Fetch = Callable[[Any], Iterable[Noun]]
"""Asks one cloud for nouns of one kind."""


def browse(
    ctx: Context,
    kind: str,
    fetch: Fetch,
    *,
    cloud: str = "",
    role: type[Role] | None = None,
    cached: bool = False,
    refresh: bool = False,
    trusted: Collection[str] = (),
    find: Mapping[str, Any] | None = None,
) -> Listing:
    """Return nouns of all clouds, or of the one chosen; what was never fetched is fetched unless `cached`.

    `trusted` clouds are asked for a `refresh` only; `find` narrows the query of the catalog (text, limit …).
    Raises: NotFound (cloud), Unsupported (a chosen cloud lacks `role`).
    """
    return list_nouns(
        ctx,
        kind,
        ctx.cloud_names(cloud),
        fetch,
        fresh=wants_fresh(ctx, cached=cached, refresh=refresh),
        role=role,
        named=bool(cloud),
        unseen=not cached,
        trusted=() if refresh else trusted,
        find=find,
    )


def named(
    ctx: Context, kind: str, name: str, fetch: Fetch, *, cloud: str = "", role: type[Role] | None = None
) -> list[Noun]:
    """Return every noun of that name or id: as the catalog knows them, else as the clouds say now.

    Clouds that do not answer become warnings. Raises: NotFound, with the nearest name.
    """
    known: list[Noun] = []
    for fresh in (False, True):
        listing = browse(ctx, kind, fetch, cloud=cloud, role=role, refresh=fresh, cached=not fresh)
        known = list(listing.items)
        found = [item for item in known if name in (item.name, item.id)]
        if found:
            return found
        warn(ctx, listing)
    words = spoken(kind)
    raise not_found(words, name, (item.name for item in known), f"cms {words} list shows them")


def one(ctx: Context, kind: str, name: str, fetch: Fetch, *, cloud: str = "", role: type[Role] | None = None) -> Noun:
    """Return the one noun of that name or id. Raises: NotFound, Conflict (several have it)."""
    found = named(ctx, kind, name, fetch, cloud=cloud, role=role)
    if len(found) > 1:
        places = ", ".join(f"{item.id} on {item.cloud}" for item in found)
        raise Conflict(f"'{name}' means several: {places}", hint="give the id, or --cloud")
    return found[0]


def chosen(
    ctx: Context,
    kind: str,
    words: Sequence[str],
    labels: Mapping[str, str] | None,
    fetch: Fetch,
    *,
    cloud: str = "",
    role: type[Role] | None = None,
) -> list[Noun]:
    """Return the nouns of these names, ids, host lists or labels, each once.

    Raises: Invalid (nothing named), NotFound, Conflict (a name that several have).
    """

    def every() -> tuple[Noun, ...]:
        listing = browse(ctx, kind, fetch, cloud=cloud, role=role, refresh=True)
        warn(ctx, listing)
        return listing.items

    return pick(spoken(kind), words, labels, lambda name: one(ctx, kind, name, fetch, cloud=cloud, role=role), every)


def spoken(kind: str) -> str:
    """Return a kind of noun as its commands call it."""
    return kind.replace("_", " ")


def warn(ctx: Context, listing: Listing) -> None:
    """Let the clouds that did not answer be warnings."""
    for where, error in listing.failed.items():
        ctx.warn(f"cloud '{where}' did not answer: {error['message']}")


def of_vm(
    ctx: Context,
    kind: str,
    name: str | None,
    fetch: Fetch,
    *,
    cloud: str,
    fresh: bool,
    role: type[Role],
    find: Mapping[str, Any] | None = None,
) -> Listing:
    """Return what belongs to one VM (its `vm` field names it), or to all when no name is given.

    Raises: NotFound, Conflict (the VM), Unsupported (a cloud that was named lacks the role).
    """
    owner = vm(ctx, name, cloud=cloud) if name else None
    clouds = [owner.cloud] if owner else ctx.cloud_names(cloud)
    named = bool(name or cloud)
    listing = list_nouns(ctx, kind, clouds, fetch, fresh=fresh, role=role, named=named, find=find)
    if owner is None:
        return listing
    return listing.with_(items=tuple(item for item in listing.items if getattr(item, "vm", "") == owner.name))
