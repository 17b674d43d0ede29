"""Volumes: disks that outlive their VM.

Each is a qcow2 file of the pool whose name holds the volume's name and token, so that it is known without any catalog;
a record beside it holds owner, labels and when it was made. Where it is attached is what the domains say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from xml.etree.ElementTree import tostring

from cloudms.clouds.base import Volumes
from cloudms.clouds.libvirt import describe
from cloudms.clouds.libvirt.core import CONFIG, LIVE
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.domain import disk_element
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.making import GIB, Making
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Timeout
from cloudms.model import Vm, VmState, Volume

VOLUME = re.compile(r"cms-vol-(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\.(?P<token>[A-Za-z0-9_-]{4,100})\.qcow2$")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DETACH_S = 20.0
ATTACHABLE = frozenset((VmState.RUNNING, VmState.STOPPED, VmState.SUSPENDED, VmState.ERROR))


class Storing(Making, Volumes):
    """Making, attaching and deleting volumes."""

    @talks
    def list_volumes(self) -> Iterable[Volume]:
        """Return every volume of the pool."""
        self.pool.open()
        held = self._holders()
        return [self._volume(e.name, held) for e in self.pool.entries() if VOLUME.search(e.name)]

    @talks
    def create_volume(
        self, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make an empty volume. Raises: Exists, NoCapacity, Invalid (name, size, or a region that is another host)."""
        file = volume_file(name, token)
        if size_gib < 1:
            raise Invalid(f"no volume '{name}' of {size_gib} GiB", hint="at least 1 GiB")
        self.check_place(region)
        with self.pool.lock("volumes", "the volumes"):
            if not self.check_volume_name(name, token):
                record = {"owner": self.setup.owner, "labels": dict(labels), "created": self.clock.now()}
                self.pool.put(record_name(file), json.dumps(record).encode())
                self.pool.create_disk(file, size_gib * GIB)
            return self._volume(file, self._holders())

    def check_place(self, region: str) -> None:
        """Refuse a region that is another host. Raises: Invalid."""
        if region and region not in (self.uri, host := str(self.link.open().getHostname())):
            raise Invalid(f"'{region}' is not where this libvirt is: {host}", hint="cms location list shows the hosts")

    def check_volume_name(self, name: str, token: str) -> bool:
        """Whether the volume of a token is there already. Raises: Exists (the name has another one)."""
        same = [m for e in self.pool.entries() if (m := VOLUME.search(e.name)) and m["name"] == name]
        if any(match["token"] != token for match in same):
            raise Exists(f"there is a volume '{name}'", hint="choose another name")
        return bool(same)

    def alone(self, file: str, wait: float = 120.0) -> AbstractContextManager[None]:
        """Hold a volume's file against attaching, copying, enlarging and deleting it. Raises: Conflict."""
        return self.pool.lock(file, f"the volume in {file}", wait)

    @talks
    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume; already gone is success. Raises: Conflict while attached."""
        file = self._file(volume)
        if file is None:
            return
        with self.alone(file), self.pool.lock("volumes", "the volumes"):
            holder = self._holders().get(self.pool.path(file))
            if holder:
                hint = f"cms volume detach {volume.name}"
                raise Conflict(f"volume '{volume.name}' is attached to {holder[0].name}", hint=hint)
            self.pool.delete(file)
            self.pool.delete(record_name(file))

    @talks
    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach a volume as the next free virtio disk, for good: also after the VM's next start.

        Raises: Conflict (attached elsewhere), NotFound, NotReady, NoCapacity (no free slot until the next start).
        """
        file = self._must_exist(volume)
        with self.alone(file), self.pool.lock("volumes", "the volumes"), self.changing(vm) as (domain, seen):
            self.own(seen, "changed")
            path = self.pool.path(file)
            holder = self._holders().get(path)
            if holder and holder[0].uuid != seen.uuid:
                raise Conflict(f"volume '{volume.name}' is attached to {holder[0].name}", hint="detach it first")
            if self._record_of(file).get("copying"):
                raise NotReady(f"volume '{volume.name}' is still being copied", hint="cms operation list")
            if holder is None:
                self.demand(seen, ATTACHABLE, "attach a volume")
                disk = disk_element(path, _free_target(seen), serial=volume.name[:20])
                domain.attachDeviceFlags(tostring(disk, "unicode"), CONFIG | (LIVE if seen.active else 0))
            return self._volume(file, self._holders())

    @talks
    def detach_volume(self, volume: Volume) -> Volume:
        """Detach a volume, and wait until a running guest has let it go. Raises: Timeout (it does not)."""
        file = self._must_exist(volume)
        path = self.pool.path(file)
        with self.pool.lock("volumes", "the volumes"):
            holder = self._holders().get(path)
            if holder:
                domain = self.link.open().lookupByUUIDString(holder[0].uuid)
                self._detach(domain, path, holder[1])
            return self._volume(file, self._holders())

    @talks
    def tag_volume(self, volume: Volume) -> Volume:
        """Put labels into the record beside a volume; one that is lost is written anew. Raises: NotFound."""
        file = self._must_exist(volume)
        with self.pool.lock("volumes", "the volumes"):
            known = {"owner": volume.owner, "created": volume.created, **self._record_of(file)}
            if known.get("labels") != volume.labels:
                self.pool.put(record_name(file), json.dumps({**known, "labels": dict(volume.labels)}).encode())
            return self._volume(file, self._holders())

    def _detach(self, domain: Any, path: str, target: str) -> None:
        """Take a disk out of the running and of the stored definition; either may be done already."""
        device = tostring(disk_element(path, target), "unicode")
        flags = {CONFIG: sdk().VIR_DOMAIN_XML_INACTIVE}
        if domain.isActive():
            flags[LIVE] = 0
        for where, which in flags.items():
            if path in describe.disk_targets(describe.parse(domain.XMLDesc(which))).values():
                domain.detachDeviceFlags(device, where)
        deadline = self.clock.monotonic() + DETACH_S
        while path in describe.disk_targets(describe.parse(domain.XMLDesc(0))).values():
            if self.clock.monotonic() > deadline:
                raise Timeout(
                    f"the guest of {domain.name()} does not let go of {target}",
                    hint="unmount it there, or stop the VM; then detach again",
                )
            self.clock.sleep(0.05)

    def _holders(self) -> dict[str, tuple[Seen, str]]:
        """Return by path of each volume which domain has it and as which disk, running or stored definition."""
        held: dict[str, tuple[Seen, str]] = {}
        for domain in self.domains():
            seen = self.read_safely(domain)
            if seen is None:
                continue
            roots = [seen.root]
            if seen.active and domain.isPersistent():
                roots.insert(0, describe.parse(domain.XMLDesc(sdk().VIR_DOMAIN_XML_INACTIVE)))
            for root in roots:
                for target, path in describe.disk_targets(root).items():
                    if VOLUME.search(path):
                        held[path] = (seen, target)
        return held

    def _volume(self, file: str, held: Mapping[str, tuple[Seen, str]]) -> Volume:
        match = VOLUME.search(file)
        name = match["name"] if match else file
        record = self._record_of(file)
        volume = self.pool.volume(file)
        size = int(volume.info()[1]) if volume is not None else 0
        holder = held.get(self.pool.path(file))
        return Volume(
            name=name, token=match["token"] if match else "", cloud=self.name, id=file,
            labels=record.get("labels", {}), fetched=self.clock.now(),
            raw={"path": self.pool.path(file), "capacity": size, **record}, size_gib=size // GIB,
            vm=holder[0].name if holder else "", device=f"/dev/{holder[1]}" if holder else "",
            state="attached" if holder else "creating" if record.get("copying") else "available",
            owner=record.get("owner", ""), created=record.get("created"),
            price_per_hour=0.0,
        )  # fmt: skip

    def _record_of(self, file: str) -> dict[str, Any]:
        try:
            record = json.loads(self.pool.get(record_name(file)))
        except (NotFound, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _file(self, volume: Volume) -> str | None:
        """Return the file of a volume by its id, or else its name; None when it does not exist."""
        names = [each.name for each in self.pool.entries() if VOLUME.search(each.name)]
        if volume.id:
            return volume.id if volume.id in names else None
        return next((name for name in names if (m := VOLUME.search(name)) and m["name"] == volume.name), None)

    def _must_exist(self, volume: Volume) -> str:
        file = self._file(volume)
        if file is None:
            raise NotFound(f"volume '{volume.name}' does not exist", hint="cms volume list")
        return file


def volume_file(name: str, token: str) -> str:
    """Return the name of a volume's file. Raises: Invalid (a name or token that cannot be in one)."""
    file = f"cms-vol-{name}.{token}.qcow2"
    if not NAME.fullmatch(name) or not VOLUME.fullmatch(file):
        raise Invalid(f"'{name}' cannot be the name of a volume", hint="letters, digits, and . _ -")
    return file


def record_name(file: str) -> str:
    """Return the name of the record beside a volume or a snapshot of one."""
    return file.removesuffix(".qcow2") + ".json"


def _free_target(seen: Seen) -> str:
    """Return the next unused name of a virtio disk."""
    used = set(describe.disk_targets(seen.root))
    return next(f"vd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz" if f"vd{letter}" not in used)
