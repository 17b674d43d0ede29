"""Volumes: disks of Cinder that outlive their VM, found by our mark in their metadata.

Shapes: https://docs.openstack.org/api-ref/block-storage/v3/#volumes-volumes and
https://docs.openstack.org/api-ref/compute/#servers-with-volume-attachments-servers-os-volume-attachments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from cloudms.clouds import notes
from cloudms.clouds.base import ResizeVolume, Volumes
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.beside import Beside, Row
from cloudms.clouds.openstack.errors import unclear
from cloudms.clouds.openstack.times import whole
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, NotFound, NotReady, Timeout
from cloudms.model import Vm, Volume

DETACH_S = 60.0
EXTEND_ATTACHED = (3, 42)
"""The microversion from which a volume can grow while a VM has it."""
_GOING = ("deleting",)
_MAKING = ("creating", "downloading", "attaching", "detaching", "reserved", "uploading", "extending")
"""States that end by themselves."""
_ROOTS = re.compile(r"/dev/(?:vd|sd|xvd|hd)a\d*")


class Storing(Beside, Volumes, ResizeVolume):
    """Making, attaching, enlarging and deleting volumes."""

    def list_volumes(self) -> Iterable[Volume]:
        """Yield the volumes of the project that are no root disks."""
        return self.link.each_region(self._volumes_in, "volume")

    def _volumes_in(self, region: str) -> Iterator[Volume]:
        rows = [row for row in self.volume_rows(region) if not is_root(row)]
        names = self.vm_names([server for row in rows for server, _device in held(row)], region)
        for row in rows:
            yield self.volume_noun(row, region, names)

    def volume_rows(self, region: str, **narrow: Any) -> Iterator[dict[str, Any]]:
        """Yield volumes as Cinder describes them, those that are on their way out left out."""
        for row in self.link.pages("volume", "/volumes/detail", "volumes", region, limit=1000, **narrow):
            if row.get("status") not in _GOING:
                yield row

    def volume_noun(self, row: Row, region: str, names: Mapping[str, str] | None = None) -> Volume:
        """Return the noun of a volume; `names` are those of VMs by id."""
        mark, ident, holders = marks.marked(row), str(row.get("id")), held(row)
        server, device = holders[0] if holders else ("", "")
        state = str(row.get("status") or "")
        return Volume(
            name=str(row.get("name") or ident), cloud=self.name, id=ident, region=region, labels=mark.labels,
            size_gib=int(row.get("size") or 0), vm=(names or {}).get(server, server), device=device,
            state="attached" if holders else state, owner=mark.owner, token=mark.token,
            created=whole(row.get("created_at")), fetched=self.clock.now(), raw=row,
        )  # fmt: skip

    def create_volume(
        self, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make an empty volume in `region` (REGION or REGION/ZONE); idempotent by token.

        Raises: Exists (the name has another volume), Invalid (size), NotFound (region or zone), NoCapacity.
        """
        if not name or size_gib < 1:
            raise Invalid("a volume needs a name and a size of at least 1 GiB", hint="for instance --size 10")
        where, zone = self.new_place(region)
        body: dict[str, Any] = {"size": size_gib}
        if zone:
            body["availability_zone"] = self._volume_zone(where, zone)
        return self.make_volume(name, token, labels, where, body)

    def make_volume(self, name: str, token: str, labels: Mapping[str, str], region: str, body: Row) -> Volume:
        """Return the volume of a token, made with `body` when there is none. Raises: Exists (the name is taken)."""

        def make() -> dict[str, Any]:
            if any(row.get("name") == name and not is_root(row) for row in self.volume_rows(region, name=name)):
                raise Exists(f"cloud '{self.name}' already has a volume '{name}'", hint="choose another name")
            asked = {"name": name, "metadata": marks.metadata(token, self.setup.owner, labels), **body}
            if kind := self.link.settings.volume_type:
                asked.setdefault("volume_type", kind)
            made: dict[str, Any] = self.link.post("volume", "/volumes", {"volume": asked}, region)["volume"]
            return made

        return self.volume_noun(self.made_once(lambda: self._volume_of_token(token, region), make), region)

    def _volume_of_token(self, token: str, region: str) -> dict[str, Any] | None:
        if not token:
            return None
        rows = self.volume_rows(region, metadata=json.dumps({notes.TOKEN: token}))
        return next((row for row in rows if marks.marked(row).token == token), None)

    def _volume_zone(self, region: str, zone: str) -> str:
        """Return a zone that Cinder has. Raises: NotFound."""
        rows = self.link.get("volume", "/os-availability-zone", region).get("availabilityZoneInfo") or ()
        known = sorted(str(row.get("zoneName")) for row in rows)
        if zone not in known:
            raise NotFound(
                f"volumes of {region} stand in no zone '{zone}'", hint=f"they stand in {', '.join(known) or region}"
            )
        return zone

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume; already gone is success. Raises: Conflict while attached, or while snapshots are of it."""
        try:
            row, region = self._settled_volume(volume)
            if held(row):
                raise Conflict(f"volume '{volume.name}' is attached", hint=f"cms volume detach {volume.name}")
            self.link.delete("volume", f"/volumes/{row['id']}", region)
        except NotFound:
            return
        except Invalid as error:
            if "snapshot" not in error.message:
                raise
            text = f"volume '{volume.name}' has snapshots"
            raise Conflict(text, hint="delete them first: cms volume snapshot list", details=error.details) from None

    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach a volume as the device that Nova chooses.

        Raises: Conflict (attached elsewhere), NotFound, Invalid (another region), NotReady (it is still being made).
        """
        row, region = self._settled_volume(volume)
        holder, where = self.find(vm)
        self.own(holder, "changed")
        server = str(holder["id"])
        if where != region:
            raise Invalid(
                f"volume '{volume.name}' is in {region} and vm '{vm.name}' in {where}",
                hint=f"make the volume where the VM is: cms volume create --region {where}",
            )
        if not any(each == server for each, _device in held(row)):
            self._attach_to(row, volume, server, region)
        seen = self._wait_for(volume, lambda each: any(device for _server, device in held(each)))
        if any(each != server for each, _device in held(seen)):
            raise Conflict(f"volume '{volume.name}' is attached elsewhere", hint=f"cms volume detach {volume.name}")
        return self.volume_noun(seen, region, {server: self.noun(holder, where).name})

    def _attach_to(self, row: Row, volume: Volume, server: str, region: str) -> None:
        if held(row):
            raise Conflict(f"volume '{volume.name}' is attached elsewhere", hint=f"cms volume detach {volume.name}")
        if row.get("status") != "available":
            raise NotReady(
                f"volume '{volume.name}' is {row.get('status')}", hint="try again in a moment",
                details={"retry": row.get("status") in _MAKING},
            )  # fmt: skip
        body = {"volumeAttachment": {"volumeId": row["id"]}}
        try:
            self.when_free(lambda: self.link.post("compute", f"/servers/{server}/os-volume_attachments", body, region))
        except CloudmsError as error:
            if not unclear(error) and "already attached" not in error.message.lower():
                raise
            now = self._find_volume(volume)[0]
            if not held(now) and now.get("status") not in _MAKING:
                raise  # otherwise the caller sees what comes of it

    def detach_volume(self, volume: Volume) -> Volume:
        """Detach a volume and wait until it is free; already detached is success. Raises: Timeout (it does not)."""
        row, region = self._find_volume(volume)
        for server, _device in held(row):
            self._detach_from(str(row["id"]), server, region)
        seen = self._wait_for(volume, lambda each: not held(each) and each.get("status") not in _MAKING, DETACH_S)
        if held(seen):
            raise Timeout(
                f"the guest does not let go of volume '{volume.name}'",
                hint="unmount it there, or stop the VM; then detach again",
            )
        return self.volume_noun(seen, region)

    def _detach_from(self, ident: str, server: str, region: str) -> None:
        try:
            self.when_free(
                lambda: self.link.delete("compute", f"/servers/{server}/os-volume_attachments/{ident}", region)
            )
        except NotFound:
            return
        except CloudmsError as error:
            if "detaching" not in error.message:  # somebody was quicker
                raise

    def resize_volume(self, volume: Volume, size_gib: int) -> Volume:
        """Make a volume larger, attached or not; as large already is success.

        Raises: Invalid (smaller), NotReady (attached, and Cinder is older than 3.42; still being made), NoCapacity.
        """
        row, region = self._settled_volume(volume)
        size = int(row.get("size") or 0)
        if size_gib < size:
            raise Invalid(f"volume '{volume.name}' has {size} GiB and cannot shrink", hint=f"at least --size {size}")
        if size_gib > size:
            if held(row) and self.link.version("volume", region) < EXTEND_ATTACHED:
                raise NotReady(
                    f"volume '{volume.name}' is attached, and this cloud enlarges only those that are not",
                    hint=f"cms volume detach {volume.name}",
                    details={"retry": False},
                )
            body = {"os-extend": {"new_size": size_gib}}
            self.link.post("volume", f"/volumes/{row['id']}/action", body, region)
            row = self._wait_for(volume, lambda each: each.get("status") not in _MAKING)
            if row.get("status") == "error_extending":
                raise Invalid(f"the storage refused to enlarge volume '{volume.name}'", hint="ask whoever runs it")
        names = self.vm_names([server for server, _device in held(row)], region)
        return self.volume_noun(row, region, names)

    def tag_volume(self, volume: Volume) -> Volume:
        """Put the labels of `volume` on Cinder in place of those it had. Raises: NotFound, Invalid (too long)."""
        row, region = self._find_volume(volume)
        ours = {key: value for key, value in (row.get("metadata") or {}).items() if marks.is_ours(key)}
        pairs = {**ours, **marks.metadata("", "", volume.labels)}
        self.link.put("volume", f"/volumes/{row['id']}/metadata", {"metadata": pairs}, region)
        names = self.vm_names([server for server, _device in held(row)], region)
        return self.volume_noun({**row, "metadata": pairs}, region, names)

    def _settled_volume(self, volume: Volume) -> tuple[dict[str, Any], str]:
        """Return a volume once it has been made or let go of, as far as that takes no long time. Raises: NotFound."""
        row, region = self._find_volume(volume)
        if row.get("status") in _MAKING:
            row = self._wait_for(volume, lambda each: each.get("status") not in _MAKING)
        return row, region

    def _wait_for(self, volume: Volume, done: Any, patience: float = 30.0) -> dict[str, Any]:
        return self.until(lambda: self._find_volume(volume)[0], done, patience)

    def _find_volume(self, volume: Volume) -> tuple[dict[str, Any], str]:
        """Return a volume as Cinder describes it, by id or else token, and its region. Raises: NotFound."""
        for region in self.regions_of(volume.region, "volume"):
            row = self._volume_with_id(volume.id, region) if volume.id else self._volume_of_token(volume.token, region)
            if row is not None and row.get("status") not in _GOING:
                return row, region
        raise NotFound(f"cloud '{self.name}' has no volume '{volume.name}'", hint="cms volume list")

    def _volume_with_id(self, ident: str, region: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self.link.get("volume", f"/volumes/{quote(ident, safe='')}", region).get(
                "volume"
            )
        except NotFound:
            return None
        return found


def held(row: Row) -> list[tuple[str, str]]:
    """Return the VMs that have a volume, each with the device that it is there."""
    return [
        (str(each["server_id"]), str(each.get("device") or ""))
        for each in row.get("attachments") or ()
        if each.get("server_id")
    ]


def is_root(row: Row) -> bool:
    """Whether a volume is the disk that a VM starts from."""
    bootable = str(row.get("bootable")).lower() == "true"
    return bootable and any(_ROOTS.fullmatch(device) for _server, device in held(row))
