"""Locations: the availability zones of the regions in use.

Countries: https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import jsonable
from cloudms.clouds.base import Locations
from cloudms.model import Location

COUNTRIES = {
    "us": "USA", "ca": "Canada", "mx": "Mexico", "sa": "Brazil", "cn": "China", "af": "South Africa", "il": "Israel",
    "us-gov": "USA", "eu-west-1": "Ireland", "eu-west-2": "United Kingdom", "eu-west-3": "France",
    "eu-central-1": "Germany", "eu-central-2": "Switzerland", "eu-north-1": "Sweden", "eu-south-1": "Italy",
    "eu-south-2": "Spain", "eusc-de": "Germany", "me-south-1": "Bahrain", "me-central-1": "United Arab Emirates",
    "ap-northeast-1": "Japan", "ap-northeast-2": "South Korea", "ap-northeast-3": "Japan", "ap-south": "India",
    "ap-southeast-1": "Singapore", "ap-southeast-2": "Australia", "ap-southeast-3": "Indonesia",
    "ap-southeast-4": "Australia", "ap-southeast-5": "Malaysia", "ap-southeast-6": "New Zealand",
    "ap-southeast-7": "Thailand", "ap-east-1": "Hong Kong", "ap-east-2": "Taiwan",
}  # fmt: skip
"""Countries by region or the beginning of its name."""


class Placing(Core, Locations):
    """Where VMs can stand."""

    def list_locations(self) -> Iterable[Location]:
        """Yield the zones of the regions in use: the home region, or those of the setting `regions`."""
        return self.link.each_region(self.zones_in)

    def zones_in(self, region: str) -> Iterator[Location]:
        """Yield the zones of a region that the account may use, in the order of their names."""
        rows = self.link.call("describe_availability_zones", region).get("AvailabilityZones") or ()
        for row in sorted(rows, key=lambda each: str(each.get("ZoneName"))):
            yield Location(
                name=str(row.get("ZoneName")), cloud=self.name, id=str(row.get("ZoneId") or row.get("ZoneName")),
                region=region, country=country(region), state=str(row.get("State") or ""), fetched=self.clock.now(),
                raw=jsonable(row),
            )  # fmt: skip


def country(region: str) -> str:
    """Return the country of a region, or an empty string when it is not known."""
    parts = region.split("-")
    for size in range(len(parts), 0, -1):
        if found := COUNTRIES.get("-".join(parts[:size])):
            return found
    return ""
