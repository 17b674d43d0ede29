"""Clone and rebuild: a new VM with another one's disk, and a fresh disk for a VM.

A clone is a byte-by-byte copy of the disk file, which shares the image below it. The file must not change meanwhile:
a running VM is frozen through its agent where it has one and paused for the time of the copy, which for the usual few
megabytes above the image is well below a second. QEMU writes its buffers through when it pauses, so that even without
an agent the copy is what a power failure would leave. The pause is written on the domain, for `mend` after a kill.
"""

from __future__ import annotations

from typing import Any

from cloudms.clouds.base import CloneVm, Rebuild, Report, silent
from cloudms.clouds.libvirt import describe, files, guest
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.domain import boot_element
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.making import Making, Order, disk_size
from cloudms.clouds.libvirt.tags import Tags
from cloudms.errors import NotFound
from cloudms.model import Vm, VmSpec, VmState

COPYABLE = frozenset((VmState.RUNNING, VmState.SUSPENDED, VmState.STOPPED, VmState.SAVED, VmState.ERROR))


class Copying(Making, CloneVm, Rebuild):
    """What a disk is copied or replaced for."""

    @talks
    def clone_vm(self, vm: Vm, spec: VmSpec, report: Report = silent) -> Vm:
        """Make and start a VM with a copy of the root disk of `vm`; its volumes and snapshots are not copied over.

        Raises: Exists, NoCapacity, NotReady (it is changing), Conflict (made by somebody else).
        """
        _domain, seen = self.find(vm)
        self.not_foreign(seen, "copied")
        order = self._clone_order(seen, spec)
        return self.make(order, lambda name: self._copy_disk(vm, name, order.size, report), report)

    def _clone_order(self, seen: Seen, spec: VmSpec) -> Order:
        tags, root = seen.tags or Tags(), seen.root
        flavor = self.flavors().get(spec.flavor or tags.flavor)
        if flavor is None:
            raise NotFound(f"no flavor '{spec.flavor or tags.flavor}'", hint="cms flavor list")
        return Order(
            spec=spec, flavor=flavor, size=disk_size(spec, flavor, self._size_of(seen)), image=tags.image,
            base=tags.base, login=tags.login, firmware=describe.firmware_of(root),
            kernel=root.findtext("os/kernel") or "", initrd=root.findtext("os/initrd") or "",
            cmdline=root.findtext("os/cmdline") or "", network=self.check_network(spec.network),
        )  # fmt: skip

    def _size_of(self, seen: Seen) -> int:
        """Return the bytes of a VM's root disk as the guest sees it."""
        domain = self.link.open().lookupByUUIDString(seen.uuid)
        return int(domain.blockInfo("vda", 0)[0])

    def _copy_disk(self, vm: Vm, name: str, size: int, report: Report) -> None:
        with self.changing(vm) as (domain, seen):
            state = self.demand(seen, COPYABLE, "clone")
            source = describe.disk_targets(seen.root).get("vda", "")
            report(f"copying the disk of {vm.name}")
            if state is VmState.RUNNING:
                self._pause(domain, seen)
            try:
                self.pool.copy(source, name)
            finally:
                if state is VmState.RUNNING:
                    self.wake(domain, self.tags(domain) or Tags())
        volume = self.pool.volume(name)
        if volume is not None and volume.info()[1] < size:
            volume.resize(size, 0)

    def _pause(self, domain: Any, seen: Seen) -> None:
        self.intend(domain, seen.tags or Tags(), "copy")
        guest.freeze(domain)
        domain.suspend()

    def wake(self, domain: Any, tags: Tags) -> Tags:
        """Let a VM go on that was paused to copy its disk."""
        if domain.state(0)[0] == describe.PAUSED:
            domain.resume()
        guest.thaw(domain)
        guest.set_clock(domain, self.clock.now())
        return self.settle(domain, tags)

    @talks
    def rebuild_vm(self, vm: Vm, image: str) -> Vm:
        """Give a VM a fresh disk of an image; its snapshots and saved memory go, and it starts again if it was on.

        Raises: NotFound (image), Conflict (made by somebody else).
        """
        with self.changing(vm) as (domain, seen):
            tags = self.not_foreign(seen, "rebuilt")
            self.bases.find(image)
            if tags.intent != "rebuild":
                tags = self.intend(domain, tags, "rebuild", target=image, was_on=seen.active)
            return self.rebuild(domain, seen.with_(tags=tags), image)

    def rebuild(self, domain: Any, seen: Seen, image: str, report: Report = silent) -> Vm:
        """Do what `rebuild_vm` wrote down; every step can be repeated."""
        tags = seen.tags or Tags()
        base = self.bases.find(image)
        size = max(self._size_if_known(seen), base.virtual_size)
        self.switch_off(domain)
        if domain.hasManagedSaveImage(0):
            domain.managedSaveRemove(0)
        for snapshot in domain.listAllSnapshots(0):
            snapshot.delete(sdk().VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        self.bases.ensure(base, report)
        disk = files.vm_files(tags.file_token)[0]
        self.pool.create_disk(disk, size, base=self.bases.path(base, "disk"), base_format=base.format)
        kernel, initrd = (self.bases.path(base, part) for part in ("kernel", "initrd"))
        root = describe.parse(domain.XMLDesc(sdk().VIR_DOMAIN_XML_INACTIVE))
        fresh = boot_element(kernel, initrd, base.cmdline, base.firmware, machine=describe.machine_of(root))
        for old in root.findall("os"):
            root.remove(old)
        root.append(fresh)
        tags = tags.with_(image=base.name, base=base.key, login=base.login)
        domain = self.redefine(root, tags)
        return self._after_rebuild(domain, tags)

    def _after_rebuild(self, domain: Any, tags: Tags) -> Vm:
        if tags.was_on:
            self.switch_on(domain, fresh=True)
        seen = self.read(domain).with_(tags=tags)
        if seen.active:
            tags = self.open_ports(domain, seen, fresh=True)
        return self.noun(seen.with_(tags=self.settle(domain, tags)))

    def _size_if_known(self, seen: Seen) -> int:
        try:
            return self._size_of(seen)
        except sdk().libvirtError:
            return 0  # a killed run has deleted the disk and not yet made the new one
