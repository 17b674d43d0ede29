"""VMs that are to stand on different hosts: a server group with the policy of the setting `server_group`.

https://docs.openstack.org/api-ref/compute/#server-groups-os-server-groups
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudms.clouds.base import Spread
from cloudms.clouds.openstack import describe
from cloudms.clouds.openstack.beside import Beside
from cloudms.errors import NotFound

_PREFIX = "cms-spread-"
_ONE_POLICY, _SOFT = (2, 64), (2, 15)
"""Microversions since which a group has one policy instead of a list, and since which there are soft ones."""

_FEW = 8
"""So many others of a group are looked at when a VM is deleted; larger groups are left to those deleted last."""


class Spreading(Beside, Spread):
    """Server groups of ours, one for each token that VMs share."""

    def spread_groups(self, region: str) -> Iterator[dict[str, Any]]:
        """Yield the server groups of ours in a region."""
        for row in self.link.pages("compute", "/os-server-groups", "server_groups", region, limit=1000):
            if str(row.get("name")).startswith(_PREFIX):
                yield row

    def spread_group(self, region: str, token: str) -> str:
        """Return the id of the server group of a token, made when missing. Raises: NoCapacity (quota)."""
        row = self.made_once(lambda: self._of_spread(region, token), lambda: self._make_spread(region, token))
        return str(row["id"])

    def _of_spread(self, region: str, token: str) -> dict[str, Any] | None:
        rows = [row for row in self.spread_groups(region) if row["name"] == spread_name(token)]
        return min(rows, key=lambda row: str(row["id"]), default=None)

    def _make_spread(self, region: str, token: str) -> dict[str, Any]:
        policy, spoken = self.link.settings.server_group, self.link.version("compute", region)
        if spoken < _SOFT:
            policy = policy.removeprefix("soft-")
        said = {"policy": policy} if spoken >= _ONE_POLICY else {"policies": [policy]}
        body = {"server_group": {"name": spread_name(token), **said}}
        made: dict[str, Any] = self.link.post("compute", "/os-server-groups", body, region)["server_group"]
        return made

    def drop_spread(self, region: str, token: str, last: str) -> None:
        """Delete the server group of a token when the VM with the id `last` is the only one in it that stays."""
        row = self._of_spread(region, token)
        others = set(row.get("members") or ()) - {last} if row else set()
        if row is not None and len(others) <= _FEW and not any(self._stays(each, region) for each in others):
            self.drop("compute", f"/os-server-groups/{row['id']}", region)

    def _stays(self, ident: str, region: str) -> bool:
        try:
            return not describe.is_gone(self.server(ident, region))
        except NotFound:
            return False


def spread_name(token: str) -> str:
    """Return the name of the server group of a token."""
    return f"{_PREFIX}{token}"[:255]


def spread_token(name: str) -> str:
    """Return the token in the name of a server group of ours."""
    return name.removeprefix(_PREFIX)
