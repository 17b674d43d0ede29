"""The public addresses of the fake cloud: a pool of loopback addresses that VMs are given and accounts keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudms.clouds.base import Addresses, AddressPool
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.clouds.pool import kept_token
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity
from cloudms.model import Address, Vm


class FakeAddressing(FakeVms, Addresses, AddressPool):
    """Giving, taking and keeping addresses. One that is kept has a token; one that goes with its VM has none."""

    def list_addresses(self) -> Iterable[Address]:
        """Return every public address, free or not."""
        return self.listing(
            "list_addresses", lambda world, _now: (views.address(world, ip, self.name) for ip in self._pool())
        )

    def _pool(self) -> list[str]:
        return views.public_pool(self.name, self.options.addresses)

    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Let a public address (empty: the one it has, else a free one) lead to `vm`.

        Raises: Exists (another VM has it), Invalid (not an address of this cloud), NoCapacity (none is free).
        """

        def give(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            machine.demand(doc, machine.LIVING, "get an address")
            chosen = address or self._choose(world, doc)
            if chosen not in self._pool():
                raise Invalid(f"cloud '{self.name}' has no address '{chosen}'", hint="cms vm ip list")
            taken = world["addresses"].get(chosen) or self._taken(now)
            if taken["vm"] not in ("", doc["id"]):
                raise Exists(f"address '{chosen}' leads to another vm", hint="take it away first or choose another")
            world["addresses"][chosen] = {**taken, "vm": doc["id"], "ports": dict(ports or {})}
            return self.show(world, doc, now)

        return self.alter("set_address", vm.name, give, address)

    def _taken(self, now: float, token: str = "", region: str = "") -> Doc:
        return {"vm": "", "ports": {}, "token": token, "owner": self.setup.owner, "region": region, "created": now}

    def _choose(self, world: Doc, doc: Doc) -> str:
        """Return the address a VM has, else the first free one. Raises: NoCapacity."""
        own = views.public_ips(world, doc)
        return own[0] if own else self._free(world)

    def _free(self, world: Doc) -> str:
        found = next((ip for ip in self._pool() if ip not in world["addresses"]), None)
        if found is None:
            raise NoCapacity(f"cloud '{self.name}' has no free address", hint="take one away from another vm")
        return found

    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take the address away from `vm`; success when it leads elsewhere or nowhere."""

        def take(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            if world["addresses"].get(address, {}).get("vm") == doc["id"]:
                views.part(world, address)
            return self.show(world, doc, now)

        return self.alter("remove_address", vm.name, take, address)

    def create_address(self, token: str, region: str = "") -> Address:
        """Take a free address into the account; idempotent by token. Raises: NoCapacity, NotFound (region)."""

        def take(world: Doc, now: float) -> Address:
            where = offers.location(self.name, region).name if region else ""
            known = [ip for ip, doc in world["addresses"].items() if token and doc.get("token") == token]
            chosen = known[0] if known else self._free(world)
            if not known:
                world["addresses"][chosen] = self._taken(now, token, where)
            return views.address(world, chosen, self.name)

        return self.alter("create_address", token, take, region)

    def delete_address(self, address: Address) -> None:
        """Give an address back; already gone is success. Raises: Conflict while it leads to a VM."""

        def give_back(world: Doc, _now: float) -> None:
            if world["addresses"].get(address.id, {}).get("vm"):
                raise Conflict(f"address '{address.id}' leads to a vm", hint="take it away from it first")
            world["addresses"].pop(address.id, None)

        self.alter("delete_address", address.name, give_back, address.id)

    def detach_address(self, vm: Vm, address: str) -> Vm:
        """Take the address away from `vm` and keep it; success when it leads elsewhere or nowhere."""

        def keep(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            held = world["addresses"].get(address, {})
            if held.get("vm") == doc["id"]:
                token = held.get("token") or kept_token(doc["token"], address)
                world["addresses"][address] = {**self._taken(now), **held, "vm": "", "ports": {}, "token": token}
            return self.show(world, doc, now)

        return self.alter("detach_address", vm.name, keep, address)
