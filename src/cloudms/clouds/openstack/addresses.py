"""Addresses: floating IPs, which lead to a VM and stay with it over stop and start.

One that cloudms asked for carries the token of its VM from the moment it is made, so that a repeated call finds it
again, and it is given back with the VM. Others are only lent: taken away from a VM, they stay with the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from cloudms.clouds.base import Addresses, AddressPool
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.errors import code_of, status_of
from cloudms.clouds.openstack.pools import Pools, Row, Way
from cloudms.clouds.pool import kept_token
from cloudms.errors import CloudmsError, Conflict, Denied, Exists, Invalid, NotFound
from cloudms.model import Address, Vm

SHOWN_S = 20.0
"""Seconds in which Nova is expected to have heard of what Neutron did."""
_SECOND_LOOK_S = 1.0
_NO_WAY = "ExternalGatewayForFloatingIPNotFound"


class Addressing(Pools, Addresses, AddressPool):
    """Giving, keeping and taking addresses."""

    def list_addresses(self) -> Iterable[Address]:
        """Yield the floating IPs of the project, those that lead nowhere included."""
        return self.link.each_region(self._addresses_in)

    def _addresses_in(self, region: str) -> Iterator[Address]:
        rows = list(self._floating(region))
        holders = {str(row["id"]): self._holder_of(row, region) for row in rows if row.get("port_id")}
        names = self.vm_names(holders.values(), region)
        for row in rows:
            holder = holders.get(str(row["id"]), "")
            yield self._address(row, region, names.get(holder, holder or str(row.get("port_id") or "")))

    def _address(self, row: Row, region: str, vm: str = "") -> Address:
        """Return the noun of a floating IP; the token of one that was made for a VM is that of the VM."""
        mark = marks.described(row)
        return Address(
            name=str(row.get("floating_ip_address")), cloud=self.name, id=str(row.get("id")), region=region, vm=vm,
            owner=mark.owner, token=mark.token if is_kept(mark) else "", fetched=self.clock.now(), raw=row,
        )  # fmt: skip

    def _floating(self, region: str, **narrow: str) -> Iterator[dict[str, Any]]:
        return self.link.pages("network", "/floatingips", "floatingips", region, **self.ours(), **narrow)

    def _holder_of(self, row: Row, region: str) -> str:
        """Return the id of the VM to which a floating IP leads; empty when it leads to something else."""
        port = row.get("port_details")
        if port is None and row.get("port_id"):  # an older Neutron does not say it
            try:
                port = self.link.get("network", f"/ports/{row['port_id']}", region).get("port")
            except NotFound:
                port = None
        told = port or {}
        return str(told.get("device_id") or "") if str(told.get("device_owner")).startswith("compute:") else ""

    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Let a floating IP lead to `vm`: the given one, else the one it has, or a new one.

        Raises: Exists (another VM has it), Invalid (no address, no way to it, or ports: none are forwarded here),
        Conflict (the VM has another one), NoCapacity (quota, or no address is left).
        """
        if ports:
            raise Invalid("OpenStack forwards no ports: an address leads to the whole VM", hint="leave --port out")
        _check(address)
        row, region = self.find(vm)
        self.own(row, "given an address")
        ident, seen = str(row["id"]), self.noun(row, region)
        ways = self.ways(ident, region)
        held = [each for each in self._floating(region) if each.get("port_id") in {way.port for way in ways}]
        there = [each for each in held if address in ("", each.get("floating_ip_address"))]
        if there:
            return self._after_change(seen, gained=str(there[0]["floating_ip_address"]))
        if held:
            raise Conflict(
                f"vm '{vm.name}' has the address {held[0]['floating_ip_address']}, and can have only one",
                hint=f"cms vm ip remove {vm.name} {held[0]['floating_ip_address']}",
            )
        way, pool = self.way_out(ways, vm.name, region)
        chosen = (
            self._given_address(address, pool, seen, way, region)
            if address
            else self._fresh_address(pool, seen, way, region)
        )
        return self._after_change(seen, gained=str(chosen["floating_ip_address"]))

    def _given_address(self, address: str, pool: str, vm: Vm, way: Way, region: str) -> Row:
        """Let the floating IP of that number lead to a VM, asked for when the project has none. Raises: Invalid."""
        found = next(self._floating(region, floating_ip_address=address), None)
        if found is not None:
            if found.get("port_id"):
                holder = self._holder_of(found, region)
                name = self.vm_names([holder], region).get(holder, holder or found["port_id"])
                raise Exists(f"address '{address}' leads to {name}", hint="take it away first, or choose another")
            return self._lead_address(found, way, region)
        try:
            return self._ask_address(pool, vm.token, region, way, floating_ip_address=address)
        except (Invalid, NotFound, Denied, Conflict) as error:
            raise Invalid(
                f"the project has no address '{address}' in {region}",
                hint=f"cms ip list --cloud {self.name}",
                details=error.details,
            ) from None

    def _fresh_address(self, pool: str, vm: Vm, way: Way, region: str) -> Row:
        """Let the address that was made for a VM lead to it, else a new one."""
        idle = self._idle_address(pool, vm.token, region)
        if idle is not None:
            return self._lead_address(idle, way, region)
        return self.made_once(
            lambda: self._address_of_token(vm.token, region), lambda: self._ask_address(pool, vm.token, region, way)
        )

    def _idle_address(self, pool: str, token: str, region: str) -> Row | None:
        """Return an address that was made for the VM of a token and leads nowhere."""
        row = self._address_of_token(token, region)
        return row if row and not row.get("port_id") and row.get("floating_network_id") == pool else None

    def _address_of_token(self, token: str, region: str) -> Row | None:
        if not token:
            return None
        return next((row for row in self._floating(region) if marks.described(row).token == token), None)

    def _ask_address(self, pool: str, token: str, region: str, way: Way | None = None, **more: str) -> Row:
        """Ask for a floating IP, which leads to a VM from its first moment. Raises: NoCapacity, Invalid."""
        body: dict[str, Any] = {"floating_network_id": pool, **more}
        body["description"] = marks.description(token, self.setup.owner, "" if way else marks.KEPT)
        if way is not None:
            body |= {"port_id": way.port, "fixed_ip_address": way.address}
        return self._answered_address(lambda: self.link.post("network", "/floatingips", {"floatingip": body}, region))

    def _lead_address(self, row: Row, way: Way, region: str) -> Row:
        """Let a floating IP that is free lead to a VM. Raises: Exists (somebody was quicker), Invalid (no way).

        Neutron looks at the revision before it writes, so two at the very same time may both be told that they have
        it, and the later one does: hence a second look, once another request that began before ours ended has ended
        too. It is expected to take no longer than twice as long as ours.
        """
        change = {"port_id": way.port, "fixed_ip_address": way.address}
        headers = {"If-Match": f"revision_number={row['revision_number']}"} if "revision_number" in row else {}
        path = f"/floatingips/{row['id']}"
        began = self.clock.monotonic()
        try:
            self._answered_address(
                lambda: self.link.put("network", path, {"floatingip": change}, region, headers=headers)
            )
        except CloudmsError as error:
            if status_of(error) != 412:
                raise
            raise _taken(row) from None
        self.clock.sleep(max(_SECOND_LOOK_S, 2 * (self.clock.monotonic() - began)))
        now = self._answered_address(lambda: self.link.get("network", path, region))
        if now.get("port_id") != way.port:
            raise _taken(row)
        return now

    def _answered_address(self, ask: Any) -> Row:
        """Return the floating IP that a request is answered with. Raises: Invalid (no router leads to the VM)."""
        try:
            row: Row = ask().get("floatingip") or {}
        except CloudmsError as error:
            if code_of(error) != _NO_WAY:
                raise
            raise Invalid(
                "no router leads from the VM's network to the public network of the address",
                hint="connect one (openstack router add subnet), or name the right network in floating_pool",
            ) from None
        return row

    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take an address away; one that cloudms asked for this VM is released, others stay with the project.

        Already gone is success. Raises: Invalid (it is no floating IP but the VM's own on its network).
        """
        return self._take_address(vm, address, keep=False)

    def detach_address(self, vm: Vm, address: str) -> Vm:
        """Take an address away from `vm` and keep it in the project; already gone is success. Raises: Invalid."""
        return self._take_address(vm, address, keep=True)

    def _take_address(self, vm: Vm, address: str, *, keep: bool) -> Vm:
        row, region = self.find(vm)
        self.own(row, "changed")
        seen, ways = self.noun(row, region), self.ways(str(row["id"]), region)
        if address in {way.address for way in ways}:
            raise Invalid(
                f"{address} is the address of vm '{vm.name}' on its network, and cannot be taken away",
                hint="boot into another network: --network NAME",
            )
        found = next(self._floating(region, floating_ip_address=address), None) if address else None
        if found is not None and found.get("port_id") in {way.port for way in ways}:
            self._part_address(found, region, seen.token, keep=keep)
        return self._after_change(seen, lost=address)

    def _part_address(self, row: Row, region: str, token: str, *, keep: bool) -> None:
        """Take a floating IP away from where it leads, and give it back when it was made for the VM of `token`."""
        mark, path = marks.described(row), f"/floatingips/{row['id']}"
        change: dict[str, Any] = {"port_id": None}
        made_for_it = bool(token) and mark.token == token and not is_kept(mark)
        if made_for_it and keep:  # it is the project's from now on, and does not go with the VM
            kept = kept_token(token, str(row["floating_ip_address"]))
            change["description"] = marks.description(kept, mark.owner, marks.KEPT)
        try:
            if made_for_it and not keep:
                self.link.delete("network", path, region)
            else:
                self.link.put("network", path, {"floatingip": change}, region)
        except NotFound:
            return

    def create_address(self, token: str, region: str = "") -> Address:
        """Take a floating IP into the project; idempotent by token.

        Raises: NoCapacity, NotFound (region, or no public network), Invalid (several: set `floating_pool`).
        """
        where = self.new_place(region)[0]
        row = self.made_once(
            lambda: self._address_of_token(token, where), lambda: self._ask_address(self.any_pool(where), token, where)
        )
        return self._address(row, where)

    def delete_address(self, address: Address) -> None:
        """Give a floating IP back; already gone is success. Raises: Conflict while it leads to a VM."""
        for region in self.regions_of(address.region):
            for row in self._same_address(address, region):
                if row.get("port_id"):
                    raise Conflict(
                        f"address '{address.name}' leads to a VM", hint="take it away first: cms vm ip remove"
                    )
                self._release_address(row, region)

    def _same_address(self, address: Address, region: str) -> list[dict[str, Any]]:
        """Return the floating IP of a noun, by id, else token, else number; none when it is gone."""
        rows = list(self._floating(region))
        if address.id:
            return [row for row in rows if row.get("id") == address.id]
        if address.token:
            return [row for row in rows if marks.described(row).token == address.token]
        return [row for row in rows if row.get("floating_ip_address") == address.name]

    def _release_address(self, row: Row, region: str) -> None:
        try:
            self.link.delete("network", f"/floatingips/{row['id']}", region)
        except NotFound:
            return

    def release_addresses(self, vm: Vm) -> None:
        """Give back what was asked for a VM that is being deleted."""
        if not vm.token:
            return
        for region in self.places(vm):
            for row in self._floating(region):
                mark = marks.described(row)
                if mark.token == vm.token and not is_kept(mark):
                    self._release_address(row, region)

    def _after_change(self, vm: Vm, gained: str = "", lost: str = "") -> Vm:
        """Return the VM with its addresses, once Nova has heard of what Neutron has just done."""

        def told(seen: Vm) -> bool:
            return (not gained or gained in seen.public_ips) and (not lost or lost not in seen.public_ips)

        seen = self.until(lambda: self.noun(*self.find(vm)), told, SHOWN_S)
        if told(seen):
            return seen
        public = tuple(each for each in seen.public_ips if each not in (gained, lost))
        public = (gained, *public) if gained else public
        return seen.with_(public_ips=public, ssh_host=(*public, *seen.private_ips, "")[0])


def is_kept(mark: marks.Mark) -> bool:
    """Whether an address belongs to the project, not to one VM."""
    return mark.text == marks.KEPT


def _taken(row: Row) -> Exists:
    return Exists(f"address '{row['floating_ip_address']}' has just been given to another VM", hint="try again")


def _check(address: str) -> None:
    try:
        if address:
            IPv4Address(address)
    except AddressValueError:
        raise Invalid(f"'{address}' is no IPv4 address", hint="cms ip list shows those of the project") from None
