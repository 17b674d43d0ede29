"""Power, reboot and hibernation: each one idempotent, each one answered with the state that AWS says it goes to.

Hibernation is what suspends and what saves: EC2 keeps memory on the root disk only
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.base import Deallocate, Power, Reboot, Save, Suspend
from cloudms.errors import CloudmsError, Unsupported
from cloudms.model import Vm, VmState

ON = frozenset((VmState.RUNNING,))
COMING = ON | {VmState.PENDING}
OFF = frozenset((VmState.STOPPED, VmState.SAVED))
GOING = frozenset((VmState.STOPPING, VmState.SUSPENDING))


class Powering(Core, Power, Reboot, Suspend, Save, Deallocate):
    """What is done to the machine as a whole."""

    deallocated = VmState.STOPPED

    def start_vm(self, vm: Vm) -> Vm:
        """Start a VM; a hibernated one continues from its memory. Raises: NotFound (gone), NotReady, NoCapacity."""
        row, region = self.find(vm)
        state = self.demand(row, COMING | OFF, "start")
        return self.noun(row, region) if state in COMING else self._start(row, region)

    def _start(self, row: dict[str, Any], region: str) -> Vm:
        reply = self.link.call("start_instances", region, InstanceIds=[row["InstanceId"]])
        started = self.put_tags(row, region, {}, (tags.SAVED, tags.INTENT))
        return self.noun(_now(started, reply.get("StartingInstances")), region)

    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Ask the guest to shut down, or with `force` end it without; disks and private addresses stay.

        Raises: NotReady (it is just starting), NotFound (terminated).
        """
        row, region = self.find(vm)
        state = self.demand(row, ON | OFF | GOING, "stop")
        if state in OFF or (state in GOING and not force):
            return self.noun(row, region)
        return self._stop(row, region, Force=force)

    def deallocate_vm(self, vm: Vm) -> Vm:
        """Stop it: EC2 has given the place of a stopped instance back, and bills its disks only.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html. Raises: NotReady (it is just starting).
        """
        return self.stop_vm(vm)

    def reboot_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Restart the guest; EC2 resets one that does not obey within a few minutes. Raises: NotReady."""
        row, region = self.find(vm)
        self.demand(row, ON, "reboot")
        self.link.call("reboot_instances", region, InstanceIds=[row["InstanceId"]])
        done = self.noun(self.put_tags(row, region, {}, (tags.INTENT,)), region)
        return done.with_(state=VmState.REBOOTING, reason="the guest restarts")

    def suspend_vm(self, vm: Vm) -> Vm:
        """Hibernate it: EC2 keeps no memory in place. Raises: Unsupported (not configured for it), NotReady."""
        return self.save_vm(vm)

    def resume_vm(self, vm: Vm) -> Vm:
        """Start it from its memory. Raises: NotReady (it has none), NoCapacity."""
        row, region = self.find(vm)
        state = self.demand(row, COMING | {VmState.SAVED}, "resume")
        return self.noun(row, region) if state in COMING else self._start(row, region)

    def save_vm(self, vm: Vm) -> Vm:
        """Write its memory to the root disk and switch it off. Raises: Unsupported (not configured for it), NotReady.

        AWS says of a stopped instance that it hibernated; our tag of the launch says so where that is lost.
        """
        row, region = self.find(vm)
        if self.demand(row, ON | {VmState.SAVED, VmState.SUSPENDING}, "hibernate") is not VmState.RUNNING:
            return self.noun(row, region)
        refusal = cannot_hibernate(row)
        if refusal:
            raise Unsupported(f"vm '{tags.of(row).name}' cannot be saved: {refusal}")
        launched = notes.time_text(describe.seconds(row.get("LaunchTime")))
        row = self.put_tags(row, region, {tags.SAVED: launched})
        try:
            return self._stop(row, region, Hibernate=True)
        except CloudmsError:
            self.put_tags(row, region, {}, (tags.SAVED,))
            raise

    def _stop(self, row: dict[str, Any], region: str, **how: Any) -> Vm:
        reply = self.link.call("stop_instances", region, InstanceIds=[row["InstanceId"]], **how)
        row = self.put_tags(row, region, {}, (tags.INTENT,))
        return self.noun(_now(row, reply.get("StoppingInstances")), region)


def cannot_hibernate(row: Mapping[str, Any]) -> str:
    """Return why an instance cannot hibernate, or an empty string when it can; one that is not described may."""
    if not row or (row.get("HibernationOptions") or {}).get("Configured"):
        return ""
    return "it was made without hibernation (boot with the option hibernate)"


def _now(row: Mapping[str, Any], changes: Any) -> dict[str, Any]:
    """Return an instance in the state that the answer to a change tells."""
    for change in changes or ():
        if change.get("InstanceId") == row.get("InstanceId") and change.get("CurrentState"):
            return {**row, "State": change["CurrentState"]}
    return dict(row)
