"""Snapshots: libvirt's internal ones, inside the disk file, with memory when the VM runs.

They are quick, need no extra files and go with the disk. QEMU cannot take them of a VM with UEFI firmware, and would
put other disks back together with the root disk, so a VM with attached volumes is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from cloudms.clouds.base import Snapshots
from cloudms.clouds.libvirt import describe, guest
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.errors import is_code
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.making import Making
from cloudms.clouds.libvirt.volumes import VOLUME
from cloudms.errors import Conflict, Exists, Invalid, NotFound, Unsupported
from cloudms.model import Snapshot, Vm, VmState

POSSIBLE = frozenset((VmState.RUNNING, VmState.SUSPENDED, VmState.STOPPED, VmState.SAVED, VmState.ERROR))


class Snapshotting(Making, Snapshots):
    """Keeping and bringing back states."""

    @talks
    def list_snapshots(self, vm: Vm | None = None) -> Iterable[Snapshot]:
        """Return the snapshots of `vm`, or of every VM, oldest first."""
        domains = [self.find(vm)[0]] if vm else self.domains()
        found = [self._snapshot(domain, each) for domain in domains for each in _all(domain)]
        return sorted(found, key=lambda snapshot: snapshot.created or 0.0)

    @talks
    def create_snapshot(self, vm: Vm, name: str) -> Snapshot:
        """Keep the disk, and of a running VM the memory, as they are now.

        Raises: Exists, Invalid (name), Conflict (volumes are attached), Unsupported (UEFI), NotReady, NoCapacity.
        """
        if not name or "/" in name or name.startswith("."):
            raise Invalid(f"'{name}' cannot be a snapshot name", hint="no slashes, no dot in front")
        with self.changing(vm) as (domain, seen):
            self.not_foreign(seen, "kept in a snapshot")
            self.demand(seen, POSSIBLE, "take a snapshot")
            _check(seen)
            if _find(domain, name) is not None:
                raise Exists(f"vm '{vm.name}' has a snapshot '{name}'", hint="choose another name, or delete it first")
            wanted = Element("domainsnapshot")
            SubElement(wanted, "name").text = name
            made = domain.snapshotCreateXML(tostring(wanted, "unicode"), 0)
            return self._snapshot(domain, made)

    @talks
    def revert_snapshot(self, vm: Vm, name: str) -> Vm:
        """Bring back a state, running if it was kept running; labels, lease and addresses stay those of now.

        Raises: NotFound, Conflict (volumes are attached), NotReady.
        """
        with self.changing(vm) as (domain, seen):
            tags = self.not_foreign(seen, "reverted")
            self.demand(seen, POSSIBLE, "revert")
            _check(seen)
            snapshot = _find(domain, name)
            if snapshot is None:
                raise NotFound(f"vm '{vm.name}' has no snapshot '{name}'", hint=f"cms vm snapshot list {vm.name}")
            if seen.saved:
                domain.managedSaveRemove(0)
            self.link.ready_to_start()
            domain.revertToSnapshot(snapshot, sdk().VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
            return self._after(domain, tags)

    def _after(self, domain: Any, tags: Any) -> Vm:
        now = self.read(domain)
        was = now.tags or tags
        tags = self.keep(domain, tags.with_(flavor=was.flavor, image=was.image, base=was.base, intent=""))
        if now.active:
            tags = self.open_ports(domain, now.with_(tags=tags), fresh=False)
            guest.set_clock(domain, self.clock.now())
        return self.noun(now.with_(tags=tags))

    @talks
    def delete_snapshot(self, vm: Vm, name: str) -> None:
        """Forget a state; already gone is success."""
        try:
            with self.changing(vm) as (domain, seen):
                self.not_foreign(seen, "changed")
                snapshot = _find(domain, name)
                if snapshot is not None:
                    snapshot.delete(0)
        except NotFound:
            return

    def _snapshot(self, domain: Any, snapshot: Any) -> Snapshot:
        xml = snapshot.getXMLDesc(0)
        root = fromstring(xml)  # noqa: S314 (written by libvirt)
        memory = root.find("memory")
        with_memory = memory is not None and memory.get("snapshot") == "internal"
        created = root.findtext("creationTime")
        name = root.findtext("name") or ""
        return Snapshot(
            name=name, cloud=self.name, id=f"{domain.UUIDString()}/{name}", vm=domain.name(),
            state=root.findtext("state") or "", memory=with_memory, parent=root.findtext("parent/name") or "",
            created=float(created) if created else None, fetched=self.clock.now(), raw={"xml": xml},
        )  # fmt: skip


def _all(domain: Any) -> list[Any]:
    """Return the snapshots of a domain; none when it has just gone or cannot have any."""
    try:
        return list(domain.listAllSnapshots(0))
    except sdk().libvirtError as error:
        if is_code(error, "NO_DOMAIN", "NO_SUPPORT", "OPERATION_UNSUPPORTED"):
            return []
        raise


def _find(domain: Any, name: str) -> Any | None:
    return next((each for each in _all(domain) if each.getName() == name), None)


def _check(seen: Seen) -> None:
    volumes = [path for path in describe.disk_targets(seen.root).values() if VOLUME.search(path)]
    if volumes:
        raise Conflict(
            f"vm '{seen.name}' has attached volumes, which a snapshot would mix in", hint="detach them first"
        )
    if describe.firmware_of(seen.root) == "uefi":
        raise Unsupported(f"QEMU takes no snapshots of a VM with UEFI firmware: '{seen.name}'", hint="clone it instead")
