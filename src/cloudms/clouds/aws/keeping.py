"""Volumes that grow, and their snapshots: EBS snapshots that belong to no VM and no image.

A volume grows while it is attached, and then not again for six hours
(https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modify-volume.html). A snapshot is crash-consistent: what the
guest has not written is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws import tags
from cloudms.clouds.aws.describe import jsonable, seconds
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.settings import place
from cloudms.clouds.aws.snapshots import SNAPSHOT
from cloudms.clouds.aws.volumes import DISK_OF, Storing
from cloudms.clouds.base import ResizeVolume, VolumeSnapshots
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound, NotReady
from cloudms.model import Volume, VolumeSnapshot

VOLUME = "cms:volume"
"""The tag of a snapshot: the name of the volume that it is of."""
_GROWN_LATELY = ("VolumeModificationRateExceeded", "IncorrectModificationState")
_OF_IMAGES = ("Created by CreateImage(", "Auto-created snapshot for AMI")
"""How the description of a snapshot begins that is a disk of an image."""
_STATES = {"pending": "creating", "completed": "available"}

Row = Mapping[str, Any]


class Keeping(Storing, ResizeVolume, VolumeSnapshots):
    """Enlarging volumes, keeping what is on them, and making volumes of it."""

    def resize_volume(self, volume: Volume, size_gib: int) -> Volume:
        """Make a volume larger, attached or not; as large already is success.

        Raises: NotFound, Invalid (smaller), NotReady (it has grown in the last six hours), NoCapacity.
        """
        row, region = self._find_volume(volume)
        has = int(row.get("Size") or 0)
        if size_gib < has:
            raise Invalid(f"volume '{volume.name}' has {has} GiB and cannot shrink", hint="choose a larger size")
        if size_gib > has:
            self._grow(volume, str(row["VolumeId"]), size_gib, region)
        return self._volume({**row, "Size": size_gib}, region, self._holders([row], region))

    def _grow(self, volume: Volume, ident: str, size_gib: int, region: str) -> None:
        try:
            self.link.call("modify_volume", region, VolumeId=ident, Size=size_gib)
        except CloudmsError as error:
            if code_of(error) not in _GROWN_LATELY:
                raise
            if not self._grows(ident, size_gib, region):
                raise NotReady(
                    f"volume '{volume.name}' was made larger in the last six hours, which AWS does once in that time",
                    hint="try again later, or: cms volume snapshot create, then volume create --snapshot",
                    details={**error.details, "retry": False},
                ) from None

    def _grows(self, ident: str, size_gib: int, region: str) -> bool:
        """Whether a volume is on its way to a size already, or has just got there: an answer may have been lost."""
        narrow = [{"Name": "volume-id", "Values": [ident]}]
        rows = self.link.pages("describe_volumes_modifications", "VolumesModifications", region, Filters=narrow)
        return any(
            int(row.get("TargetSize") or 0) >= size_gib and row.get("ModificationState") != "failed" for row in rows
        )

    def list_volume_snapshots(self) -> Iterable[VolumeSnapshot]:
        """Yield the snapshots of the account that are neither of a VM nor of an image."""
        return self.link.each_region(self._kept_in)

    def _kept_in(self, region: str) -> Iterator[VolumeSnapshot]:
        rows = [row for row in self._snapshots_of(region) if _of_a_volume(row)]
        used = self._of_images(region) if rows else frozenset()
        for row in rows:
            if row.get("SnapshotId") not in used:
                yield self._kept_noun(row, region)

    def _snapshots_of(self, region: str, **narrow: str) -> Iterator[dict[str, Any]]:
        filters = tags.filters(**narrow)
        return self.link.pages("describe_snapshots", "Snapshots", region, OwnerIds=["self"], Filters=filters)

    def _of_images(self, region: str) -> frozenset[str]:
        """Return the ids of the snapshots that the images of the account stand on."""
        images = self.link.pages("describe_images", "Images", region, Owners=["self"])
        disks = (disk for image in images for disk in image.get("BlockDeviceMappings") or ())
        return frozenset(str((disk.get("Ebs") or {}).get("SnapshotId")) for disk in disks)

    def create_volume_snapshot(self, volume: Volume, name: str, token: str) -> VolumeSnapshot:
        """Keep what is on a volume now, while it may be in use; EBS writes it out afterwards. Idempotent by token.

        Raises: NotFound, Exists, Invalid (name), NotReady (the volume is still being made), NoCapacity.
        """
        if not name or len(name) > tags.LONGEST_VALUE:
            raise Invalid(f"'{name[:40]}' cannot be a snapshot name", hint="choose a shorter name")
        row, region = self._seen_volume(volume)
        if made := self._with_token(token, region):
            return self._kept_noun(made, region)
        if any(_of_a_volume(each) for each in self._snapshots_of(region, name=name)):
            raise Exists(f"cloud '{self.name}' already has a snapshot '{name}'", hint="choose another name")
        if row.get("State") == "creating":
            raise NotReady(f"volume '{volume.name}' is still being made", hint="try again in a moment")
        pairs = tags.Tags(name=name, token=token, owner=self.setup.owner).pairs()
        pairs |= {VOLUME: tags.of(row).name or str(row["VolumeId"])}
        try:
            fresh = self.link.call_once(
                "create_snapshot", region, VolumeId=row["VolumeId"], Description=f"cloudms: {name}",
                TagSpecifications=tags.specification(["snapshot"], pairs),
            )  # fmt: skip
        except NotReady:  # the answer may have been lost, and the snapshot be there
            found = self._with_token(token, region)
            if found is None:
                raise
            fresh = found
        return self._kept_noun({**fresh, "Tags": tags.listed(pairs)}, region)

    def _with_token(self, token: str, region: str) -> dict[str, Any] | None:
        rows = self._snapshots_of(region, token=token) if token else iter(())
        return next((row for row in rows if _of_a_volume(row)), None)

    def delete_volume_snapshot(self, snapshot: VolumeSnapshot) -> None:
        """Forget a snapshot; already gone is success. Raises: Conflict while an image stands on it."""
        try:
            row, region = self._find_kept(snapshot)
            self.link.call("delete_snapshot", region, SnapshotId=row["SnapshotId"])
        except NotFound:
            return

    def restore_volume(
        self, snapshot: VolumeSnapshot, name: str, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make a volume of a snapshot, in a zone of its region; idempotent by token.

        Raises: Exists, NotFound, Invalid (another region), NotReady (it is still being written), NoCapacity.
        """
        where, zone = place(region) if region else ("", "")
        if (made := self._made_before(token, where or snapshot.region)) is not None:
            return made
        row, home = self._find_kept(snapshot)
        if where not in ("", home):
            raise Invalid(
                f"snapshot '{snapshot.name}' is in {home}, and volumes are made of it there", hint=f"--region {home}"
            )
        if row.get("State") == "pending":
            progress = row.get("Progress") or "0%"
            raise NotReady(f"snapshot '{snapshot.name}' is still being written ({progress})", hint="try again later")
        return self._make_volume(name, token, labels, home, zone, SnapshotId=row["SnapshotId"])

    def _find_kept(self, snapshot: VolumeSnapshot) -> tuple[dict[str, Any], str]:
        """Return a snapshot as AWS describes it, by id or else token, and its region. Raises: NotFound."""
        for region in (snapshot.region,) if snapshot.region else self.link.regions:
            narrow = {"snapshot_id": snapshot.id} if snapshot.id else {"token": snapshot.token}
            for row in self._snapshots_of(region, **narrow) if all(narrow.values()) else ():
                return row, region
        raise NotFound(f"cloud '{self.name}' has no snapshot '{snapshot.name}'", hint="cms volume snapshot list")

    def _kept_noun(self, row: Row, region: str) -> VolumeSnapshot:
        marks, ident, pairs = tags.of(row), str(row.get("SnapshotId")), tags.plain(row.get("Tags") or ())
        state = str(row.get("State") or "pending")
        return VolumeSnapshot(
            name=marks.name or ident, cloud=self.name, id=ident, region=region, token=marks.token, owner=marks.owner,
            volume=pairs.get(VOLUME) or str(row.get("VolumeId") or ""), size_gib=int(row.get("VolumeSize") or 0),
            state=_STATES.get(state, state), created=seconds(row.get("StartTime")), labels=tags.labels(pairs),
            fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip


def _of_a_volume(row: Row) -> bool:
    """Whether a snapshot is neither one of a VM nor, as far as itself tells, a disk of an image."""
    pairs = tags.plain(row.get("Tags") or ())
    return not (SNAPSHOT in pairs or DISK_OF in pairs or str(row.get("Description") or "").startswith(_OF_IMAGES))
