"""Resize and rename."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudms.clouds.base import Rename, Resize
from cloudms.clouds.libvirt import describe, flavors
from cloudms.clouds.libvirt.core import CONFIG, LIVE
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.domain import limits
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.making import GIB, Making
from cloudms.errors import Conflict, Invalid, NotReady
from cloudms.model import Flavor, Vm, VmState

RESIZABLE = frozenset((VmState.RUNNING, VmState.STOPPED, VmState.SUSPENDED, VmState.ERROR))
KIB_PER_MIB = 1024


class Sizing(Making, Resize, Rename):
    """What changes a VM without replacing it."""

    @talks
    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give a VM another flavor: at once what its running machine allows, the rest at its next start.

        Processors can be added up to the limit it was started with, memory likewise (see `domain`); taking processors
        away needs a restart. The disk grows at once, also under a running guest, which
        then has to grow its file system (cloud-init does at the next start).
        Raises: NotFound (flavor), Invalid (a smaller disk), NotReady, Conflict.
        """
        with self.changing(vm) as (domain, seen):
            tags = self.not_foreign(seen, "resized")
            wanted = flavors.find(self.flavors(), flavor)
            self.demand(seen, RESIZABLE, "resize")
            self._grow(domain, seen, wanted)
            later = self._live(domain, wanted) if seen.active else []
            self._stored(domain, wanted)
            if tags.flavor != wanted.name:
                self.keep(domain, tags.with_(flavor=wanted.name))
            return self.show(domain).with_(reason=_told(later, active=seen.active))

    def _grow(self, domain: Any, seen: Seen, wanted: Flavor) -> None:
        have, goal = int(domain.blockInfo("vda", 0)[0]), wanted.disk_gib * GIB
        if goal and goal < have:
            raise Invalid(
                f"flavor '{wanted.name}' has a disk of {wanted.disk_gib} GiB, vm '{seen.name}' one of {have // GIB}",
                hint="a disk cannot shrink: choose a flavor with as much disk, or with 0 for as it is",
            )
        if goal <= have:
            return
        if seen.active:
            domain.blockResize("vda", goal, sdk().VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            return
        path = describe.disk_targets(seen.root)["vda"]
        volume = self.pool.volume(path.rpartition("/")[2])
        if volume is None:
            self.pool.refresh()
            volume = self.pool.open().storageVolLookupByName(path.rpartition("/")[2])
        volume.resize(goal, 0)

    def _live(self, domain: Any, wanted: Flavor) -> list[str]:
        """Change the running machine as far as it goes, and return what is left for its next start.

        Processors are not taken away live: the guest lets them go at a time of its own, and libvirt then miscounts.
        """
        kib = wanted.memory_mib * KIB_PER_MIB
        later = []
        have = domain.vcpusFlags(LIVE)
        if have > wanted.vcpus or (have < wanted.vcpus and not _works(domain.setVcpusFlags, wanted.vcpus)):
            later.append("number of processors")
        if domain.info()[2] != kib and not _works(domain.setMemoryFlags, kib):
            later.append("memory")
        return later

    def _stored(self, domain: Any, wanted: Flavor) -> None:
        """Change the stored definition: the larger limit first, since the current value must never be above it."""
        libvirt = sdk()
        accelerated = "kvm" if describe.parse(domain.XMLDesc(0)).get("type") == "kvm" else "tcg"
        most_vcpus, most_mib = limits(wanted.vcpus, wanted.memory_mib, accelerated)
        for value, highest in sorted(((wanted.vcpus, 0), (most_vcpus, libvirt.VIR_DOMAIN_VCPU_MAXIMUM)), reverse=True):
            domain.setVcpusFlags(value, CONFIG | highest)
        for mib, highest in ((most_mib, libvirt.VIR_DOMAIN_MEM_MAXIMUM), (wanted.memory_mib, 0)):
            domain.setMemoryFlags(mib * KIB_PER_MIB, CONFIG | highest)

    @talks
    def rename_vm(self, vm: Vm, name: str) -> Vm:
        """Give a VM that is off another name; libvirt cannot while it has snapshots or saved memory.

        The guest keeps its host name. Raises: Exists, NotReady (it is on or saved), Conflict (it has snapshots).
        """
        with self.changing(vm) as (domain, seen):
            if seen.name == name:
                return self.noun(seen)
            self.own(seen, "renamed")
            if seen.saved:
                hint = f"cms vm start {seen.name}, then stop it"
                raise NotReady(f"vm '{seen.name}' is saved and cannot be renamed", hint=hint)
            self.demand(seen, frozenset((VmState.STOPPED, VmState.ERROR)), "rename")
            if domain.snapshotNum(0):
                raise Conflict(
                    f"vm '{seen.name}' has snapshots and cannot be renamed", hint="delete its snapshots first"
                )
            domain.rename(name, 0)
            return self.show(self.link.open().lookupByUUIDString(seen.uuid))


def _works(change: Callable[[int, int], Any], value: int) -> bool:
    """Change the running machine and tell whether it could be."""
    try:
        change(value, LIVE)
    except sdk().libvirtError:
        return False
    return True


def _told(later: list[str], *, active: bool) -> str:
    if not active:
        return "the new size holds from the next start"
    if not later:
        return "the new size holds now"
    return f"the new {' and '.join(later)} {'holds' if len(later) == 1 else 'hold'} from the next start"
