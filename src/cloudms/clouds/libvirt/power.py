"""Power, reboot, suspend and save: each one idempotent, each one with the forwards and the clock put right after it."""

from __future__ import annotations

from typing import Any

from cloudms.clouds.base import Power, Reboot, Save, Suspend
from cloudms.clouds.libvirt import guest
from cloudms.clouds.libvirt.core import Core
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.tags import Tags
from cloudms.model import Vm, VmState

ON = frozenset((VmState.RUNNING, VmState.STOPPING))
FROZEN = frozenset((VmState.SUSPENDED, VmState.ERROR))
OFF = frozenset((VmState.STOPPED, VmState.SAVED))


class Powering(Core, Power, Reboot, Suspend, Save):
    """What is done to the machine as a whole."""

    @talks
    def start_vm(self, vm: Vm) -> Vm:
        """Start a VM; a saved one continues from its memory, a suspended one goes on. Raises: NotReady, NoCapacity."""
        with self.changing(vm) as (domain, seen):
            state = self.demand(seen, ON | FROZEN | OFF, "start")
            if state in ON:
                return self._forget_stop(domain, seen)
            return self._go_on(domain, seen) if seen.active else self._switch_on(domain, seen)

    @talks
    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Ask the guest to shut down, by its agent or the power button, or with `force` switch it off.

        A guest that is still starting may miss the first press, so every call presses again. A frozen guest cannot
        be asked and is let go on first. Raises: NotReady.
        """
        with self.changing(vm) as (domain, seen):
            state = self.demand(seen, ON | FROZEN | OFF | {VmState.PENDING}, "stop")
            if force and seen.active:
                self.switch_off(domain)
                return self._settled(domain)
            if state is VmState.SAVED and force:
                domain.managedSaveRemove(0)
                return self._settled(domain)
            if not seen.active:
                return self.noun(seen)
            return self._ask_to_stop(domain, seen)

    def _ask_to_stop(self, domain: Any, seen: Seen) -> Vm:
        tags = seen.tags
        if tags:
            tags = self.intend(domain, tags, "stop")
        if domain.state(0)[0] == sdk().VIR_DOMAIN_PAUSED:
            domain.resume()
        try:
            domain.shutdown()
        except sdk().libvirtError:
            if domain.isActive():
                raise
        return self.noun(self.read(domain)).with_(state=VmState.STOPPING, reason="the guest was asked to shut down")

    @talks
    def reboot_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        """Restart the guest, by its agent or the power button, or with `force` reset the machine. Raises: NotReady."""
        with self.changing(vm) as (domain, seen):
            self.demand(seen, ON | FROZEN, "reboot")
            if seen.state == sdk().VIR_DOMAIN_PAUSED:
                domain.resume()
            if force:
                domain.reset(0)
            else:
                domain.reboot(0)
            self._forget_stop(domain, seen)
            return self.noun(self.read(domain)).with_(state=VmState.REBOOTING, reason="the guest restarts")

    @talks
    def suspend_vm(self, vm: Vm) -> Vm:
        """Freeze a VM with its memory in place. Raises: NotReady."""
        with self.changing(vm) as (domain, seen):
            if self.demand(seen, ON | {VmState.SUSPENDED}, "suspend") is not VmState.SUSPENDED:
                domain.suspend()
            return self.show(domain)

    @talks
    def resume_vm(self, vm: Vm) -> Vm:
        """Let a suspended or saved VM go on. Raises: NotReady."""
        with self.changing(vm) as (domain, seen):
            state = self.demand(seen, ON | FROZEN | {VmState.SAVED}, "resume")
            if state in ON:
                return self.noun(seen)
            return self._go_on(domain, seen) if seen.active else self._switch_on(domain, seen)

    @talks
    def save_vm(self, vm: Vm) -> Vm:
        """Write the memory to disk and switch off; `start_vm` continues from it. Raises: NotReady, NoCapacity."""
        with self.changing(vm) as (domain, seen):
            if self.demand(seen, ON | {VmState.SUSPENDED, VmState.SAVED}, "save") is not VmState.SAVED:
                domain.managedSave(sdk().VIR_DOMAIN_SAVE_RUNNING)
            return self._settled(domain)

    def _switch_on(self, domain: Any, seen: Seen) -> Vm:
        """Start a VM that is off, and make it as it was: forwards, and after a save the clock."""
        self.switch_on(domain)
        now = self.read(domain)
        tags = self.open_ports(domain, now, fresh=True)
        if seen.saved:
            guest.set_clock(domain, self.clock.now())
        if seen.tags:
            tags = self.settle(domain, tags)
        return self.noun(now.with_(tags=tags if seen.tags else None))

    def _go_on(self, domain: Any, seen: Seen) -> Vm:
        """Let a frozen VM go on, with the right time."""
        domain.resume()
        guest.set_clock(domain, self.clock.now())
        return self._forget_stop(domain, self.read(domain))

    def _forget_stop(self, domain: Any, seen: Seen) -> Vm:
        """Show a running VM as running although it was asked to stop before."""
        if seen.tags and seen.tags.intent == "stop":
            seen = seen.with_(tags=self.settle(domain, seen.tags))
        return self.noun(seen)

    def _settled(self, domain: Any) -> Vm:
        seen = self.read(domain)
        tags: Tags | None = self.settle(domain, seen.tags) if seen.tags else None
        return self.noun(seen.with_(tags=tags))
