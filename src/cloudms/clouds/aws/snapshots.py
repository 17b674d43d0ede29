"""Snapshots of a VM: EBS snapshots of the disks that belong to it alone, taken together.

They hold what has been written to the disks (no memory) and are crash-consistent, as after a power cut. Volumes that
outlive the VM are left out. Bringing one back exchanges disks: EC2 replaces the root disk of a running instance and
reboots it (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/replace-root.html); of a stopped one cloudms puts disks
made from the snapshots in place of the old ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.deleting import Deleting
from cloudms.clouds.aws.describe import jsonable, seconds
from cloudms.clouds.aws.volumes import DISK_OF, Storing, attachments, zone_of
from cloudms.clouds.base import Role, Snapshots
from cloudms.errors import Exists, Invalid, NotFound, NotReady, Timeout, Unsupported
from cloudms.model import Snapshot, Vm, VmState

SNAPSHOT, DEVICE, REPLACES = "cms:snapshot", "cms:device", "cms:replaces"
"""Tags: the name of a snapshot, the device of a disk, the disk that it replaces."""
MADE_S = 300.0
"""Seconds that a disk may take to be made from a snapshot."""
_PAUSE_S = 1.0
_RIGHT = ("running", "stopped")

Row = Mapping[str, Any]


class Snapshotting(Storing, Deleting, Snapshots):
    """Keeping and bringing back states."""

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why snapshots of this VM are not possible, or an empty string when they are."""
        missing = super().supports(role, vm)
        if missing or role is not Snapshots or vm is None:
            return missing
        if vm.raw.get("RootDeviceType", "ebs") != "ebs":
            return "its disk is inside its host and cannot be kept"
        return ""

    def list_snapshots(self, vm: Vm | None = None) -> Iterable[Snapshot]:
        """Yield the snapshots of `vm`, or those that cloudms made of any VM, oldest first. Raises: NotFound (vm)."""
        if vm is None:
            return self.link.each_region(self._snapshots_in)
        row, region = self.find(vm)
        return self._snapshots_in(region, row)

    def _snapshots_in(self, region: str, instance: Row | None = None) -> Iterator[Snapshot]:
        sets: dict[tuple[str, str], list[Row]] = {}
        for row in self._kept(region, str(instance["InstanceId"]) if instance else ""):
            pairs = tags.plain(row.get("Tags") or ())
            sets.setdefault((pairs.get(DISK_OF, ""), pairs[SNAPSHOT]), []).append(row)
        known = [instance] if instance else self.with_ids((ident for ident, _name in sets), region)
        names = {str(row["InstanceId"]): self.noun(row, region).name for row in known}
        nouns = [self._snapshot(rows, region, names.get(ident, "")) for (ident, _name), rows in sets.items()]
        yield from sorted(nouns, key=lambda noun: noun.created or 0.0)

    def _kept(self, region: str, instance: str = "", name: str = "") -> list[dict[str, Any]]:
        """Return the EBS snapshots that cloudms made, of one instance and one name when given."""
        narrow = [{"Name": "tag-key", "Values": [SNAPSHOT]}]
        narrow += [{"Name": f"tag:{DISK_OF}", "Values": [instance]}] if instance else []
        narrow += [{"Name": f"tag:{SNAPSHOT}", "Values": [name]}] if name else []
        rows = list(self.link.pages("describe_snapshots", "Snapshots", region, OwnerIds=["self"], Filters=narrow))
        return [row for row in rows if tags.plain(row.get("Tags") or ()).get(SNAPSHOT)]

    def _snapshot(self, rows: list[Row], region: str, name: str) -> Snapshot:
        first = min(rows, key=lambda row: DEVICE in tags.plain(row.get("Tags") or ()))
        pairs, states = tags.plain(first.get("Tags") or ()), [str(row.get("State") or "pending") for row in rows]
        return Snapshot(
            name=pairs[SNAPSHOT], cloud=self.name, id=str(first.get("SnapshotId")), region=region,
            vm=name or pairs.get(tags.NAME, ""), created=seconds(first.get("StartTime")),
            state=next((state for state in states if state != "completed"), "completed"),
            labels=tags.labels(pairs), fetched=self.clock.now(), raw=jsonable({"Snapshots": rows}),
        )  # fmt: skip

    def create_snapshot(self, vm: Vm, name: str) -> Snapshot:
        """Keep the disks of now, all at one moment; EC2 writes them while the VM goes on.

        Raises: Exists, Invalid (name), NotReady (it starts or stops), Conflict (made elsewhere).
        """
        if not name or len(name) > tags.LONGEST_VALUE:
            raise Invalid(f"'{name[:40]}' cannot be a snapshot name", hint="choose a shorter name")
        row, region = self.find(vm)
        marks, ident = self.own(row, "kept in a snapshot"), str(row["InstanceId"])
        _must_rest(row, vm, "take a snapshot")
        if self._kept(region, ident, name):
            raise Exists(f"vm '{vm.name}' has a snapshot '{name}'", hint="choose another name, or delete it first")
        pairs = tags.Tags(token=marks.token, owner=marks.owner, name=marks.name).pairs()
        pairs |= {tags.SHOWN: f"{marks.name} {name}"[: tags.LONGEST_VALUE], SNAPSHOT: name, DISK_OF: ident}
        try:
            made = self.link.call_once(
                "create_snapshots", region, InstanceSpecification=_disks_of_its_own(row),
                Description=f"cloudms: {name}", TagSpecifications=tags.specification(["snapshot"], pairs),
            )["Snapshots"]  # fmt: skip
        except NotReady:  # the answer may have been lost, and the snapshots be there
            made = self._kept(region, ident, name)
            if not made:
                raise
        rows = [{**each, "Tags": tags.listed(pairs)} for each in made]
        return self._snapshot(self._with_devices(rows, row, region), region, marks.name)

    def _with_devices(self, rows: list[dict[str, Any]], instance: Row, region: str) -> list[Row]:
        """Note at each snapshot that is not of the root disk which disk it is of."""
        disks = {str(ebs["VolumeId"]): device for device, ebs in _disks(instance).items()}
        marked: list[Row] = []
        for row in rows:
            device = disks.get(str(row.get("VolumeId")), "")
            if device and device != instance.get("RootDeviceName"):
                extra = tags.listed({DEVICE: device})
                self.link.call("create_tags", region, Resources=[row["SnapshotId"]], Tags=extra)
                row = {**row, "Tags": [*row["Tags"], *extra]}
            marked.append(row)
        return marked

    def revert_snapshot(self, vm: Vm, name: str) -> Vm:
        """Bring back the disks of a snapshot; what was written since is lost. A running VM reboots.

        Raises: NotFound, NotReady (still being written; it starts or stops; several disks while it runs), Unsupported.
        """
        instance, region = self.find(vm)
        self.own(instance, "reverted")
        _must_rest(instance, vm, "revert to a snapshot")
        rows = self._kept(region, str(instance["InstanceId"]), name)
        if not rows:
            raise NotFound(f"vm '{vm.name}' has no snapshot '{name}'", hint=f"cms vm snapshot list {vm.name}")
        if waiting := [row for row in rows if row.get("State") != "completed"]:
            progress = waiting[0].get("Progress") or "0%"
            raise NotReady(f"snapshot '{name}' is still being written ({progress})", hint="try again when it is done")
        if describe.STATES.get(str(instance["State"]["Name"])) is VmState.RUNNING:
            self._replace_root(vm, instance, rows, region)
        else:
            for row in rows:
                self._exchange(row, instance, region)
        return self.noun(*self.find(vm))

    def _replace_root(self, vm: Vm, instance: Row, rows: list[dict[str, Any]], region: str) -> None:
        off = f"cms vm stop {vm.name}, then revert: its disks are exchanged while it is off"
        if len(rows) > 1:
            raise NotReady(f"the snapshot holds {len(rows)} disks, and vm '{vm.name}' runs", hint=off,
                           details={"state": "running"})  # fmt: skip
        try:
            self.link.call(
                "create_replace_root_volume_task", region, InstanceId=instance["InstanceId"],
                SnapshotId=rows[0]["SnapshotId"], DeleteReplacedRootVolume=True,
            )  # fmt: skip
        except Unsupported as error:
            raise Unsupported(f"vm '{vm.name}' cannot be reverted while it runs: {error.message}", hint=off) from None

    def _exchange(self, snapshot: Row, instance: Row, region: str) -> None:
        """Put a disk made from a snapshot in place of the one that a stopped instance has.

        A run that was killed in between goes on where it stood: the new disk knows which one it replaces.
        """
        device = tags.plain(snapshot.get("Tags") or ()).get(DEVICE) or str(instance.get("RootDeviceName"))
        old = str(_disks(instance).get(device, {}).get("VolumeId") or "")
        fresh = self._begun(instance, device, region) or self._fresh_disk(snapshot, instance, device, old, region)
        ident, replaced = str(fresh["VolumeId"]), tags.plain(fresh.get("Tags") or ()).get(REPLACES, "")
        self._settled(ident, region)
        if old and old != ident:
            self._detach(old, str(instance["InstanceId"]), region)
            self._settled(old, region)
        self.link.call("attach_volume", region, Device=device, InstanceId=instance["InstanceId"], VolumeId=ident)
        kept = [{"DeviceName": device, "Ebs": {"VolumeId": ident, "DeleteOnTermination": True}}]
        self.link.call("modify_instance_attribute", region, InstanceId=instance["InstanceId"], BlockDeviceMappings=kept)
        if replaced:
            self._drop("delete_volume", region, VolumeId=replaced)

    def _begun(self, instance: Row, device: str, region: str) -> dict[str, Any] | None:
        """Return the disk that an earlier try made for this place and did not come to attach."""
        rows = self.link.pages(
            "describe_volumes", "Volumes", region,
            Filters=[
                {"Name": f"tag:{DISK_OF}", "Values": [instance["InstanceId"]]},
                {"Name": f"tag:{DEVICE}", "Values": [device]},
                {"Name": "status", "Values": ["creating", "available"]},
            ],
        )  # fmt: skip
        return next(iter(rows), None)

    def _fresh_disk(self, snapshot: Row, instance: Row, device: str, old: str, region: str) -> dict[str, Any]:
        was = next(self._disks(region, volume_id=old), {}) if old else {}
        marks = tags.of(instance)
        pairs = tags.Tags(token=marks.token, owner=marks.owner, name=marks.name).pairs()
        pairs |= {DISK_OF: str(instance["InstanceId"]), DEVICE: device} | ({REPLACES: old} if old else {})
        return self.link.call(
            "create_volume", region, AvailabilityZone=zone_of(instance), SnapshotId=snapshot["SnapshotId"],
            VolumeType=str(was.get("VolumeType") or "gp3"), TagSpecifications=tags.specification(["volume"], pairs),
        )  # fmt: skip

    def _settled(self, ident: str, region: str) -> None:
        """Wait until a disk is free. Raises: Timeout, NotFound."""
        deadline = self.clock.monotonic() + MADE_S
        while True:
            row = next(self._disks(region, volume_id=ident), None)
            if row is None:
                raise NotFound(f"the disk {ident} has gone", hint="cms volume list")
            if row.get("State") == "available" and not attachments(row):
                return
            if self.clock.monotonic() > deadline:
                raise Timeout(f"the disk {ident} is {row.get('State')} for too long", hint="revert again: it goes on")
            self.clock.sleep(_PAUSE_S)

    def delete_snapshot(self, vm: Vm, name: str) -> None:
        """Forget a state; already gone is success."""
        try:
            row, region = self.find(vm)
        except NotFound:
            return
        self.own(row, "changed")
        for each in self._kept(region, str(row["InstanceId"]), name):
            self._drop("delete_snapshot", region, SnapshotId=each["SnapshotId"])

    def delete_vm(self, vm: Vm) -> None:
        """Delete a VM with what belongs to it alone, its snapshots included; already gone is success.

        Raises: Conflict (made by somebody else, protected).
        """
        super().delete_vm(vm)
        for region in self.places(vm) if vm.id else ():
            for each in self._kept(region, vm.id):
                self._drop("delete_snapshot", region, SnapshotId=each["SnapshotId"])

    def _drop(self, operation: str, region: str, **params: Any) -> None:
        """Call; already gone is success."""
        try:
            self.link.call(operation, region, **params)
        except NotFound:
            return


def _must_rest(row: Row, vm: Vm, deed: str) -> None:
    """Refuse an instance that starts or stops. Raises: NotReady."""
    state = str((row.get("State") or {}).get("Name") or "")
    if state not in _RIGHT:
        raise NotReady(f"vm '{vm.name}' is {state} and cannot {deed}", hint=f"cms vm wait {vm.name} --until running")


def _disks(instance: Row) -> dict[str, Mapping[str, Any]]:
    """Return the EBS disks of an instance by device name."""
    return {
        str(each.get("DeviceName")): each["Ebs"]
        for each in instance.get("BlockDeviceMappings") or ()
        if each.get("Ebs")
    }


def _disks_of_its_own(instance: Row) -> dict[str, Any]:
    """Return the `InstanceSpecification` that leaves out the volumes which outlive the instance."""
    outlive = [
        str(ebs["VolumeId"])
        for device, ebs in _disks(instance).items()
        if device != instance.get("RootDeviceName") and not ebs.get("DeleteOnTermination")
    ]
    asked: dict[str, Any] = {"InstanceId": instance["InstanceId"]}
    return {**asked, "ExcludeDataVolumeIds": outlive} if outlive else asked
