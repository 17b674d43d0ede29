"""The network of a new VM: the named one, else the only one that can be meant.

Shape: https://docs.openstack.org/api-ref/network/v2/#networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds.openstack.core import Core
from cloudms.errors import Invalid, NotFound

AUTO = "auto"
"""What nova takes for a network that it is to make itself when the project has none
(https://docs.openstack.org/nova/latest/user/launch-instance-from-image.html, "get me a network")."""
ITS_OWN = "auto_allocated_network"
"""What neutron calls a network that it made so."""


class Networks(Core):
    """Choosing a network."""

    def networks(self, region: str, wanted: str) -> list[dict[str, str]] | str:
        """Return the networks of a new VM in nova's words.

        Parameters: `wanted`, names or ids with commas between; none takes the project's only network, else the only
        shared one; a project without any lets the cloud make one.
        Raises: NotFound (no such network), Invalid (several could be meant).
        """
        if wanted == AUTO or not self.link.has("network", region):
            return AUTO
        rows = list(self.link.pages("network", "/networks", "networks", region))
        if wanted:
            return [{"uuid": by_name(rows, word.strip(), region)} for word in wanted.split(",") if word.strip()]
        ident = chosen(rows, self.link.project, self.name)
        return [{"uuid": ident}] if ident else AUTO


def by_name(rows: Sequence[Mapping[str, Any]], wanted: str, region: str) -> str:
    """Return the id of a network by id or name. Raises: NotFound, Invalid (several have the name)."""
    if any(row.get("id") == wanted for row in rows):
        return wanted
    found = [str(row["id"]) for row in rows if row.get("name") == wanted]
    if not found:
        from cloudms.names import nearest

        known = [str(row.get("name")) for row in rows if row.get("name")]
        close = nearest(wanted, known)
        hint = f"did you mean {close}?" if close else f"there are {', '.join(sorted(known)[:8]) or 'none'}"
        raise NotFound(f"there is no network '{wanted}' in {region}", hint=hint)
    if len(found) > 1:
        raise Invalid(
            f"{len(found)} networks are called '{wanted}'", hint=f"name it by its id: {' or '.join(found[:4])}"
        )
    return found[0]


def chosen(rows: Sequence[Mapping[str, Any]], project: str, cloud: str) -> str:
    """Return the id of the network that is meant when none is named; empty when there is none inside.

    Networks that lead outside, that are off, or that have no addresses are not for VMs.
    Raises: Invalid (several could be meant; they are named).
    """
    inside = [
        row for row in rows
        if not row.get("router:external") and row.get("admin_state_up", True) and row.get("subnets", True)
    ]  # fmt: skip
    mine = [row for row in inside if project and project in (row.get("project_id"), row.get("tenant_id"))]
    for some in (mine, [row for row in inside if row not in mine]):
        made = [row for row in some if row.get("name") == ITS_OWN]
        best = made if len(made) == 1 else some
        if len(best) == 1:
            return str(best[0]["id"])
        if best:
            names = ", ".join(sorted(str(row.get("name") or row["id"]) for row in best)[:8])
            raise Invalid(
                f"cloud '{cloud}' has several networks: {names}",
                hint="--network NAME, or set network under default of this cloud",
            )
    return ""
