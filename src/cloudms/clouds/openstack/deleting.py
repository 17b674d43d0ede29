"""Deleting a VM with what belongs to it alone: its ports' group, its addresses, its place among those spread.

Its own ports and a root disk on a volume go by themselves.
"""

from __future__ import annotations

from contextlib import suppress

from cloudms.clouds.openstack import describe, tags
from cloudms.clouds.openstack.addresses import Addressing
from cloudms.clouds.openstack.guard import Guarding
from cloudms.clouds.openstack.spread import Spreading
from cloudms.errors import Conflict, NotFound, Unsupported
from cloudms.model import Vm


class Deleting(Addressing, Guarding, Spreading):
    """Deleting VMs."""

    def delete_vm(self, vm: Vm) -> None:
        """Delete a VM, its addresses, and what was made for its request when it was the last one of it.

        Already gone is success. Raises: Conflict (made by somebody else, protected, locked).
        """
        try:
            row, region = self.find(vm)
        except NotFound:
            for region in self.places(vm)[:1]:
                self._sweep(vm, region)
            return
        mark = tags.of(row)
        if describe.is_gone(row):
            self._sweep(vm.with_(token=vm.token or mark.token, region=region), region)
            return
        self.own(row, "deleted")
        if mark.protected:
            raise Conflict(f"vm '{mark.name}' is protected", hint=f"cms vm unprotect {mark.name}")
        ident = str(row["id"])
        grouped = mark.opened and not row.get("locked") and self.leave_group(ident, region, mark.token)
        self._delete(ident, region)
        self._release(vm.with_(token=mark.token, region=region))
        if grouped:
            self.drop_group(region, mark.token)
        if mark.spread:
            self.drop_spread(region, mark.spread, ident)

    def _delete(self, ident: str, region: str) -> None:
        try:
            self.link.delete("compute", f"/servers/{ident}", region)
        except NotFound:
            return
        except Conflict as error:
            try:
                now = self.server(ident, region)
            except NotFound:
                return
            if describe.is_gone(now):
                return
            hint = f"openstack server unlock {ident}" if "locked" in error.message else error.hint
            raise Conflict(error.message, hint=hint, details=error.details) from None

    def _sweep(self, vm: Vm, region: str) -> None:
        """Take away what a VM that is gone has left: a run that was killed may not have come to it."""
        if not vm.token:
            return
        self._release(vm.with_(region=region))
        with suppress(Unsupported):  # there is no neutron
            self.drop_group(region, vm.token)

    def _release(self, vm: Vm) -> None:
        """Give the addresses of a VM back, also one that nova has not heard of yet."""
        with suppress(Unsupported):  # there is no neutron
            self.release_addresses(vm)
