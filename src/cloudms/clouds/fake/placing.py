"""Where a pretend VM stands, and in which security groups it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudms.clouds.fake import machine
from cloudms.clouds.fake.store import Doc
from cloudms.errors import NoCapacity, NotFound

HOSTS = 8
"""Hosts that the fake cloud has."""


def secgroups(world: Doc, names: Sequence[str], region: str, cloud: str) -> list[str]:
    """Return the ids of the security groups of a region that have these names or ids. Raises: NotFound."""
    found = []
    for name in names:
        docs = (doc for doc in world["secgroups"].values() if name in (doc["id"], doc["name"]))
        ids = [str(doc["id"]) for doc in docs if doc["region"] == region]
        if not ids:
            raise NotFound(
                f"cloud '{cloud}' has no security group '{name}' in {region}",
                hint=f"cms secgroup list --cloud {cloud}",
            )
        found.append(ids[0])
    return found


def host(world: Doc, spread: Any, now: float) -> str:
    """Return the host of a new VM: one with few VMs, and with none of the request `spread`. Raises: NoCapacity."""
    alive = [vm for vm in world["vms"].values() if machine.alive(vm, now)]
    taken = {vm.get("host") for vm in alive if spread and vm["options"].get("spread") == spread}
    free = [name for name in (f"host-{number}" for number in range(1, HOSTS + 1)) if name not in taken]
    if not free:
        raise NoCapacity(f"there are {HOSTS} hosts, and each has a vm of this request", hint="boot fewer, or no spread")
    return min(free, key=lambda name: sum(vm.get("host") == name for vm in alive))
