"""Addresses: elastic IPs, which stay with a VM over stop and start.

One that cloudms asked for a VM carries the token of that VM from the moment it is allocated, so that a repeated call
finds it again and it is given back with the VM. One that outlives its VM has a token of its own and the tag `cms:pool`.
Others are only lent: taken away from a VM, they stay with the account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import jsonable
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import Addresses, AddressPool
from cloudms.clouds.pool import kept_token
from cloudms.errors import CloudmsError, Conflict, Denied, Exists, Invalid, NotFound, NotReady
from cloudms.model import Address, Vm

_PART = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_VALUES = 200
"""Values that one filter takes."""


class Addressing(Core, Addresses, AddressPool):
    """Giving, taking and keeping addresses."""

    def list_addresses(self) -> Iterable[Address]:
        """Yield the elastic IPs of the account, those that lead nowhere included."""
        return self.link.each_region(self._addresses_in)

    def _addresses_in(self, region: str) -> Iterator[Address]:
        rows = list(self._elastic_ips(region))
        ids = [str(row["InstanceId"]) for row in rows if row.get("InstanceId")]
        names = {str(row["InstanceId"]): self.noun(row, region).name for row in self.with_ids(ids, region)}
        for row in rows:
            holder = str(row.get("InstanceId") or row.get("NetworkInterfaceId") or "")
            yield self._address(row, region, names.get(holder, holder))

    def _address(self, row: Mapping[str, Any], region: str, holder: str = "") -> Address:
        marks = tags.of(row)
        return Address(
            name=str(row.get("PublicIp")), cloud=self.name, id=str(row.get("AllocationId") or row.get("PublicIp")),
            region=region, vm=holder, owner=marks.owner, token=marks.token if is_kept(row) else "",
            fetched=self.clock.now(), raw=jsonable(row), labels=marks.labels,
        )  # fmt: skip

    def _elastic_ips(self, region: str, **narrow: str | list[str]) -> Iterator[dict[str, Any]]:
        return self.link.pages("describe_addresses", "Addresses", region, Filters=tags.filters(**narrow))

    def with_ids(self, ids: Iterable[str], region: str) -> Iterator[dict[str, Any]]:
        """Yield the instances with these ids; a filter does not mind those that are gone."""
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), _VALUES):
            narrow = tags.filters(instance_id=wanted[start : start + _VALUES])
            yield from self.instances(region, Filters=narrow)

    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Let an elastic IP lead to `vm`: the given one, which is asked back when it was released, else a fresh one.

        A VM that has one keeps it when none is named.
        Raises: Exists (another VM has it), Invalid (no address, or ports: none are forwarded here), NoCapacity (quota).
        """
        if ports:
            raise Invalid("AWS forwards no ports: an address leads to the whole VM", hint="leave --port out")
        if address and not re.fullmatch(rf"{_PART}(?:\.{_PART}){{3}}", address):
            raise Invalid(f"'{address}' is no IPv4 address", hint="cms vm ip list shows the account's")
        row, region = self.find(vm)
        self.own(row, "given an address")
        ident, marks = str(row["InstanceId"]), tags.of(row)
        if (state := str((row.get("State") or {}).get("Name"))) == "pending":
            raise NotReady(f"vm '{vm.name}' is {state} and cannot have an address yet", hint=f"cms vm wait {vm.name}")
        chosen = self._given(address, region, marks) if address else self._fresh(ident, region, marks)
        holder = chosen.get("InstanceId") or chosen.get("NetworkInterfaceId")
        if holder and chosen.get("InstanceId") != ident:
            raise Exists(f"address '{address}' leads to {holder}", hint="take it away first, or choose another")
        if not holder:
            self._associate(chosen, ident, region)
        return self._after(vm.with_(id=ident, region=region), gained=str(chosen["PublicIp"]))

    def _given(self, address: str, region: str, marks: tags.Tags) -> dict[str, Any]:
        """Return the elastic IP of that number. Raises: Invalid (the account has none, and cannot have it back)."""
        found = next(self._elastic_ips(region, public_ip=address), None)
        if found is not None:
            return found
        try:
            return self._allocate(region, _of_vm(marks), Address=address)
        except (Invalid, NotFound, Denied) as error:
            raise Invalid(
                f"the account has no address '{address}' in {region}",
                hint=f"cms vm ip list --cloud {self.name}",
                details={"code": code_of(error), "region": region},
            ) from None

    def _fresh(self, ident: str, region: str, marks: tags.Tags) -> dict[str, Any]:
        """Return the address that an instance has, else one allocated for it before, else a new one."""
        held = next(self._elastic_ips(region, instance_id=ident), None)
        if held is not None:
            return held
        idle = self._idle(region, marks)
        if idle is not None:
            return idle
        return self._allocated(region, marks, _of_vm(marks))

    def _allocated(self, region: str, marks: tags.Tags, pairs: Mapping[str, str]) -> dict[str, Any]:
        try:
            return self._allocate(region, pairs)
        except NotReady:  # the answer may have been lost, and the address be there
            idle = self._idle(region, marks)
            if idle is None:
                raise
            return idle

    def _idle(self, region: str, marks: tags.Tags) -> dict[str, Any] | None:
        """Return an address that was allocated with a token and leads nowhere."""
        rows = self._elastic_ips(region, token=marks.token)
        return next((row for row in rows if not row.get("AssociationId")), None)

    def _allocate(self, region: str, pairs: Mapping[str, str], **more: str) -> dict[str, Any]:
        specification = tags.specification(["elastic-ip"], pairs)
        return self.link.call_once("allocate_address", region, Domain="vpc", TagSpecifications=specification, **more)

    def _associate(self, chosen: Mapping[str, Any], ident: str, region: str) -> None:
        try:
            self.link.call(
                "associate_address", region, AllocationId=chosen["AllocationId"], InstanceId=ident,
                AllowReassociation=False,
            )  # fmt: skip
        except CloudmsError as error:
            if code_of(error) != "Resource.AlreadyAssociated":
                raise
            raise Exists(
                f"address '{chosen['PublicIp']}' has just been given to another VM", hint="try again"
            ) from None

    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take an address away; one that cloudms asked for this VM is released. Already gone is success.

        Raises: Invalid (it is no elastic IP, but lent by AWS while the VM runs).
        """
        row, region, found = self._of(vm, address)
        if found is not None:
            self._part(found, region)
        return self._after(vm.with_(id=row["InstanceId"], region=region), lost=address)

    def _of(self, vm: Vm, address: str) -> tuple[dict[str, Any], str, dict[str, Any] | None]:
        """Return the instance of `vm`, its region, and the elastic IP when that leads to it. Raises: Invalid."""
        row, region = self.find(vm)
        self.own(row, "changed")
        if address in lent(row):
            raise Invalid(
                f"AWS lends {address} to vm '{vm.name}' while it runs, and it cannot be taken away",
                hint="boot into a subnet that gives no public addresses: --network SUBNET",
            )
        found = next(self._elastic_ips(region, public_ip=address), None) if address else None
        return row, region, found if found and found.get("InstanceId") == row["InstanceId"] else None

    # -- addresses that outlive their VM -------------------------------------------------------------------------

    def create_address(self, token: str, region: str = "") -> Address:
        """Take an elastic IP into the account; idempotent by token. Raises: NoCapacity (quota), NotFound (region)."""
        where = place(region)[0] if region else self.link.region
        if where not in self.link.regions:
            raise NotFound(
                f"cloud '{self.name}' does not look at '{region}'",
                hint=f"cms location list --cloud {self.name}; the setting regions adds more",
            )
        marks = tags.Tags(token=token, owner=self.setup.owner)
        known = next(self._elastic_ips(where, token=token), None) if token else None
        row = known or self._allocated(where, marks, marks.pairs() | {tags.POOL: "yes"})
        return self._address({"Tags": tags.listed(marks.pairs() | {tags.POOL: "yes"}), **row}, where)

    def delete_address(self, address: Address) -> None:
        """Release an elastic IP; already gone is success. Raises: Conflict while it leads somewhere."""
        for region in (address.region,) if address.region else self.link.regions:
            row = next(self._elastic_ips(region, allocation_id=address.id), None) if address.id else None
            if row is None:
                continue
            if row.get("AssociationId"):
                holder = address.vm or row.get("InstanceId") or row.get("NetworkInterfaceId")
                raise Conflict(f"address '{address.name}' leads to {holder}", hint="take it away from it first")
            try:
                self.link.call("release_address", region, AllocationId=row["AllocationId"])
            except NotFound:
                return

    def detach_address(self, vm: Vm, address: str) -> Vm:
        """Take an elastic IP away and keep it. Its tags say so first: the end of the VM would take it along.

        Already gone is success. Raises: Invalid (it is no elastic IP, but lent by AWS while the VM runs).
        """
        row, region, found = self._of(vm, address)
        if found is not None:
            mark = tags.of(found)
            if mark.token and not is_kept(found):
                kept = {tags.POOL: "yes", notes.TOKEN: kept_token(mark.token, address)}
                self.link.call("create_tags", region, Resources=[found["AllocationId"]], Tags=tags.listed(kept))
            with suppress(NotFound):  # it was taken away meanwhile
                self.link.call("disassociate_address", region, AssociationId=found["AssociationId"])
        return self._after(vm.with_(id=row["InstanceId"], region=region), lost=address)

    def _part(self, row: Mapping[str, Any], region: str) -> None:
        """Take an address away from where it leads, and give it back when cloudms asked for it."""
        try:
            if row.get("AssociationId"):
                self.link.call("disassociate_address", region, AssociationId=row["AssociationId"])
            if tags.of(row).token and not is_kept(row):
                self.link.call("release_address", region, AllocationId=row["AllocationId"])
        except NotFound:
            return

    def _after(self, vm: Vm, gained: str = "", lost: str = "") -> Vm:
        """Return the VM with its addresses: what EC2 describes may lag behind what it has just done."""
        seen = self.noun(*self.find(vm))
        others = tuple(each for each in seen.public_ips if each not in (gained, lost))
        public = (gained, *(each for each in others if ":" in each)) if gained else others
        if gained in seen.public_ips and gained:
            public = seen.public_ips
        return seen.with_(public_ips=public, ssh_host=(*public, *seen.private_ips, "")[0])


def is_kept(row: Mapping[str, Any]) -> bool:
    """Whether an elastic IP outlives the VM it leads to."""
    return bool(tags.plain(row.get("Tags") or ()).get(tags.POOL))


def _of_vm(marks: tags.Tags) -> dict[str, str]:
    """Return the tags of an elastic IP that goes with its VM."""
    return tags.Tags(token=marks.token, owner=marks.owner, name=marks.name).pairs()


def lent(instance: Mapping[str, Any]) -> set[str]:
    """Return the public addresses of an instance that are Amazon's own."""
    known = [card.get("Association") or {} for card in instance.get("NetworkInterfaces") or ()]
    return {str(each.get("PublicIp")) for each in known if each.get("IpOwnerId") == "amazon"}
