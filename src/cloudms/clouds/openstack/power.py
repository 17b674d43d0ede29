"""Power, reboot, suspension and shelving: each one idempotent, each one answered with the state that nova goes to.

Nova suspends to disk, so that is what suspends and what saves; a server that somebody paused is resumed, too. What is
deallocated is shelved (https://docs.openstack.org/api-guide/compute/server_concepts.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.clouds.base import Deallocate, Power, Reboot, Save, Suspend
from cloudms.clouds.openstack.core import Core
from cloudms.errors import CloudmsError, Conflict, Denied
from cloudms.model import Vm, VmState

ON = frozenset((VmState.RUNNING,))
COMING = ON | {VmState.PENDING}
OFF = frozenset((VmState.STOPPED, VmState.SAVED, VmState.DEALLOCATED))
GOING = frozenset((VmState.STOPPING, VmState.SUSPENDING))
FROZEN = frozenset((VmState.SAVED, VmState.SUSPENDED))
_STARTS: Mapping[str, tuple[str, str]] = {
    "SHUTOFF": ("os-start", "powering-on"), "SUSPENDED": ("resume", "resuming"), "PAUSED": ("unpause", "unpausing"),
    "SHELVED": ("unshelve", "unshelving"), "SHELVED_OFFLOADED": ("unshelve", "unshelving"),
}  # fmt: skip
"""The action that lets a server run again, by its status, and the task that nova is then at."""


class Powering(Core, Power, Reboot, Suspend, Save, Deallocate):
    """What is done to the machine as a whole."""

    def start_vm(self, vm: Vm) -> Vm:
        """Let a VM run, from its memory or from its shelf where it has been put there; one in error is reset.

        Raises: NotFound (gone), NotReady, NoCapacity, Conflict (locked).
        """
        row, region = self.find(vm)
        state = self.demand(row, COMING | OFF | FROZEN | {VmState.ERROR}, "start")
        if state in COMING:
            return self.noun(row, region)
        if state is VmState.ERROR:
            return self.go(row, region, {"reboot": {"type": "HARD"}}, task="reboot_pending_hard", what="start")
        return self._start(row, region)

    def _start(self, row: dict[str, Any], region: str) -> Vm:
        action, task = _STARTS[str(row["status"]).upper()]
        return self.go(row, region, {action: None}, task=task, what="start", fine=COMING)

    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Ask the guest to shut down; nova switches it off when it has not done so within a minute or what its image
        says. There is nothing quicker to be had with `force`.

        Raises: NotReady (it is just starting), NotFound (deleted), Conflict (locked).
        """
        row, region = self.find(vm)
        state = self.demand(row, ON | OFF | GOING | {VmState.ERROR}, "stop")
        if state in OFF | GOING:
            return self.noun(row, region)
        return self.go(row, region, {"os-stop": None}, task="powering-off", what="stop", fine=OFF | GOING)

    def reboot_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Restart the guest, or with `force` reset the machine. Raises: NotReady, Conflict (locked)."""
        row, region = self.find(vm)
        self.demand(row, ON | ({VmState.ERROR} if force else frozenset()), "reboot")
        kind = "HARD" if force else "SOFT"
        return self.go(
            row, region, {"reboot": {"type": kind}}, task=f"reboot_pending_{kind.lower()}", what="reboot"
        )  # fmt: skip

    def suspend_vm(self, vm: Vm) -> Vm:
        """Write its memory to disk and give back its processors. Raises: NotReady, Conflict (locked)."""
        row, region = self.find(vm)
        if self.demand(row, ON | FROZEN | {VmState.SUSPENDING}, "suspend") is not VmState.RUNNING:
            return self.noun(row, region)
        return self.go(
            row, region, {"suspend": None}, task="suspending", what="suspend", fine=FROZEN | {VmState.SUSPENDING}
        )

    def resume_vm(self, vm: Vm) -> Vm:
        """Let it go on from its memory. Raises: NotReady (it has none), Conflict (locked)."""
        row, region = self.find(vm)
        state = self.demand(row, COMING | FROZEN, "resume")
        return self.noun(row, region) if state in COMING else self._start(row, region)

    def save_vm(self, vm: Vm) -> Vm:
        """Suspend it: nova keeps memory on disk. Raises: NotReady, Conflict (locked)."""
        return self.suspend_vm(vm)

    def deallocate_vm(self, vm: Vm) -> Vm:
        """Shelve it: its disk becomes an image, or stays a volume, and its place on the host is given back.

        Raises: NotReady (it starts or stops), Conflict (locked).
        """
        row, region = self.find(vm)
        able = ON | FROZEN | {VmState.STOPPED, VmState.DEALLOCATED}
        shelved = str(row.get("status")).upper() == "SHELVED"
        task = str(row.get("OS-EXT-STS:task_state") or "")
        if task.startswith("shelving") or self.demand(row, able, "deallocate") is VmState.DEALLOCATED:
            return self.noun(row, region)
        if shelved:
            return self._offload(row, region)
        return self.go(row, region, {"shelve": None}, task="shelving", what="deallocate")

    def _offload(self, row: dict[str, Any], region: str) -> Vm:
        """Let nova give the place of a shelved server back; most clouds do so by themselves, and let nobody ask."""
        try:
            return self.go(row, region, {"shelveOffload": None}, task="shelving_offloading", what="deallocate")
        except (Denied, Conflict):
            return self.noun(row, region)


def is_locked(error: CloudmsError) -> bool:
    """Whether nova refused since somebody has locked the server."""
    return isinstance(error, Conflict) and "locked" in error.message
