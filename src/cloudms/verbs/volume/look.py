"""`cms volume list`, `info` and `refresh`: which volumes there are, and how commands find those that are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from cloudms.clouds.base import Volumes, require
from cloudms.context import Context
from cloudms.engine import Listing, things
from cloudms.engine.browse import browse, chosen, one
from cloudms.engine.rates import priced, rate, with_price
from cloudms.engine.refresh import wants_fresh
from cloudms.errors import NotFound
from cloudms.model import Volume
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import Cached, CloudName, Refresh

VolumeName = Annotated[str, Doc("name or id of the volume"), Names("volume")]
VolumeNames = Annotated[list[str], Doc("names, ids or host lists such as data[1-3]"), Names("volume")]


@verb("volume", "list", columns=Volume.columns, example="cms volume list --label project=genome")
def list_(
    ctx: Context, *, cloud: CloudName = None, label: Labels = None, cached: Cached = False, refresh: Refresh = False
) -> Listing:
    """List the volumes of all clouds, and the VM each is attached to."""
    listing = browse(
        ctx,
        "volume",
        volumes_of,
        cloud=cloud or "",
        role=Volumes,
        cached=cached,
        refresh=refresh,
        find={"labels": label},
    )
    return priced(ctx, listing)


@verb("volume", "info", example="cms volume info data1")
def info(
    ctx: Context, name: VolumeName, *, cloud: CloudName = None, cached: Cached = False, refresh: Refresh = False
) -> Volume:
    """Show everything that is known of one volume."""
    found = one_volume(ctx, name, cloud)
    if not wants_fresh(ctx, cached=cached, refresh=refresh):
        return _priced(ctx, found)
    current = things.current(ctx, found, volumes_of)
    if current is None:
        raise NotFound(f"{name} has just disappeared from cloud '{found.cloud}'", hint="cms event list")
    return _priced(ctx, current)


def _priced(ctx: Context, volume: Volume) -> Volume:
    return Volume.from_document(with_price(ctx, volume).to_document())


@verb("volume", "refresh", columns=Volume.columns, example="cms volume refresh")
def refresh_(ctx: Context, *, cloud: CloudName = None, label: Labels = None) -> Listing:
    """Ask the clouds for their volumes, bring the catalog up to date and list them."""
    listing: Listing = list_(ctx, cloud=cloud, label=label, refresh=True)
    return listing


def volumes_of(opened: Volumes) -> Iterable[Volume]:
    """Ask one cloud."""
    return opened.list_volumes()


def chosen_volumes(
    ctx: Context, names: Sequence[str], cloud: str | None, label: Mapping[str, str] | None
) -> list[Volume]:
    """Return the volumes of these names or labels. Raises: Invalid, NotFound, Conflict, Unsupported."""
    found = chosen(ctx, "volume", names, label, volumes_of, cloud=cloud or "", role=Volumes)
    volumes = [Volume.from_document(noun.to_document()) for noun in found]
    for volume in volumes:
        require(ctx.cloud(volume.cloud), Volumes)
    return volumes


def one_volume(ctx: Context, name: str, cloud: str | None) -> Volume:
    """Return the one volume of that name or id. Raises: NotFound, Conflict, Unsupported."""
    found = one(ctx, "volume", name, volumes_of, cloud=cloud or "", role=Volumes)
    return Volume.from_document(found.to_document())


def costs(ctx: Context, cloud: str, what: str, gib: int, region: str = "") -> tuple[str, ...]:
    """Return what a `volume` or `volume_snapshot` of this size costs, as a note; nothing where it is not known."""
    each = rate(ctx, cloud, what, region)
    return (f"{gib} GiB cost {each * gib:.4g} per hour, in use or not",) if each else ()


def as_it_is(ctx: Context, volume: Volume) -> Volume:
    """Return what its cloud says of a volume now: one that is gone is attached to nothing."""
    return things.current(ctx, volume, volumes_of) or volume.with_(vm="")
