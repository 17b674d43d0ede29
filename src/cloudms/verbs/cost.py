"""What runs and bills: VMs, volumes, snapshots of volumes and addresses with their price per hour, and so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from cloudms.clouds.base import AddressPool, Role, Volumes, VolumeSnapshots
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import Fetch, browse
from cloudms.engine.ceilings import IDLE, hourly
from cloudms.engine.rates import with_price
from cloudms.engine.refresh import list_vms, wants_fresh
from cloudms.model import Address, Cost, Noun, Origin, Vm, Volume, VolumeSnapshot
from cloudms.verb import Doc, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh


@verb("cost", columns=Cost.columns, example="cms cost --by cloud")
def cost(
    ctx: Context,
    *,
    cloud: CloudName = None,
    by: Annotated[Literal["thing", "cloud", "group", "total"], Doc("a row for each of these")] = "thing",
    others: Annotated[bool, Doc("also what others made on the same account")] = False,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """Show what runs and bills, the dearest first: VMs that are not off, volumes, their snapshots, and addresses.

    What costs nothing is left out. A price that is not known is empty, and counted in the sums.
    """
    wanted = [name for name in ctx.cloud_names(cloud or "") if ctx.cloud_class(name).costs_money]
    vms = list_vms(ctx, wanted, fresh=wants_fresh(ctx, cached=cached, refresh=refresh))
    lists = [vms]
    for kind, (role, fetch) in _BESIDE.items():
        able = ",".join(name for name in wanted if issubclass(ctx.cloud_class(name), role))
        lists += [browse(ctx, kind, fetch, cloud=able, cached=cached, refresh=refresh)] if able else []
    rows = sorted(_rows(ctx, [item for listing in lists for item in listing.items], others=others), key=_dearest)
    items = rows if by == "thing" else list(_sums(rows, by))
    return Listing(
        items=tuple(items),
        failed={cloud: error for listing in reversed(lists) for cloud, error in listing.failed.items()},
        fetched=min((listing.fetched for listing in lists if listing.fetched is not None), default=None),
        cached=any(listing.cached for listing in lists),
    )


_BESIDE: dict[str, tuple[type[Role], Fetch]] = {
    "volume": (Volumes, lambda opened: opened.list_volumes()),
    "volume_snapshot": (VolumeSnapshots, lambda opened: opened.list_volume_snapshots()),
    "address": (AddressPool, lambda opened: opened.list_addresses()),
}
"""What bills beside VMs, which clouds have it, and how it is listed."""


def _rows(ctx: Context, things: Sequence[Noun], *, others: bool) -> Iterator[Cost]:
    for thing in things:
        if isinstance(thing, Vm) and thing.state not in IDLE and (others or thing.origin is not Origin.FOREIGN):
            yield _row(ctx, thing, hourly(ctx, thing), group=thing.group, expires=thing.expires)
        elif isinstance(thing, Volume | VolumeSnapshot | Address) and (others or thing.token or _had(ctx, thing)):
            priced: Any = with_price(ctx, thing)
            if priced.price_per_hour != 0:
                yield _row(ctx, priced, priced.price_per_hour)


def _had(ctx: Context, thing: Noun) -> bool:
    """Whether an address is this person's, which one is also while it goes with a VM."""
    return isinstance(thing, Address) and thing.owner == ctx.owner


def _row(ctx: Context, thing: Any, price: float | None, **more: Any) -> Cost:
    hours = None if thing.created is None else max(ctx.clock.now() - thing.created, 0.0) / 3600
    return Cost(
        name=thing.name, cloud=thing.cloud, id=thing.id, region=thing.region, labels=thing.labels, what=thing.kind,
        price_per_hour=price, hours=None if hours is None else round(hours, 2),
        so_far=None if price is None or hours is None else round(price * hours, 4), fetched=thing.fetched,
        unknown=int(price is None), **more,
    )  # fmt: skip


def _dearest(row: Cost) -> tuple[bool, float, str, str]:
    """Put what nobody knows the price of first: it is what wants to be looked at."""
    return row.price_per_hour is not None, -(row.price_per_hour or 0.0), row.cloud, row.name


def _sums(rows: Sequence[Cost], by: str) -> Iterator[Cost]:
    groups: dict[str, list[Cost]] = {"total": list(rows)} if by == "total" else {}
    for row in rows if by != "total" else ():
        groups.setdefault(row.cloud if by == "cloud" else row.group, []).append(row)
    for name, found in groups.items():
        yield Cost(
            name=name or "(no group)",
            cloud=name if by == "cloud" else "",
            what="sum",
            price_per_hour=round(sum(row.price_per_hour or 0.0 for row in found), 6),
            so_far=round(sum(row.so_far or 0.0 for row in found), 4),
            count=len(found),
            unknown=sum(row.unknown for row in found),
        )
