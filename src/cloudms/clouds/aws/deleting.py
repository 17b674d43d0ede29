"""Deleting a VM with what belongs to it alone: its ports' group, its addresses; its root disk goes by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.firewall import Firewall
from cloudms.errors import CloudmsError, Conflict, NotFound, NotReady
from cloudms.model import Vm, VmState

_AMAZONS = "amazon"
"""The owner of addresses that EC2 lends while an instance runs."""


class Deleting(Firewall):
    """Deleting VMs."""

    def delete_vm(self, vm: Vm) -> None:
        """Delete a VM, its group of ports when it was the last one behind it, and its addresses.

        Already gone is success. Raises: Conflict (made by somebody else, protected).
        """
        try:
            row, region = self.find(vm)
        except NotFound:
            for region in self.places(vm)[:1]:
                self._sweep(vm, region)
            return
        if describe.is_gone(row):
            self._sweep(vm.with_(token=vm.token or tags.of(row).token), region)
            return
        mark = self.own(row, "deleted")
        if mark.protected:
            raise Conflict(f"vm '{mark.name}' is protected", hint=f"cms vm unprotect {mark.name}")
        grouped = self.leave_group(row, region, mark.token)
        try:
            self._terminate(str(row["InstanceId"]), region)
        except CloudmsError as error:
            if grouped and not error.retryable:
                self.rejoin_group(row, region, mark.token)
            raise
        if _may_have_address(row):
            self._release(mark.token, region)
        if grouped:
            self.drop_group(region, mark.token)

    def _terminate(self, ident: str, region: str) -> None:
        """Terminate an instance, AWS's own protection of it lifted: ours has been asked before."""
        try:
            self.link.call("terminate_instances", region, InstanceIds=[ident])
        except NotFound:
            if self.remembered(ident):  # or else it would run on, and be paid for
                raise NotReady("AWS does not know the VM yet that it has just made", hint="delete it again") from None
            return
        except CloudmsError as error:
            if code_of(error) != "OperationNotPermitted":
                raise
            unprotected = {"Value": False}
            self.link.call("modify_instance_attribute", region, InstanceId=ident, DisableApiTermination=unprotected)
            self.link.call("terminate_instances", region, InstanceIds=[ident])

    def _sweep(self, vm: Vm, region: str) -> None:
        """Take away what a VM that is gone has left: a run that was killed may not have come to it."""
        if vm.token:
            self._release(vm.token, region)
            self.drop_group(region, vm.token)

    def _release(self, token: str, region: str) -> None:
        """Give back the addresses that carry a VM's token."""
        reply = self.link.call("describe_addresses", region, Filters=tags.filters(token=token))
        for row in reply.get("Addresses") or ():
            if row.get("AssociationId"):
                self._quietly("disassociate_address", region, AssociationId=row["AssociationId"])
            self._quietly("release_address", region, AllocationId=row["AllocationId"])

    def _quietly(self, operation: str, region: str, **params: Any) -> None:
        """Call; already gone is success."""
        try:
            self.link.call(operation, region, **params)
        except NotFound:
            return


def _may_have_address(row: Mapping[str, Any]) -> bool:
    """Whether an instance may have an address that belongs to the account: one that is off does not always tell."""
    if describe.STATES.get(str((row.get("State") or {}).get("Name"))) is not VmState.RUNNING:
        return True
    cards = row.get("NetworkInterfaces") or ()
    owners = [(card.get("Association") or {}).get("IpOwnerId") for card in cards]
    return any(owner and owner != _AMAZONS for owner in owners)
