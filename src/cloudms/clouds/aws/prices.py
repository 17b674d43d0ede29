"""Prices: asked for one instance type at a time, from the services that know them.

On demand: GetProducts of the price list service, which stands in a few regions only and knows all of them
(https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html). Spot: the newest
entry of each zone in the history of spot prices. Nothing is shipped: a table in a program is wrong the day it is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws.flavors import Flavoring
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import Price, Prices
from cloudms.errors import Denied, NotFound, Unsupported
from cloudms.model import Flavor
from cloudms.record import Record

_WANTED = {
    "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
}  # fmt: skip
"""What is asked for beside type and region: plain Linux on shared machines, paid by use."""


_MONTH_H = 730.0
"""Hours of the month by which AWS bills (https://aws.amazon.com/ebs/pricing/)."""


class Thing(Record):
    """How the price of a thing that is no VM is asked for: of which `service`, by what, and which rows are meant.

    `usage` is how the usage type of the row ends, `unit` what is priced, and `hours` how many are in it.
    """

    service: str
    asked: Mapping[str, str]
    usage: str
    unit: str = "hrs"
    hours: float = 1.0

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the price list is meant: the usage type begins with the region, except in the first one."""
        usage = str(((row.get("product") or {}).get("attributes") or {}).get("usagetype") or "")
        return usage == self.usage or usage.endswith(f"-{self.usage}")


THINGS: Mapping[str, Thing] = {
    "address": Thing(
        service="AmazonVPC", asked={"group": "VPCPublicIPv4Address"}, usage="PublicIPv4:IdleAddress"
    ),
    "volume": Thing(
        service="AmazonEC2", asked={"productFamily": "Storage", "volumeApiName": "gp3"}, usage="EBS:VolumeUsage.gp3",
        unit="gb-mo", hours=_MONTH_H,
    ),
    "volume_snapshot": Thing(
        service="AmazonEC2", asked={"productFamily": "Storage Snapshot"}, usage="EBS:SnapshotUsage", unit="gb-mo",
        hours=_MONTH_H,
    ),
}  # fmt: skip
"""What is asked for addresses, which cost the same while they are idle and in use, and for a GiB of disks."""


class Pricing(Flavoring, Prices):
    """What flavors cost."""

    def price(self, flavor: str, region: str = "") -> Flavor:
        """Return a flavor with what it costs in `region` (the home region), on demand and now as a spot instance.

        A zone stands for its region.

        Raises: NotFound (no such flavor there, or no price), Denied (no right to ask: pricing:GetProducts).
        """
        where = place(region)[0] or self.link.region
        found = self.flavor(self.type_row(flavor, where), where)
        per_hour, currency = self._on_demand(flavor, where)
        return found.with_(
            price_per_hour=per_hour, currency=currency, spot_per_hour=self._spot(flavor, where),
            price_fetched=self.clock.now(),
        )  # fmt: skip

    def _on_demand(self, flavor: str, region: str) -> tuple[float, str]:
        rows = self._products("AmazonEC2", region, {"instanceType": flavor, **_WANTED})
        found = [price for row in rows for price in per_hour(row)]
        if not found:
            raise NotFound(
                f"AWS tells no price of {flavor} in {region}", hint="cms location list shows the regions in use"
            )
        return min(found)

    def thing_price(self, what: str, region: str = "") -> Price:
        """Return what an elastic IP, or a GiB of a gp3 volume or of a snapshot, costs. Raises: NotFound, Denied."""
        where, kind = place(region)[0] or self.link.region, THINGS.get(what)
        rows = self._products(kind.service, where, kind.asked) if kind else ()
        found = [price for row in rows if kind and kind.fits(row) for price in per_hour(row, kind.unit)]
        if kind is None or not found:
            raise NotFound(f"AWS tells no price of a {what} in {where}")
        price, currency = min(found)
        return Price(per_hour=price / kind.hours, currency=currency, fetched=self.clock.now())

    def _products(self, service: str, region: str, asked: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of the price list of a service. Raises: NotFound (nobody tells prices)."""
        if not self.link.settings.reachable("pricing"):
            raise NotFound(
                f"cloud '{self.name}' has no service that tells prices", hint="it is an EC2 of its own: ask who runs it"
            )
        wanted = {"regionCode": region, **asked}
        narrow = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        rows: Iterable[Any] = self.link.pages(
            "get_products", "PriceList", endpoint_region(region), "pricing", ServiceCode=service,
            FormatVersion="aws_v1", Filters=narrow,
        )  # fmt: skip
        for row in rows:
            yield json.loads(row) if isinstance(row, str) else row

    def _spot(self, flavor: str, region: str) -> float | None:
        """Return the spot price in the configured zone, else the highest of the zones: AWS chooses among them."""
        try:
            rows = list(
                self.link.pages(
                    "describe_spot_price_history",
                    "SpotPriceHistory",
                    region,
                    InstanceTypes=[flavor],
                    ProductDescriptions=["Linux/UNIX"],
                    StartTime=int(self.clock.now()),
                )
            )
        except (Denied, NotFound, Unsupported):
            return None
        newest: dict[str, tuple[str, float]] = {}
        for row in rows:
            zone, told = str(row.get("AvailabilityZone")), (str(row.get("Timestamp")), float(row.get("SpotPrice") or 0))
            newest[zone] = max(newest.get(zone, told), told)
        prices = {zone: price for zone, (_time, price) in newest.items() if price > 0}
        return prices.get(self.link.settings.zone, max(prices.values(), default=None))


def endpoint_region(region: str) -> str:
    """Return the nearest region that has the price list service."""
    if region.startswith("cn-"):
        return "cn-northwest-1"
    if region.startswith(("eu", "af-", "me-", "il-")):
        return "eu-central-1"
    return "ap-south-1" if region.startswith("ap-") else "us-east-1"


def per_hour(product: Mapping[str, Any], unit: str = "hrs") -> list[tuple[float, str]]:
    """Return the prices on demand per hour, or another `unit`, in a row of the price list, each with its currency.

    Free ones are left out.

    A row is `product.attributes` and `terms.OnDemand.OFFER.priceDimensions.RATE.pricePerUnit.CURRENCY`.
    """
    attributes = (product.get("product") or {}).get("attributes") or {}
    if attributes.get("marketoption", "OnDemand") != "OnDemand":
        return []
    offers = ((product.get("terms") or {}).get("OnDemand") or {}).values()
    rates = [rate for offer in offers for rate in (offer.get("priceDimensions") or {}).values()]
    found = []
    for rate in rates:
        if {"hours": "hrs"}.get(said := str(rate.get("unit", "Hrs")).lower(), said) == unit:
            found += [(float(price), currency) for currency, price in (rate.get("pricePerUnit") or {}).items()]
    return [(price, currency) for price, currency in found if price > 0]
