"""Locations: the availability zones of the regions in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudms.clouds.base import Locations
from cloudms.clouds.openstack.core import Core
from cloudms.model import Location


class Placing(Core, Locations):
    """Where VMs can stand."""

    def list_locations(self) -> Iterable[Location]:
        """Yield the zones of the regions in use: the home region, or those of the setting `regions`."""
        return self.link.each_region(self.zones_in)

    def zones_in(self, region: str) -> Iterator[Location]:
        """Yield the zones of a region in the order of their names, which are REGION/ZONE as a boot takes them.

        Shape: https://docs.openstack.org/api-ref/compute/#availability-zones-os-availability-zone.
        """
        rows = self.link.get("compute", "/os-availability-zone", region).get("availabilityZoneInfo") or ()
        for row in sorted(rows, key=lambda each: str(each.get("zoneName"))):
            name, state = f"{region}/{row.get('zoneName')}", row.get("zoneState") or {}
            yield Location(
                name=name, cloud=self.name, id=name, region=region,
                state="available" if state.get("available", True) else "unavailable", fetched=self.clock.now(),
                raw=row,
            )  # fmt: skip
