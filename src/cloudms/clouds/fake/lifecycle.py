"""The roles of the fake cloud that act on one VM: power, size, name, disk, labels, care."""

from __future__ import annotations

from collections.abc import Callable

from cloudms.clouds.base import (
    Adopt,
    CloneVm,
    ConfirmResize,
    Console,
    Deallocate,
    Lease,
    Metadata,
    Power,
    Reboot,
    Rebuild,
    Rename,
    Report,
    Resize,
    Save,
    Suspend,
    silent,
)
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.faults import Fault
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import Invalid
from cloudms.model import Vm, VmSpec, VmState

Action = Callable[[Doc, float, Fault | None], None]

_BROKEN = frozenset((VmState.ERROR, VmState.UNKNOWN))
_CONSOLE_CHARS = 64 << 10


class FakeLifecycle(
    FakeVms, Power, Reboot, Suspend, Save, Deallocate, Resize, ConfirmResize, Rename, Rebuild, CloneVm, Console,
    Metadata, Adopt, Lease,
):  # fmt: skip
    """What can be done to one VM."""

    def start_vm(self, vm: Vm) -> Vm:
        """Boot a VM that is off; a saved one runs on at once."""

        def start(doc: Doc, now: float, fault: Fault | None) -> None:
            if machine.wanted(doc, VmState.RUNNING):
                return
            was = machine.demand(doc, machine.OFF | _BROKEN | {VmState.PENDING}, "start")
            if was is VmState.SAVED:
                machine.move(doc, now, 0, VmState.PENDING, VmState.RUNNING)
            else:
                self.boot(doc, now, fault)

        return self._act("start_vm", vm, start)

    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Shut the guest down, or switch it off at once with `force`."""

        def stop(doc: Doc, now: float, fault: Fault | None) -> None:
            if machine.state(doc) in machine.OFF or (machine.wanted(doc, VmState.STOPPED) and not force):
                return
            machine.demand(doc, machine.ON | _BROKEN | {VmState.STOPPING, VmState.SUSPENDING}, "stop")
            if fault and fault.fault == "never_stops" and not force:
                doc["timeline"] = machine.timeline(now, (0, VmState.STOPPING, "the guest ignores the request"))
            else:
                seconds = 0.0 if force else self.options.stop_seconds
                machine.move(doc, now, seconds, VmState.STOPPING, VmState.STOPPED)

        return self._act("stop_vm", vm, stop, force)

    def reboot_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Restart the guest."""

        def reboot(doc: Doc, now: float, fault: Fault | None) -> None:
            state = machine.demand(doc, _BROKEN | {VmState.RUNNING, VmState.REBOOTING, VmState.PENDING}, "reboot")
            if state in _BROKEN or state is VmState.RUNNING or force:
                self.boot(doc, now, fault, VmState.REBOOTING)

        return self._act("reboot_vm", vm, reboot, force)

    def suspend_vm(self, vm: Vm) -> Vm:
        """Freeze a running VM."""
        return self._act("suspend_vm", vm, self._via_suspending(VmState.SUSPENDED, "suspend"))

    def save_vm(self, vm: Vm) -> Vm:
        """Write the memory of a running or frozen VM to disk and switch it off."""
        return self._act("save_vm", vm, self._via_suspending(VmState.SAVED, "save"))

    def _via_suspending(self, goal: VmState, word: str) -> Action:
        def freeze(doc: Doc, now: float, _fault: Fault | None) -> None:
            if not machine.wanted(doc, goal):
                machine.demand(doc, frozenset((VmState.RUNNING, VmState.SUSPENDED)), word)
                machine.move(doc, now, self.options.change_seconds, VmState.SUSPENDING, goal)

        return freeze

    def resume_vm(self, vm: Vm) -> Vm:
        """Let a suspended or saved VM run on."""

        def resume(doc: Doc, now: float, _fault: Fault | None) -> None:
            if not machine.wanted(doc, VmState.RUNNING):
                machine.demand(doc, frozenset((VmState.SUSPENDED, VmState.SAVED)), "resume")
                machine.move(doc, now, 0, VmState.PENDING, VmState.RUNNING)

        return self._act("resume_vm", vm, resume)

    def deallocate_vm(self, vm: Vm) -> Vm:
        """Stop a VM and give back its place."""

        def deallocate(doc: Doc, now: float, _fault: Fault | None) -> None:
            if not machine.wanted(doc, VmState.DEALLOCATED):
                state = machine.demand(doc, machine.ON | machine.OFF | _BROKEN | {VmState.STOPPING}, "deallocate")
                seconds = self.options.stop_seconds if state in machine.ON else 0.0
                machine.move(doc, now, seconds, VmState.STOPPING, VmState.DEALLOCATED)

        return self._act("deallocate_vm", vm, deallocate)

    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give a VM another flavor, which then waits for confirm or revert when the settings say so.

        Raises: NotFound (flavor), Invalid (a smaller disk).
        """

        def resize(doc: Doc, now: float, _fault: Fault | None) -> None:
            fresh, old = offers.flavor(self.name, flavor), offers.flavor(self.name, doc["flavor"])
            if fresh.name == old.name:
                return
            if fresh.disk_gib < old.disk_gib:
                raise Invalid(
                    f"flavor '{flavor}' has a smaller disk than '{old.name}'",
                    hint="a disk cannot shrink: choose a larger one",
                )
            state = machine.demand(doc, frozenset((VmState.RUNNING, VmState.STOPPED, VmState.DEALLOCATED)), "resize")
            doc["before"], doc["flavor"] = {"flavor": old.name, "state": str(state)}, fresh.name
            confirm = self.options.confirm_resize
            goal, reason = (VmState.AWAITING_CONFIRM, f"from {old.name}") if confirm else (state, "resized now")
            machine.move(doc, now, self.options.change_seconds, VmState.RESIZING, goal, reason)

        return self._act("resize_vm", vm, resize, flavor)

    def confirm_vm(self, vm: Vm) -> Vm:
        """Keep the new flavor; success when nothing waits for it. Raises: NotReady (it is still being resized)."""
        return self._act("confirm_vm", vm, lambda doc, now, _fault: self._settle_resize(doc, now, keep=True))

    def revert_vm(self, vm: Vm) -> Vm:
        """Go back to the old flavor. Raises: NotReady (nothing waits for it)."""
        return self._act("revert_vm", vm, lambda doc, now, _fault: self._settle_resize(doc, now, keep=False))

    def _settle_resize(self, doc: Doc, now: float, *, keep: bool) -> None:
        if keep and not machine.wanted(doc, VmState.AWAITING_CONFIRM):
            return
        machine.demand(doc, frozenset((VmState.AWAITING_CONFIRM,)), "confirm or revert")
        before = doc.pop("before")
        if not keep:
            doc["flavor"] = before["flavor"]
        machine.move(doc, now, 0, VmState.RESIZING, VmState(before["state"]))

    def rename_vm(self, vm: Vm, name: str) -> Vm:
        """Give a VM that is off another name. Raises: Exists, NotReady (it runs)."""

        def rename(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            if doc["name"] != name:
                machine.demand(doc, machine.OFF, "rename")
                self.check_name(world, name, now, but=doc["id"])
            return self.keep(world, {**doc, "name": name}, now)

        return self.alter("rename_vm", vm.name, rename, name)

    def rebuild_vm(self, vm: Vm, image: str) -> Vm:
        """Give a VM a fresh disk, with other host keys, and boot it when it was on. Raises: NotFound (image)."""
        fault = self.begin("rebuild_vm", vm.name, image)
        with self.changing() as (world, now):
            doc, fresh = self.find(world, vm, now), offers.image(self.name, image)
            state = machine.demand(doc, (machine.ON - {VmState.AWAITING_CONFIRM}) | machine.OFF | _BROKEN, "rebuild")
            doc.update(image=fresh.id, contents=self.number(world, "contents"))
            world["staged"][fresh.id] = now
            if state in machine.OFF:
                machine.move(doc, now, self.options.change_seconds, VmState.REBUILDING, VmState.STOPPED)
            else:
                self.boot(doc, now, fault, VmState.REBUILDING)
            shown = self.keep(world, doc, now)
        self.end(fault)
        return shown

    def clone_vm(self, vm: Vm, spec: VmSpec, report: Report = silent) -> Vm:
        """Make a VM with the image of `vm`; idempotent by token. Raises: NotFound, Exists, NoCapacity, Invalid."""

        def request(world: Doc, now: float) -> VmSpec:
            source = self.find(world, vm, now)
            return spec.with_(image=source["image"], flavor=spec.flavor or source["flavor"])

        return self.creation("clone_vm", spec, report, request, vm.id)

    def console_log(self, vm: Vm) -> str:
        """Return what the guest printed in its last boots."""

        def text(world: Doc, now: float) -> str:
            return views.console(self.find(world, vm, now), now)[-_CONSOLE_CHARS:]

        return self.ask("console_log", vm.name, text, vm.id)

    def tag_vm(self, vm: Vm) -> Vm:
        """Put labels, group, lease, protection and whether it is kept stopped on the VM."""

        def tag(doc: Doc, _now: float, _fault: Fault | None) -> None:
            machine.demand(doc, machine.LIVING, "label")
            doc.update(
                labels=dict(vm.labels), group=vm.group, expires=vm.expires, protected=vm.protected,
                keep_stopped=vm.keep_stopped,
            )  # fmt: skip

        return self._act("tag_vm", vm, tag)

    def renew_vm(self, vm: Vm) -> Vm:
        """Let the guest power itself off at the `expires` of `vm`, or never."""

        def renew(doc: Doc, _now: float, _fault: Fault | None) -> None:
            machine.demand(doc, machine.LIVING, "renew")
            doc.update(expires=vm.expires, protected=vm.protected)

        return self._act("renew_vm", vm, renew, vm.expires)

    def adopt_vm(self, vm: Vm) -> Vm:
        """Put the token of `vm` and the owner of this connection on a VM made elsewhere. Raises: Invalid (no token)."""
        if not vm.token:
            raise Invalid(f"vm '{vm.name}' has no token to be adopted with", hint="give it one")

        def adopt(doc: Doc, _now: float, _fault: Fault | None) -> None:
            machine.demand(doc, machine.LIVING, "adopt")
            if doc["token"] != vm.token:
                doc.update(token=vm.token, adopted=True)
            doc["owner"] = vm.owner or self.setup.owner

        return self._act("adopt_vm", vm, adopt, vm.token)

    def _act(self, call: str, vm: Vm, action: Action, *args: object) -> Vm:
        """Find the VM, let `action` change it and return it as it is now."""
        fault = self.begin(call, vm.name, vm.id, *args)
        with self.changing() as (world, now):
            doc = self.find(world, vm, now)
            action(doc, now, fault)
            shown = self.keep(world, doc, now)
        self.end(fault)
        return shown
