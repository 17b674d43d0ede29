"""Many pretend VMs with one request."""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.clouds.base import Batch, OpenPorts, Report, Spot, silent
from cloudms.clouds.fake import faults, machine
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.clouds.notes import batch_token
from cloudms.model import Vm, VmSpec


class FakeBatches(FakeVms, Batch, Spot, OpenPorts):
    """Batches, all or none of whose VMs are made; spot VMs and open ports are noted on the VM."""

    def create_vms(self, specs: Sequence[VmSpec], report: Report = silent) -> list[Vm]:
        """Make VMs and let them boot; idempotent by the token that theirs begin with.

        Raises: Exists, NotFound (image, flavor, location, key), NoCapacity, Invalid.
        """
        token = batch_token(specs)
        fault = self.begin("create_vms", specs[0].name, token, len(specs), specs[0].image, specs[0].flavor)
        report(f"making {len(specs)} disks")
        dies = fault.fault if fault else ""
        with self.changing() as (world, now):
            made = [vm for vm in world["vms"].values() if vm["token"].rpartition(".")[0] == token]
            if not made:
                made = self._make(world, specs, now, disks_only=dies == "dies_midway")
            for vm in made if dies != "dies_half_made" else ():
                if not vm["boots"]:
                    self.boot(vm, now, fault)
        if dies in ("dies_midway", "dies_half_made"):
            faults.die()
        self.end(fault)
        report("they boot")
        by_token = {vm["token"]: vm for vm in made}
        return [self.show(world, by_token[spec.token], now) for spec in specs if spec.token in by_token]

    def _make(self, world: Doc, specs: Sequence[VmSpec], now: float, *, disks_only: bool) -> list[Doc]:
        """Enter all VMs into the state, or none when one of them cannot be made."""
        made = []
        for spec in specs:
            self._check(world, spec, now)
            disk = self.add_disk(world, spec, now)
            if not disks_only:
                made.append(self._add(world, spec, disk, now))
        return made

    def get_vms(self, vms: Sequence[Vm]) -> dict[str, Vm]:
        """Return what the state says of VMs, by key."""

        def seen(world: Doc, now: float) -> dict[str, Vm]:
            by_token = {doc["token"]: doc for doc in world["vms"].values() if doc["token"]}
            pairs = ((vm, world["vms"].get(vm.id) if vm.id else by_token.get(vm.token)) for vm in vms)
            return {
                vm.key: self.show(world, machine.settled(doc, now), now)
                for vm, doc in pairs
                if doc is not None and not machine.vanished(doc, now)
            }

        return self.ask("get_vms", vms[0].name if vms else "", seen, len(vms))
