"""Volumes: EBS disks that outlive their VM, and how they are found, made, attached and deleted.

A volume and the VM it is attached to stand in one availability zone
(https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html). Where none is named, a volume is made in
the configured zone, else where most VMs of this owner are, else in the region's first zone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws import tags
from cloudms.clouds.aws.addresses import Addressing
from cloudms.clouds.aws.describe import jsonable, seconds
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.aws.settings import place
from cloudms.clouds.base import Volumes
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, NoCapacity, NotFound, NotReady, Timeout
from cloudms.model import Vm, Volume

TYPE = "gp3"
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
"""Names that EC2 leaves to disks that are added (Linux, device naming); a Nitro guest sees them as /dev/nvme…."""
DETACH_S = 60.0
DISK_OF = "cms:vm"
"""The tag of a disk that belongs to one VM and is no volume, and of its snapshots: the id of the instance."""
UNSEEN_S = 15.0
"""Seconds after its creation during which a volume may be missing in AWS's lists."""
_PAUSE_S = 1.0
_TRIES = 3
_GOING = ("deleting", "deleted")
_HOLDING = ("attached", "attaching", "busy")


class Storing(Addressing, Volumes):
    """Making, attaching and deleting volumes."""

    def list_volumes(self) -> Iterable[Volume]:
        """Yield the volumes of the account that are no root disks."""
        return self.link.each_region(self._volumes_in)

    def _volumes_in(self, region: str) -> Iterator[Volume]:
        rows = [row for row in self._disks(region) if row.get("State") not in _GOING and not _of_a_vm(row)]
        holders = self._holders(rows, region)
        for row in rows:
            if not _is_root(row, holders):
                yield self._volume(row, region, holders)

    def _disks(self, region: str, **narrow: str | list[str]) -> Iterator[dict[str, Any]]:
        return self.link.pages("describe_volumes", "Volumes", region, Filters=tags.filters(**narrow))

    def _holders(self, rows: Iterable[Mapping[str, Any]], region: str) -> dict[str, dict[str, Any]]:
        """Return the instances that have some of the volumes, by id."""
        ids = [str(held["InstanceId"]) for row in rows for held in attachments(row)]
        return {str(row["InstanceId"]): row for row in self.with_ids(ids, region)}

    def create_volume(
        self, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make an empty encrypted gp3 volume in `region`, which may be a zone; idempotent by token.

        Raises: Exists (the name has another volume), Invalid (size), NotFound (zone), NoCapacity.
        """
        if not name or size_gib < 1:
            raise Invalid("a volume needs a name and a size of at least 1 GiB", hint="for instance --size 10")
        region, zone = self._where(region)
        made = self._made_before(token, region)
        return made or self._make_volume(name, token, labels, region, zone, Size=size_gib)

    def _made_before(self, token: str, region: str) -> Volume | None:
        """Return the volume with a token, or None."""
        for row in self._disks(region, token=token) if token else ():
            if row.get("State") not in _GOING:
                return self._volume(row, region)
        return None

    def _make_volume(
        self, name: str, token: str, labels: Mapping[str, str], region: str, zone: str, **what: Any
    ) -> Volume:
        """Make a volume; `what` says of which size, or of which snapshot. Raises: Exists, NotFound (zone)."""
        self._check_name(name, region)
        mark = tags.Tags(name=name, token=token, owner=self.setup.owner, labels=labels)
        if self.link.settings.encrypted:  # never said to be false: what is made of an encrypted snapshot cannot be
            what = {**what, "Encrypted": True}
        row = self.link.call(
            "create_volume", region, AvailabilityZone=zone or self._zone(region), VolumeType=TYPE,
            ClientToken=token[:64], TagSpecifications=tags.specification(["volume"], mark.pairs()), **what,
        )  # fmt: skip
        return self._volume(row, region)

    def _where(self, wanted: str) -> tuple[str, str]:
        """Return region and zone of what was asked for, the configured ones by default; the zone may be empty.

        Raises: NotFound (a region that is not looked at: what is made there would not be listed).
        """
        region, zone = place(wanted) if wanted else (self.link.region, self.link.settings.zone)
        if region not in self.link.regions:
            raise NotFound(
                f"cloud '{self.name}' does not look at '{wanted}'",
                hint=f"cms location list --cloud {self.name}; the setting regions adds more",
            )
        return region, zone

    def _check_name(self, name: str, region: str) -> None:
        rows = [row for row in self._disks(region, name=name) if row.get("State") not in _GOING and not _of_a_vm(row)]
        holders = self._holders(rows, region)  # the root disk of a VM carries the VM's name
        if any(not _is_root(row, holders) for row in rows):
            raise Exists(f"cloud '{self.name}' already has a volume '{name}'", hint="choose another name")

    def _zone(self, region: str) -> str:
        """Return the zone for a volume of which nobody said where. Raises: NoCapacity (none is available)."""
        mine = tags.filters(owner=self.setup.owner, instance_state_name=["pending", "running", "stopping", "stopped"])
        used = Counter(zone_of(row) for row in self.instances(region, Filters=mine)) if self.setup.owner else Counter()
        if used:
            return max(sorted(used), key=lambda zone: used[zone])
        rows = self.link.call("describe_availability_zones", region).get("AvailabilityZones") or ()
        open_ones = sorted(
            str(row["ZoneName"])
            for row in rows
            if row.get("State") == "available" and row.get("ZoneType", "availability-zone") == "availability-zone"
        )
        if not open_ones:
            raise NoCapacity(f"no zone of {region} is available", hint="cms location list")
        return open_ones[0]

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume; already gone is success. Raises: Conflict while attached."""
        try:
            row, region = self._find_volume(volume)
            if attachments(row):
                raise Conflict(f"volume '{volume.name}' is attached", hint=f"cms volume detach {volume.name}")
            if row.get("State") not in _GOING:
                self.link.call("delete_volume", region, VolumeId=row["VolumeId"])
        except NotFound:
            return

    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach a volume under the next free device name.

        Raises: Conflict (attached elsewhere), NotFound, Invalid (another zone), NotReady (it is still being made).
        """
        row, region = self._seen_volume(volume)
        held = attachments(row)
        holder, where = self.find(vm)
        self.own(holder, "changed")
        if held and held[0].get("InstanceId") != holder["InstanceId"]:
            raise Conflict(f"volume '{volume.name}' is attached elsewhere", hint=f"cms volume detach {volume.name}")
        if held:
            return self._volume(row, region, {str(holder["InstanceId"]): holder})
        if row.get("State") == "creating":
            raise NotReady(f"volume '{volume.name}' is still being made", hint="try again in a moment")
        self._check_zone(volume, row, vm, holder)
        device = self._attach(row, holder, where)
        return self._volume({**row, "State": "in-use"}, region).with_(
            vm=self.noun(holder, where).name, device=device, state="attached"
        )

    def _check_zone(self, volume: Volume, row: Mapping[str, Any], vm: Vm, holder: Mapping[str, Any]) -> None:
        if row.get("AvailabilityZone") != zone_of(holder):
            raise Invalid(
                f"volume '{volume.name}' is in {row.get('AvailabilityZone')} and vm '{vm.name}' in {zone_of(holder)}",
                hint=f"make the volume where the VM is: cms volume create --region {zone_of(holder)}",
                details={"volume": row.get("AvailabilityZone"), "vm": zone_of(holder)},
            )

    def _attach(self, row: Mapping[str, Any], holder: Mapping[str, Any], region: str) -> str:
        """Attach under a free device name; a name that another process takes meanwhile is passed over."""
        taken = {str(each.get("DeviceName")) for each in holder.get("BlockDeviceMappings") or ()}
        free = [device for device in DEVICES if device not in taken and device.replace("sd", "xvd") not in taken]
        for device in free[:_TRIES]:
            try:
                self.link.call(
                    "attach_volume", region, Device=device, InstanceId=holder["InstanceId"], VolumeId=row["VolumeId"]
                )
            except Invalid as error:
                if "in use" not in error.message:
                    raise
                continue
            return device
        raise NoCapacity(
            f"every device name of {holder['InstanceId']} is taken", hint="detach a volume: cms volume list"
        )

    def detach_volume(self, volume: Volume) -> Volume:
        """Detach a volume and wait until it is free; already detached is success. Raises: Timeout (it does not)."""
        row, region = self._find_volume(volume)
        for held in attachments(row):
            self._detach(str(row["VolumeId"]), str(held["InstanceId"]), region)
        deadline = self.clock.monotonic() + DETACH_S
        while attachments(row, ("detaching", *_HOLDING)):
            if self.clock.monotonic() > deadline:
                raise Timeout(
                    f"the guest does not let go of volume '{volume.name}'",
                    hint="unmount it there, or stop the VM; then detach again",
                )
            row, region = self._find_volume(volume)
            if attachments(row, ("detaching", *_HOLDING)):
                self.clock.sleep(_PAUSE_S)
        return self._volume({**row, "State": "available"}, region)

    def _detach(self, ident: str, holder: str, region: str) -> None:
        try:
            self.link.call("detach_volume", region, VolumeId=ident, InstanceId=holder)
        except CloudmsError as error:
            if code_of(error) not in ("IncorrectState", "InvalidAttachment.NotFound"):
                raise  # these two: it is detached already

    def tag_volume(self, volume: Volume) -> Volume:
        """Put the labels of `volume` on AWS in place of those it had. Raises: NotFound."""
        row, region = self._find_volume(volume)
        before = tags.label_pairs(tags.labels(tags.plain(row.get("Tags") or ())))
        after = tags.label_pairs(volume.labels)
        kept = {key: value for key, value in tags.plain(row.get("Tags") or ()).items() if key not in before}
        tags.checked(kept | after)
        if gone := [{"Key": key} for key in before if key not in after]:
            self.link.call("delete_tags", region, Resources=[row["VolumeId"]], Tags=gone)
        if fresh := {key: value for key, value in after.items() if before.get(key) != value}:
            self.link.call("create_tags", region, Resources=[row["VolumeId"]], Tags=tags.listed(fresh))
        return self._volume({**row, "Tags": tags.listed(kept | after)}, region, self._holders([row], region))

    def _seen_volume(self, volume: Volume) -> tuple[dict[str, Any], str]:
        """Find a volume; one that was made a moment ago may not be in AWS's lists yet. Raises: NotFound, NotReady."""
        try:
            return self._find_volume(volume)
        except NotFound:
            if volume.created is None or self.clock.now() - volume.created > UNSEEN_S:
                raise
            raise NotReady(f"volume '{volume.name}' is not listed yet", hint="try again in a moment") from None

    def _find_volume(self, volume: Volume) -> tuple[dict[str, Any], str]:
        """Return a volume as AWS describes it, by id or else token, and its region. Raises: NotFound."""
        for region in (volume.region,) if volume.region else self.link.regions:
            narrow = {"volume_id": volume.id} if volume.id else {"token": volume.token}
            for row in self._disks(region, **narrow) if all(narrow.values()) else ():
                if row.get("State") not in _GOING:
                    return row, region
        raise NotFound(f"cloud '{self.name}' has no volume '{volume.name}'", hint="cms volume list")

    def _volume(
        self, row: Mapping[str, Any], region: str, holders: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Volume:
        marks, ident = tags.of(row), str(row.get("VolumeId"))
        held = attachments(row)
        holder = (holders or {}).get(str(held[0].get("InstanceId"))) if held else None
        name = self.noun(holder, region).name if holder else str(held[0].get("InstanceId")) if held else ""
        state = str(row.get("State") or "")
        return Volume(
            name=marks.name or ident, cloud=self.name, id=ident, region=region, labels=marks.labels,
            size_gib=int(row.get("Size") or 0), vm=name, device=str(held[0].get("Device") or "") if held else "",
            state="attached" if held else "available" if state == "in-use" else state, owner=marks.owner,
            token=marks.token, created=seconds(row.get("CreateTime")), fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip


def attachments(row: Mapping[str, Any], states: tuple[str, ...] = _HOLDING) -> list[Mapping[str, Any]]:
    """Return where a volume is attached; one that is on its way off counts as detached."""
    return [each for each in row.get("Attachments") or () if each.get("State", "attached") in states]


def zone_of(instance: Mapping[str, Any]) -> str:
    """Return the availability zone of an instance."""
    return str((instance.get("Placement") or {}).get("AvailabilityZone") or "")


def _of_a_vm(row: Mapping[str, Any]) -> bool:
    """Whether a disk was made to stand in a VM, as a revert does, and is no volume even while it is not attached."""
    return bool(tags.plain(row.get("Tags") or ()).get(DISK_OF))


def _is_root(row: Mapping[str, Any], holders: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a volume is the disk that an instance starts from."""
    for held in attachments(row, ("detaching", *_HOLDING)):
        root = (holders.get(str(held.get("InstanceId"))) or {}).get("RootDeviceName")
        if root and held.get("Device") == root:
            return True
    return False
