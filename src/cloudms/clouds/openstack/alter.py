"""Another flavor, and a fresh disk.

Nova itself waits after a resize, and keeps the old place until it is told to give it back
(https://docs.openstack.org/nova/latest/user/resize.html).
"""

from __future__ import annotations

from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.base import ConfirmResize, Rebuild, Resize
from cloudms.clouds.openstack import guess, tags
from cloudms.clouds.openstack.listing import can_be_called
from cloudms.clouds.openstack.making import Making
from cloudms.clouds.openstack.power import ON
from cloudms.errors import CloudmsError, Conflict, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Flavor, Vm, VmState

REBUILDS_VOLUMES = (2, 93)
"""The microversion since which a server whose disk is a volume can be rebuilt."""
_ABLE = ON | {VmState.STOPPED}
_NAMES_S, _LOOK_S = 60.0, 1.0
"""Seconds that a name may take which can be given only once nova has found a host, and between two looks."""


class Altering(Making, Resize, ConfirmResize, Rebuild):
    """Resize with confirmation, and rebuild."""

    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give it another flavor; nova stops a running VM for it, starts it again, and waits to be told to keep it.

        Raises: NotFound (flavor), Invalid (a smaller disk), NotReady, NoCapacity, Conflict (locked).
        """
        row, region = self.find(vm)
        state = self.demand(row, _ABLE | {VmState.AWAITING_CONFIRM, VmState.RESIZING}, "resize")
        wanted, now = self.find_flavor(flavor, region), self.noun(row, region)
        if now.flavor == wanted.name:
            return now
        if state not in _ABLE:
            raise NotReady(
                f"vm '{now.name}' is {state}: cannot resize", hint=f"cms vm confirm {now.name}, or cms vm revert",
                details={"vm": now.name, "state": str(state)},
            )  # fmt: skip
        _check_disk(row, wanted)
        row = self.put_tags(row, region, {tags.RESIZED: now.flavor})
        body = {"resize": {"flavorRef": wanted.id}}
        return self.go(row, region, body, task="resize_prep", what="resize").with_(
            reason=f"it becomes {wanted.name}, and waits then for cms vm confirm or revert"
        )

    def confirm_vm(self, vm: Vm) -> Vm:
        """Keep the new flavor and give the old place back; success when nothing waits for it.

        Raises: NotReady (it is still being resized).
        """
        row, region = self.find(vm)
        now = self.noun(row, region)
        if now.id in self._confirmed and now.state is VmState.RESIZING:
            return now
        if now.state is VmState.RESIZING:
            raise NotReady(f"vm '{now.name}' is still being resized", hint=f"cms vm wait {now.name}")
        if now.state is not VmState.AWAITING_CONFIRM:
            return now
        try:
            self.act(row, region, {"confirmResize": None})
        except (Conflict, Invalid) as error:  # nova refuses what it has confirmed already, its answer having been lost
            still = self.noun(self.server(now.id, region), region).state is VmState.AWAITING_CONFIRM
            if _is_locked(error) or still:
                raise
        self._confirmed[now.id] = self.clock.monotonic()
        return self.noun(self.server(now.id, region), region)

    def revert_vm(self, vm: Vm) -> Vm:
        """Go back to the old flavor; success when it has that already. Raises: NotReady (nothing waits for it)."""
        row, region = self.find(vm)
        now, old = self.noun(row, region), tags.of(row).resized_from
        if now.state is VmState.RESIZING and str(row.get("status")).upper() == "REVERT_RESIZE":
            return now
        if now.state is VmState.RESIZING:
            raise NotReady(f"vm '{now.name}' is still being resized", hint=f"cms vm wait {now.name}")
        if now.state is not VmState.AWAITING_CONFIRM:
            if old and now.flavor == old:
                return now
            raise NotReady(
                f"vm '{now.name}' is {now.state}, and no resize waits for an answer",
                hint=f"cms vm resize {now.name} FLAVOR", details={"vm": now.name, "state": str(now.state)},
            )  # fmt: skip
        return self.go(row, region, {"revertResize": None}, task="resize_reverting", what="revert")

    def rebuild_vm(self, vm: Vm, image: str) -> Vm:
        """Give it a fresh root disk from an image; name, addresses, id and first-boot data stay.

        Raises: Unsupported (its disk is a volume and nova is too old), NotFound (image), NotReady, Conflict.
        """
        row, region = self.find(vm)
        mark = self.own(row, "rebuilt")
        self.demand(row, _ABLE | {VmState.ERROR}, "rebuild")
        found = self.usable_image(image, region)
        if not row.get("image") and self.link.version("compute", region) < REBUILDS_VOLUMES:
            raise Unsupported(f"the disk of vm '{mark.name}' is a volume, and this cloud is too old to rebuild that")
        login = self.view.login or guess.system(found)[1] or mark.login
        told = {**tags.plain(row), notes.IMAGE: image, **({notes.LOGIN: login} if login else {})}
        body = {"rebuild": {"imageRef": str(found["id"]), "metadata": told}}
        done = self.go({**row, "metadata": told}, region, body, task="rebuilding", what="rebuild")
        return done.with_(reason="it is getting a fresh disk")

    # -- after a kill --------------------------------------------------------------------------------------------

    def detached(self, vm: Vm) -> bool:
        """Whether a VM of a batch has not got its own name: what made them was killed before, or did not wait."""
        if vm.raw:
            return tags.made_up(vm.raw)
        try:
            return tags.made_up(self.find(vm)[0])
        except NotFound:
            return False

    def mend(self, vm: Vm) -> Vm:
        """Give a VM of a batch its own name, as soon as that lasts. Raises: NotFound, NotReady (it has no host yet)."""
        row, region = self.find(vm)
        deadline = self.clock.monotonic() + _NAMES_S
        while tags.made_up(row):
            if can_be_called(row):
                row = self.called(row, region)
            elif self.clock.monotonic() >= deadline:
                raise NotReady(f"nova has found no host for vm '{tags.of(row).name}' yet", hint="cms sweep, later")
            if tags.made_up(row):
                if self.clock.monotonic() >= deadline:
                    break
                self.clock.sleep(_LOOK_S)
                row = self.server(str(row["id"]), region)
        return self.noun(row, region)


def _check_disk(row: dict[str, Any], wanted: Flavor) -> None:
    """Refuse a flavor with a smaller disk than the VM has. Raises: Invalid."""
    flavor = row.get("flavor")
    now = int(flavor.get("disk") or 0) if isinstance(flavor, dict) else 0
    if row.get("image") and wanted.disk_gib < now:
        raise Invalid(
            f"flavor {wanted.name} has a disk of {wanted.disk_gib} GiB, and the VM one of {now}",
            hint="choose a flavor with at least as much",
        )


def _is_locked(error: CloudmsError) -> bool:
    return "locked" in error.message


__all__ = ["Altering"]
