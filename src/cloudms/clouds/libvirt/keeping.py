"""Volumes that grow, and their snapshots.

A snapshot is a copy of the volume's file, made while nothing writes to it: the volume is detached, or its VM is off.
Its record is written last, so that a copy which was cut off is no snapshot. A volume that is made of one says so in its
record until the copy is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from cloudms.clouds.base import Leftover, ResizeVolume, VolumeSnapshots
from cloudms.clouds.libvirt import describe
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.clouds.libvirt.making import GIB
from cloudms.clouds.libvirt.volumes import NAME, Storing, record_name, volume_file
from cloudms.errors import Exists, Invalid, NotFound, NotReady
from cloudms.model import Vm, Volume, VolumeSnapshot

SNAPSHOT = re.compile(r"cms-volsnap-(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\.(?P<token>[A-Za-z0-9_-]{4,100})\.qcow2$")
_HALF = "copy of a volume"
_WAIT_S = 600.0
"""Seconds that a copy may take on which another one waits."""


class Keeping(Storing, ResizeVolume, VolumeSnapshots):
    """Enlarging volumes, keeping what is on them, and making volumes of it."""

    @talks
    def resize_volume(self, volume: Volume, size_gib: int) -> Volume:
        """Make a volume larger, also while a VM runs with it. Raises: NotFound, Invalid (smaller)."""
        file = self._must_exist(volume)
        with self.alone(file):
            found = self._volume(file, self._holders())
            if size_gib < found.size_gib:
                raise Invalid(
                    f"volume '{found.name}' has {found.size_gib} GiB and cannot shrink", hint="choose a larger size"
                )
            if size_gib > found.size_gib:
                self._enlarge(file, size_gib * GIB)
            return self._volume(file, self._holders())

    def _enlarge(self, file: str, size: int) -> None:
        """Enlarge a file, through the machine that runs with it if there is one."""
        path = self.pool.path(file)
        holder = self._holders().get(path)
        domain = self.link.open().lookupByUUIDString(holder[0].uuid) if holder else None
        disks = describe.disk_targets(describe.parse(domain.XMLDesc(0))) if domain and domain.isActive() else {}
        target = next((name for name, place in disks.items() if place == path), "")
        if domain and target:
            domain.blockResize(target, size, sdk().VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        else:
            self.pool.refresh()
            known = self.pool.volume(file)
            if known is None:
                raise NotFound(f"{path} does not exist", hint="cms volume list --refresh")
            known.resize(size, 0)
        self.pool.refresh()

    @talks
    def list_volume_snapshots(self) -> Iterable[VolumeSnapshot]:
        """Return every whole snapshot of the pool."""
        self.pool.open()
        return [noun for file in self._snapshot_files() if (noun := self._kept_noun(file))]

    def _snapshot_files(self) -> list[str]:
        return [entry.name for entry in self.pool.entries() if SNAPSHOT.fullmatch(entry.name)]

    @talks
    def create_volume_snapshot(self, volume: Volume, name: str, token: str) -> VolumeSnapshot:
        """Copy a volume's file; idempotent by token.

        Raises: NotFound, Exists, Invalid (name), NotReady (a VM runs with the volume), NoCapacity.
        """
        kept = f"cms-volsnap-{name}.{token}.qcow2"
        if not NAME.fullmatch(name) or not SNAPSHOT.fullmatch(kept):
            raise Invalid(f"'{name}' cannot be the name of a snapshot", hint="letters, digits, and . _ -")
        file = self._must_exist(volume)
        with self.pool.lock(f"volsnap-{name}", f"the snapshot '{name}'", _WAIT_S):
            made = self._kept_noun(kept)
            if made is None:
                if any(found["name"] == name for found in self._known_names() if found["token"] != token):
                    raise Exists(f"there is a snapshot '{name}'", hint="choose another name")
                with self.alone(file, _WAIT_S), self._still(file):
                    self._copy(file, kept)
                made = self._kept_noun(kept)
            assert made is not None  # noqa: S101 (its record has just been written)
            return made

    def _known_names(self) -> list[re.Match[str]]:
        """Return the names of the whole snapshots."""
        found = (SNAPSHOT.fullmatch(file) for file in self._snapshot_files() if self._record_of(file))
        return [match for match in found if match]

    def _copy(self, file: str, kept: str) -> None:
        volume = self._volume(file, {})
        record = {
            "volume": volume.name, "size_gib": volume.size_gib, "owner": self.setup.owner, "created": self.clock.now(),
        }  # fmt: skip
        self.pool.copy(self.pool.path(file), kept)
        self.pool.put(record_name(kept), json.dumps(record).encode())

    @contextmanager
    def _still(self, file: str) -> Iterator[None]:
        """Keep the VM that has a volume off meanwhile. Raises: NotReady (it is not off)."""
        holder = self._holders().get(self.pool.path(file))
        if holder is None:
            yield
            return
        name = holder[0].name
        with self.changing(Vm(name=name, id=holder[0].uuid)) as (_domain, seen):
            if seen.active:
                raise NotReady(
                    f"vm '{name}' runs with the volume, and it can be copied only while nothing writes to it",
                    hint=f"cms vm stop {name}, or detach the volume",
                    details={"vm": name, "retry": False},
                )
            yield

    @talks
    def delete_volume_snapshot(self, snapshot: VolumeSnapshot) -> None:
        """Delete the copy; already gone is success, and volumes made of it stay."""
        if SNAPSHOT.fullmatch(snapshot.id):
            self.pool.delete(record_name(snapshot.id))
            self.pool.delete(snapshot.id)

    @talks
    def restore_volume(
        self, snapshot: VolumeSnapshot, name: str, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make a volume with a copy of a snapshot; idempotent by token.

        Raises: NotFound (snapshot), Exists, Invalid (name, or a region that is another host), NoCapacity.
        """
        file = volume_file(name, token)
        self.check_place(region)
        with self.alone(file, _WAIT_S):
            before = self._record_of(file)
            if not self.pool.exists(file) or before.get("copying"):
                self.check_volume_name(name, token)
                if not SNAPSHOT.fullmatch(snapshot.id) or not self._record_of(snapshot.id):
                    raise NotFound(f"there is no snapshot '{snapshot.name}'", hint="cms volume snapshot list")
                record = {"owner": self.setup.owner, "labels": dict(labels), "created": self.clock.now()}
                self.pool.put(record_name(file), json.dumps({**record, "copying": True}).encode())
                self.pool.copy(self.pool.path(snapshot.id), file)
                self.pool.replace(record_name(file), json.dumps(record).encode())
            return self._volume(file, self._holders())

    def _kept_noun(self, file: str) -> VolumeSnapshot | None:
        """Return the snapshot in a file, or None while it has no record."""
        match, record = SNAPSHOT.fullmatch(file), self._record_of(file)
        if match is None or not record:
            return None
        return VolumeSnapshot(
            name=match["name"], token=match["token"], cloud=self.name, id=file, volume=str(record.get("volume", "")),
            size_gib=int(record.get("size_gib", 0)), state="available", owner=str(record.get("owner", "")),
            created=record.get("created"), price_per_hour=0.0, fetched=self.clock.now(),
            raw={"path": self.pool.path(file), **record},
        )  # fmt: skip

    @talks
    def leftovers(self, known: frozenset[str]) -> list[Leftover]:
        """Return what VMs left, and copies of volumes that were cut off."""
        found = list(super().leftovers(known))
        for entry in self.pool.entries():
            match = SNAPSHOT.fullmatch(entry.name)
            if match and match["token"] not in known and not self._record_of(entry.name):
                found.append(
                    Leftover(
                        kind=_HALF, id=entry.name, name=match["name"], token=match["token"], size=entry.size,
                        age=None if entry.changed is None else max(self.clock.now() - entry.changed, 0.0),
                        reason="a copy of a volume that was cut off",
                    )
                )  # fmt: skip
        return found

    @talks
    def clean(self, leftover: Leftover) -> None:
        """Delete a leftover; a copy that has become whole meanwhile stays."""
        if leftover.kind != _HALF:
            super().clean(leftover)
            return
        with self.pool.lock(f"volsnap-{leftover.name}", f"the snapshot '{leftover.name}'", _WAIT_S):
            if SNAPSHOT.fullmatch(leftover.id) and not self._record_of(leftover.id):
                self.pool.delete(leftover.id)
