"""Snapshots of volumes, and volumes made of them.

The disks of images that Nova made of VMs with volumes are snapshots as well; they belong to their image and are not
listed. Shape: https://docs.openstack.org/api-ref/block-storage/v3/#volume-snapshots-snapshots.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from cloudms.clouds import notes
from cloudms.clouds.base import VolumeSnapshots
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.beside import Row
from cloudms.clouds.openstack.images import Images, disks_of
from cloudms.clouds.openstack.settings import place
from cloudms.clouds.openstack.times import whole
from cloudms.clouds.openstack.volumes import Storing
from cloudms.errors import Conflict, Exists, NotFound, NotReady, Unsupported
from cloudms.model import Volume, VolumeSnapshot

_GOING = ("deleting", "deleted")
_GONE_S = 15.0
"""Seconds for which a snapshot that is deleted is looked at: storage that refuses it says so only then."""
OF = "cms:volume"
"""Metadata: the name that the volume had."""


class Keeping(Storing, Images, VolumeSnapshots):
    """Keeping what is on volumes."""

    def list_volume_snapshots(self) -> Iterable[VolumeSnapshot]:
        """Yield the snapshots of volumes, those that are the disks of images left out."""
        return self.link.each_region(self._kept_in, "volume")

    def _kept_in(self, region: str) -> Iterator[VolumeSnapshot]:
        rows = list(self._kept(region))
        if not rows:
            return
        disks = {disk for row in self.image_rows(region, bdm_v2="True") for disk in disks_of(row)}
        names = {str(row["id"]): str(row.get("name") or row["id"]) for row in self.volume_rows(region)}
        for row in rows:
            if row.get("id") not in disks:
                yield self._snapshot_noun(row, region, names.get(str(row.get("volume_id")), ""))

    def _kept(self, region: str, **narrow: Any) -> Iterator[dict[str, Any]]:
        for row in self.link.pages("volume", "/snapshots/detail", "snapshots", region, limit=1000, **narrow):
            if row.get("status") not in _GOING:
                yield row

    def _snapshot_noun(self, row: Row, region: str, volume: str = "") -> VolumeSnapshot:
        mark, ident = marks.marked(row), str(row.get("id"))
        was = str((row.get("metadata") or {}).get(OF) or row.get("volume_id") or "")
        return VolumeSnapshot(
            name=str(row.get("name") or ident), cloud=self.name, id=ident, region=region, labels=mark.labels,
            volume=volume or was, size_gib=int(row.get("size") or 0), state=str(row.get("status") or ""),
            owner=mark.owner, token=mark.token, created=whole(row.get("created_at")), fetched=self.clock.now(),
            raw=row,
        )  # fmt: skip

    def create_volume_snapshot(self, volume: Volume, name: str, token: str) -> VolumeSnapshot:
        """Keep what is on a volume now, as after a power cut when a VM has it; idempotent by token.

        Raises: Exists (the name has another), NotFound (volume), NoCapacity.
        """
        row, region = self._settled_volume(volume)

        def make() -> dict[str, Any]:
            if any(each.get("name") == name for each in self._kept(region, name=name)):
                raise Exists(f"cloud '{self.name}' already has a snapshot '{name}'", hint="choose another name")
            pairs = {**marks.metadata(token, self.setup.owner, {}), OF: str(row.get("name") or "")[: marks.LONGEST]}
            asked = {"volume_id": row["id"], "name": name, "metadata": pairs, "force": True}
            made: dict[str, Any] = self.link.post("volume", "/snapshots", {"snapshot": asked}, region)["snapshot"]
            return made

        made = self.made_once(lambda: self._kept_token(token, region), make)
        return self._snapshot_noun(made, region, str(row.get("name") or ""))

    def _kept_token(self, token: str, region: str) -> dict[str, Any] | None:
        if not token:
            return None
        rows = self._kept(region, metadata=json.dumps({notes.TOKEN: token}))
        return next((row for row in rows if marks.marked(row).token == token), None)

    def delete_volume_snapshot(self, snapshot: VolumeSnapshot) -> None:
        """Forget it; already gone is success. Raises: Conflict (the storage holds it for volumes made of it)."""
        try:
            row, region = self._find_kept(snapshot)
        except NotFound:
            return
        self.drop("volume", f"/snapshots/{row['id']}", region)
        self.until(lambda: self._is_gone(row, region, snapshot.name), bool, _GONE_S)

    def _is_gone(self, row: Row, region: str, name: str) -> bool:
        """Whether a snapshot that was to be deleted is gone. Raises: Conflict (it stays)."""
        left = self._kept_id(str(row["id"]), region)
        state = left.get("status") if left else ""
        if state in ("available", "error_deleting"):
            raise Conflict(
                f"snapshot '{name}' stays ({state}): volumes stand on it",
                hint="delete the volumes that were made of it first: cms volume list",
                details={"state": str(state)},
            )
        return left is None

    def restore_volume(
        self, snapshot: VolumeSnapshot, name: str, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make a volume of what was kept, as large as that was; idempotent by token.

        Raises: Exists (the name has another volume), NotFound, NotReady (it is still being kept), Unsupported (another
        region), NoCapacity.
        """
        row, where = self._find_kept(snapshot)
        wanted, zone = place(region)
        if wanted and wanted != where:
            raise Unsupported(
                f"snapshot '{snapshot.name}' is in {where} and cannot become a volume in {wanted}",
                hint=f"leave --region out, or say {where}",
            )
        if row.get("status") == "creating":
            row = self.until(lambda: self._find_kept(snapshot)[0], lambda each: each.get("status") != "creating")
        if row.get("status") not in ("available", "backing-up"):
            raise NotReady(
                f"snapshot '{snapshot.name}' is {row.get('status')}", hint="try again in a moment",
                details={"retry": row.get("status") == "creating"},
            )  # fmt: skip
        body: dict[str, Any] = {"snapshot_id": row["id"]}
        if zone:
            body["availability_zone"] = self._volume_zone(where, zone)
        return self.make_volume(name, token, labels, where, body)

    def _find_kept(self, snapshot: VolumeSnapshot) -> tuple[dict[str, Any], str]:
        """Return a snapshot as Cinder describes it, by id or else token, and its region. Raises: NotFound."""
        for region in self.regions_of(snapshot.region, "volume"):
            ident = snapshot.id
            row = self._kept_id(ident, region) if ident else self._kept_token(snapshot.token, region)
            if row is not None and row.get("status") not in _GOING:
                return row, region
        raise NotFound(f"cloud '{self.name}' has no snapshot '{snapshot.name}'", hint="cms volume snapshot list")

    def _kept_id(self, ident: str, region: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self.link.get("volume", f"/snapshots/{quote(ident, safe='')}", region).get(
                "snapshot"
            )
        except NotFound:
            return None
        return found
