"""What addresses, volumes and snapshots cost: asked of their cloud per kind and region, kept with its age.

A cloud that tells it with every thing of a list is not asked.
"""

from __future__ import annotations

from typing import Any

from cloudms.clouds.base import Leftover, Prices
from cloudms.context import Context
from cloudms.engine.plan import Listing
from cloudms.engine.prices import FRESH
from cloudms.errors import CloudmsError
from cloudms.model import Address, Noun, Volume, VolumeSnapshot

_ASK_AGAIN = 3600.0
"""Seconds for which a cloud that could not tell is not asked again: a list should not wait for that."""
_GIB = 1 << 30
_KINDS = {"address": "address", "volume": "volume", "snapshot": "volume_snapshot", "volume snapshot": "volume_snapshot"}
"""What leftovers are called, and what a cloud is asked for."""


def priced(ctx: Context, listing: Listing) -> Listing:
    """Return a list with what each thing in it costs per hour, where that is known."""
    return listing.with_(items=tuple(with_price(ctx, item) for item in listing.items))


def with_price(ctx: Context, thing: Noun) -> Noun:
    """Return an address, volume or snapshot of ours with its price; a thing that has one, or is another, as it is."""
    if not isinstance(thing, Address | Volume | VolumeSnapshot) or thing.price_per_hour is not None or not thing.id:
        return thing
    each = rate(ctx, thing.cloud, thing.kind, thing.region)
    size = 1 if isinstance(thing, Address) else thing.size_gib
    return thing if each is None else thing.with_(price_per_hour=round(each * size, 6))


def of_leftover(ctx: Context, cloud: str, leftover: Leftover) -> float | None:
    """Return what a leftover costs per hour, or None when that is not known or nothing."""
    what = _KINDS.get(leftover.kind)
    if leftover.price_per_hour is not None or what is None:
        return leftover.price_per_hour
    each = rate(ctx, cloud, what, leftover.region)
    size = 1.0 if what == "address" else (leftover.size or 0) / _GIB
    return None if each is None or not size else round(each * size, 6)


def rate(ctx: Context, cloud: str, what: str, region: str = "") -> float | None:
    """Return what an `address`, or a GiB of a `volume` or `volume_snapshot`, costs per hour, or None."""
    cls = ctx.cloud_class(cloud)
    if not cls.costs_money or not issubclass(cls, Prices):
        return None
    key = f"rate/{cloud}/{what}/{region}"
    stored = ctx.catalog.get("meta", key)
    known = stored.document if stored else {}
    per_hour: float | None = known.get("per_hour")
    patience = _ASK_AGAIN if per_hour is None else FRESH
    if known and 0 <= ctx.clock.now() - known["at"] < patience:
        return per_hour
    opened: Any = ctx.cloud(cloud)
    try:
        price = opened.thing_price(what, region)
        told = {"per_hour": price.per_hour, "currency": price.currency}
    except CloudmsError:
        told = {"per_hour": per_hour}  # what was known before is better than nothing
    ctx.catalog.put("meta", {key: {"name": key, "at": ctx.clock.now(), **told}})
    result: float | None = told["per_hour"]
    return result
