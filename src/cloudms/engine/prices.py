"""Prices of flavors: asked one by one, kept in the catalog with their age."""

from __future__ import annotations

from typing import Any

from cloudms.clouds.base import Prices, require
from cloudms.context import Context
from cloudms.model import Flavor

FRESH = 7 * 86400.0
"""Seconds for which a price that was asked for is good enough for an estimate."""

PRICE = ("price_per_hour", "spot_per_hour", "currency", "price_fetched")
"""The fields of a flavor that its price consists of."""


def price_of(ctx: Context, cloud: str, flavor: str, region: str = "", *, oldest: float = FRESH) -> Flavor:
    """Return a flavor with its price: from the catalog when it is younger than `oldest` seconds, else from the cloud.

    `region` empty means the cloud's own region. Raises: NotFound (flavor, price), Unsupported (a cloud without prices),
    and the error of a cloud that does not answer.
    """
    known = known_price(ctx, cloud, flavor, region)
    if known and known.price_fetched is not None and ctx.clock.now() - known.price_fetched < oldest:
        return known
    opened: Any = ctx.cloud(cloud)
    require(opened, Prices)
    asked: Flavor = opened.price(flavor, region)
    return _keep(ctx, cloud, asked)


def known_price(ctx: Context, cloud: str, flavor: str, region: str = "") -> Flavor | None:
    """Return a flavor of the catalog whose price in `region` is known, or None."""
    for row in ctx.catalog.find("flavor", cloud=cloud, name=flavor):
        found = Flavor.from_document(row.document)
        if found.price_per_hour is not None and (not region or (found.region and region.startswith(found.region))):
            return found
    return None


def _keep(ctx: Context, cloud: str, asked: Flavor) -> Flavor:
    """Store a price in the row of its flavor; a price of another region than the row's is not the row's."""
    asked = asked.with_(fetched=ctx.clock.now(), price_fetched=asked.price_fetched or ctx.clock.now())
    for row in ctx.catalog.find("flavor", cloud=cloud, name=asked.name):
        if asked.region not in ("", row.document["region"]):
            return asked
        prices = {name: getattr(asked, name) for name in PRICE}
        asked = Flavor.from_document({**row.document, **prices})
    ctx.catalog.put("flavor", {asked.key: asked.to_document()})
    return asked
