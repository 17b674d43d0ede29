"""Which public network a floating IP comes from: the one that a VM's router leads to, or the configured one.

Shapes: https://docs.openstack.org/api-ref/network/v2/#floating-ips-floatingips and …/#routers-routers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cloudms.clouds.openstack.beside import Beside
from cloudms.errors import Invalid, NotFound, Unsupported
from cloudms.record import Record

_DOORS = (
    "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
)  # fmt: skip
"""Owners of the ports by which routers stand in a network."""

Row = Mapping[str, Any]


class Way(Record):
    """A place in a VM where a floating IP can lead to: `port`, its IPv4 address, and the network that it is in."""

    port: str
    address: str
    network: str


class Pools(Beside):
    """Ways to VMs and where public addresses come from."""

    def ways(self, ident: str, region: str) -> list[Way]:
        """Return the places in a VM where floating IPs can lead to, the first port first."""
        return [
            Way(port=str(port["id"]), address=str(fixed["ip_address"]), network=str(port.get("network_id") or ""))
            for port in self.link.pages("network", "/ports", "ports", region, device_id=ident)
            for fixed in port.get("fixed_ips") or ()
            if ":" not in str(fixed.get("ip_address"))
        ]

    def way_out(self, ways: list[Way], name: str, region: str) -> tuple[Way, str]:
        """Return the place in a VM to which an address of a public network can lead, and that network's id.

        Raises: NotFound (the configured network), Invalid (no router leads out), Unsupported (it stands outside).
        """
        if not ways:
            raise Invalid(f"vm '{name}' has no IPv4 address on a network", hint="a floating IP needs one to lead to")
        if self.link.settings.floating_network:
            return ways[0], self.configured_pool(region)
        for way in ways:
            if pool := self._pool_of(way.network, region):
                return way, pool
        outside = {str(row["id"]): str(row.get("name")) for row in self._public_networks(region)}
        if here := next((way for way in ways if way.network in outside), None):
            raise Unsupported(
                f"vm '{name}' stands in the public network {outside[here.network]}: {here.address} is public already"
            )
        if len(outside) == 1:  # its router may be somebody else's: Neutron knows whether it leads there
            return ways[0], next(iter(outside))
        raise Invalid(
            f"no router leads from the network of vm '{name}' to a public one",
            hint="connect one (openstack router add subnet), or name the public network in the setting floating_pool",
        )

    def any_pool(self, region: str) -> str:
        """Return the public network of an address that is for no VM yet. Raises: NotFound, Invalid (several)."""
        if self.link.settings.floating_network:
            return self.configured_pool(region)
        rows = list(self._public_networks(region))
        if not rows:
            raise NotFound(f"{region} has no public network", hint="openstack network list --external")
        if len(rows) > 1:
            names = ", ".join(sorted(str(row.get("name")) for row in rows))
            raise Invalid(f"there are several public networks: {names}", hint="choose one in the setting floating_pool")
        return str(rows[0]["id"])

    def configured_pool(self, region: str) -> str:
        """Return the id of the network in the setting `floating_pool`. Raises: NotFound."""
        wanted = self.link.settings.floating_network
        for row in self._public_networks(region):
            if wanted in (row.get("id"), row.get("name")):
                return str(row["id"])
        raise NotFound(
            f"there is no public network '{wanted}' in {region}",
            hint="correct the setting floating_pool: openstack network list --external",
        )

    def _public_networks(self, region: str) -> Iterator[dict[str, Any]]:
        return self.link.pages("network", "/networks", "networks", region, **{"router:external": "true"})

    def _pool_of(self, network: str, region: str) -> str:
        """Return the public network to which a router leads from `network`, or an empty string."""
        doors = self.link.pages(
            "network", "/ports", "ports", region, network_id=network, device_owner=list(_DOORS), fields="device_id"
        )
        for router in dict.fromkeys(str(door.get("device_id") or "") for door in doors):
            try:
                row = self.link.get("network", f"/routers/{router}", region).get("router") or {}
            except NotFound:
                continue
            if pool := (row.get("external_gateway_info") or {}).get("network_id"):
                return str(pool)
        return ""
