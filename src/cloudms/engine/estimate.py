"""What VMs will cost: the price of their flavor with its age, looked up before they are booted."""

from __future__ import annotations

from cloudms.clock import age, iso
from cloudms.clouds.base import Prices
from cloudms.context import Context
from cloudms.engine.prices import price_of
from cloudms.errors import CloudmsError
from cloudms.record import Record

_ASK_AGAIN = 3600.0
"""Seconds for which a cloud that could not tell a price is not asked for it again: a boot should not wait for that."""


class Estimate(Record):
    """What one VM costs; `per_hour` None when that is not known; `spot` whether it is the price of a spot VM."""

    per_hour: float | None = None
    currency: str = "USD"
    asked: float | None = None
    spot: bool = False


def estimate(ctx: Context, cloud: str, flavor: str, region: str = "", *, spot: bool = False) -> Estimate | None:
    """Return what a VM of a flavor costs per hour, or None where nothing costs money; a failure makes it unknown."""
    cls = ctx.cloud_class(cloud)
    if not cls.costs_money:
        return None
    if not issubclass(cls, Prices) or not flavor:
        return Estimate(spot=spot)
    key = f"no-price/{cloud}/{region}/{flavor}"
    failed = ctx.catalog.get("meta", key)
    if failed and 0 <= ctx.clock.now() - failed.document["at"] < _ASK_AGAIN:
        return Estimate(spot=spot)
    try:
        found = price_of(ctx, cloud, flavor, region)
    except CloudmsError:
        ctx.catalog.put("meta", {key: {"name": key, "at": ctx.clock.now()}})
        return Estimate(spot=spot)
    cheaper = found.spot_per_hour if spot else None
    return Estimate(
        per_hour=found.price_per_hour if cheaper is None else cheaper,
        currency=found.currency,
        asked=found.price_fetched,
        spot=cheaper is not None,
    )


def in_words(ctx: Context, price: Estimate | None, count: int) -> tuple[str, ...]:
    """Return what a person is told before VMs are booted: nothing where nothing costs money."""
    if price is None:
        return ()
    if price.per_hour is None:
        return ("the price is not known",)
    each = f"{price.per_hour:.4g} {price.currency} per hour"
    total = f"{count} VMs at {each} are {count * price.per_hour:.4g} {price.currency} per hour" if count > 1 else each
    kind = "spot price" if price.spot else "price"
    when = f" ({kind} of {(iso(price.asked) or '')[:10]}, {_old(ctx, price.asked)})" if price.asked else f" ({kind})"
    return (total + when,)


def _old(ctx: Context, asked: float) -> str:
    seconds = ctx.clock.now() - asked
    return f"{age(seconds)} old" if seconds >= 60 else "asked just now"
