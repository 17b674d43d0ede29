"""Quotas: the limits of the project in Nova, Neutron and Cinder, with what is used of them.

A service that is not there, or may not be asked, is left out. Shapes: https://docs.openstack.org/api-ref/compute/#limits-limits,
https://docs.openstack.org/api-ref/network/v2/#show-quota-details-for-a-tenant and
https://docs.openstack.org/api-ref/block-storage/v3/#limits-limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.base import Quotas
from cloudms.clouds.openstack.core import Core
from cloudms.errors import Denied, NotFound, Unsupported
from cloudms.model import Quota

Row = tuple[str, Any, Any, str, Mapping[str, Any]]
"""Name, what is used, the limit, the unit, and what was told."""

_COMPUTE = (
    ("instances", "totalInstancesUsed", "maxTotalInstances", "VMs"),
    ("cores", "totalCoresUsed", "maxTotalCores", "vCPUs"),
    ("ram", "totalRAMUsed", "maxTotalRAMSize", "MiB"),
    ("server groups", "totalServerGroupsUsed", "maxServerGroups", "groups"),
    ("keypairs", "", "maxTotalKeypairs", "keys"),
)
_VOLUME = (
    ("volumes", "totalVolumesUsed", "maxTotalVolumes", "volumes"),
    ("volume gigabytes", "totalGigabytesUsed", "maxTotalVolumeGigabytes", "GiB"),
    ("volume snapshots", "totalSnapshotsUsed", "maxTotalSnapshots", "snapshots"),
)
_NETWORK = {
    "floatingip": ("floating ips", "addresses"), "security_group": ("security groups", "groups"),
    "security_group_rule": ("security group rules", "rules"), "network": ("networks", "networks"),
    "subnet": ("subnets", "subnets"), "router": ("routers", "routers"), "port": ("ports", "ports"),
}  # fmt: skip


class Limits(Core, Quotas):
    """What the project may have."""

    def list_quotas(self) -> Iterable[Quota]:
        """Yield the limits of every region in use."""
        return self.link.each_region(self._quotas_in)

    def _quotas_in(self, region: str) -> Iterator[Quota]:
        asked: tuple[tuple[str, Callable[[str], Iterable[Row]]], ...] = (
            ("compute", self._compute_limits), ("network", self._network_limits), ("volume", self._volume_limits),
        )  # fmt: skip
        for service, ask in asked:
            try:
                rows = list(ask(region))
            except (Denied, NotFound, Unsupported):
                if service == "compute":
                    raise
                continue
            for name, used, limit, unit, raw in rows:
                yield Quota(
                    name=name, cloud=self.name, id=f"{region}/{name}", region=region, used=_number(used),
                    limit=_number(limit), unit=unit, fetched=self.clock.now(), raw=raw,
                )  # fmt: skip

    def _compute_limits(self, region: str) -> Iterator[Row]:
        return _absolute(self.link.get("compute", "/limits", region), _COMPUTE)

    def _volume_limits(self, region: str) -> Iterator[Row]:
        return _absolute(self.link.get("volume", "/limits", region), _VOLUME)

    def _network_limits(self, region: str) -> Iterator[Row]:
        told = self.link.get("network", f"/quotas/{self.link.project}/details", region).get("quota") or {}
        for word, (name, unit) in _NETWORK.items():
            if isinstance(row := told.get(word), Mapping):
                used = (_number(row.get("used")) or 0) + (_number(row.get("reserved")) or 0)
                yield name, used, row.get("limit"), unit, row


def _absolute(reply: Mapping[str, Any], wanted: Iterable[tuple[str, str, str, str]]) -> Iterator[Row]:
    """Yield what the absolute limits of a service tell."""
    told: Mapping[str, Any] = (reply.get("limits") or {}).get("absolute") or {}
    for name, used, limit, unit in wanted:
        if limit in told:
            raw = {key: told[key] for key in (used, limit) if key in told}
            yield name, told.get(used), told[limit], unit, raw


def _number(value: Any) -> float | None:
    """Return a number as quotas write it; -1 is no limit."""
    return float(value) if isinstance(value, int | float) and value >= 0 else None
