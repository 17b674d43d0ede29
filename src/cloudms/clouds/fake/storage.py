"""The volumes of the fake cloud and their snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudms.clouds.base import ResizeVolume, Volumes, VolumeSnapshots
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity, NotFound
from cloudms.model import Vm, Volume, VolumeSnapshot

_ANY = machine.ON | machine.OFF
_DEVICES = tuple(f"/dev/vd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")


class FakeStorage(FakeVms, Volumes, ResizeVolume, VolumeSnapshots):
    """Volumes, which can grow while they are attached, and what was kept of them."""

    def list_volumes(self) -> Iterable[Volume]:
        """Return the volumes."""
        return self.listing(
            "list_volumes",
            lambda world, now: (views.volume(world, doc, self.name, now) for doc in world["volumes"].values()),
        )

    def create_volume(
        self, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make an empty volume; idempotent by token. Raises: Exists, NoCapacity, Invalid, NotFound (region)."""
        if not name or size_gib <= 0:
            raise Invalid("a volume needs a name and a size of at least 1 GiB", hint="for instance --size 10")

        def create(world: Doc, now: float) -> Volume:
            made = self._with_token(world, token)
            made = made or self._add_volume(world, name, size_gib, token, labels, region, now)
            return views.volume(world, made, self.name, now)

        return self.alter("create_volume", name, create, token, size_gib)

    def _with_token(self, world: Doc, token: str) -> Doc | None:
        return next((doc for doc in world["volumes"].values() if token and doc["token"] == token), None)

    def _add_volume(
        self, world: Doc, name: str, size_gib: int, token: str, labels: Mapping[str, str], region: str, now: float
    ) -> Doc:
        """Enter a volume into the state. Raises: Exists, NoCapacity, NotFound (region)."""
        where = offers.location(self.name, region) if region else offers.locations(self.name)[0]
        if any(doc["name"] == name for doc in world["volumes"].values()):
            raise Exists(f"cloud '{self.name}' already has a volume '{name}'", hint="choose another name")
        self._check_room(world, size_gib)
        made: Doc = {
            "id": self.number(world, "vol"), "name": name, "size_gib": size_gib, "token": token, "vm": "",
            "labels": dict(labels), "owner": self.setup.owner, "device": "", "created": now, "region": where.name,
        }  # fmt: skip
        world["volumes"][made["id"]] = made
        return made

    def _check_room(self, world: Doc, more: int) -> None:
        """Refuse `more` GiB than the quota has left. Raises: NoCapacity."""
        quota, used = self.options.max_volume_gib, sum(doc["size_gib"] for doc in world["volumes"].values())
        if quota and used + more > quota:
            raise NoCapacity(f"cloud '{self.name}' has {quota - used} GiB left for volumes", hint="delete a volume")

    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume; already gone is success. Raises: Conflict while attached."""

        def delete(world: Doc, _now: float) -> None:
            doc = world["volumes"].get(volume.id)
            if doc and doc["vm"]:
                raise Conflict(f"volume '{doc['name']}' is attached", hint="detach it first")
            world["volumes"].pop(volume.id, None)

        self.alter("delete_volume", volume.name, delete, volume.id)

    def attach_volume(self, volume: Volume, vm: Vm) -> Volume:
        """Attach a volume as the next free device. Raises: NotFound, Conflict when attached elsewhere."""

        def attach(world: Doc, now: float) -> Volume:
            doc, holder = self._volume(world, volume), self.find(world, vm, now)
            machine.demand(holder, _ANY, "attach a volume")
            if doc["vm"] not in ("", holder["id"]):
                raise Conflict(f"volume '{doc['name']}' is attached to another vm", hint="detach it first")
            taken = {each["device"] for each in world["volumes"].values() if each["vm"] == holder["id"]}
            if not doc["vm"]:
                doc.update(vm=holder["id"], device=next(name for name in _DEVICES if name not in taken))
            return views.volume(world, doc, self.name, now)

        return self.alter("attach_volume", volume.name, attach, vm.id)

    def detach_volume(self, volume: Volume) -> Volume:
        """Detach a volume; already detached is success. Raises: NotFound."""

        def detach(world: Doc, now: float) -> Volume:
            doc = self._volume(world, volume)
            doc.update(vm="", device="")
            return views.volume(world, doc, self.name, now)

        return self.alter("detach_volume", volume.name, detach, volume.id)

    def tag_volume(self, volume: Volume) -> Volume:
        """Put labels on a volume. Raises: NotFound."""

        def tag(world: Doc, now: float) -> Volume:
            doc = self._volume(world, volume)
            doc["labels"] = dict(volume.labels)
            return views.volume(world, doc, self.name, now)

        return self.alter("tag_volume", volume.name, tag, volume.id)

    def _volume(self, world: Doc, volume: Volume) -> Doc:
        doc: Doc | None = world["volumes"].get(volume.id)
        if doc is None:
            raise NotFound(f"cloud '{self.name}' has no volume '{volume.name}'", hint="cms volume list")
        return doc

    def resize_volume(self, volume: Volume, size_gib: int) -> Volume:
        """Make a volume larger, attached or not. Raises: NotFound, Invalid (smaller), NoCapacity."""

        def resize(world: Doc, now: float) -> Volume:
            doc = self._volume(world, volume)
            if size_gib < doc["size_gib"]:
                raise Invalid(
                    f"volume '{doc['name']}' has {doc['size_gib']} GiB and cannot shrink", hint="choose a larger size"
                )
            self._check_room(world, size_gib - doc["size_gib"])
            doc["size_gib"] = size_gib
            return views.volume(world, doc, self.name, now)

        return self.alter("resize_volume", volume.name, resize, volume.id, size_gib)

    def list_volume_snapshots(self) -> Iterable[VolumeSnapshot]:
        """Return the snapshots of volumes."""
        return self.listing(
            "list_volume_snapshots",
            lambda world, now: (
                views.volume_snapshot(doc, self.name, now) for doc in world["volume_snapshots"].values()
            ),
        )

    def create_volume_snapshot(self, volume: Volume, name: str, token: str) -> VolumeSnapshot:
        """Keep what is on a volume, attached or not; idempotent by token. Raises: NotFound, Exists, Invalid (name)."""
        if not name:
            raise Invalid("a snapshot needs a name", hint="for instance --name before-upgrade")

        def create(world: Doc, now: float) -> VolumeSnapshot:
            docs = world["volume_snapshots"].values()
            made = next((doc for doc in docs if token and doc["token"] == token), None)
            if made is None:
                doc = self._volume(world, volume)
                if any(each["name"] == name for each in docs):
                    raise Exists(f"cloud '{self.name}' already has a snapshot '{name}'", hint="choose another name")
                made = {
                    "id": self.number(world, "vsnap"), "name": name, "volume": doc["name"], "created": now,
                    "size_gib": doc["size_gib"], "token": token, "owner": self.setup.owner,
                    "region": doc.get("region", ""), "contents": _contents(doc),
                }  # fmt: skip
                world["volume_snapshots"][made["id"]] = made
            return views.volume_snapshot(made, self.name, now)

        return self.alter("create_volume_snapshot", name, create, token, volume.id)

    def delete_volume_snapshot(self, snapshot: VolumeSnapshot) -> None:
        """Forget a snapshot; already gone is success, and volumes made of it stay."""
        self.alter(
            "delete_volume_snapshot",
            snapshot.name,
            lambda world, _now: world["volume_snapshots"].pop(snapshot.id, None),
            snapshot.id,
        )

    def restore_volume(
        self, snapshot: VolumeSnapshot, name: str, token: str, labels: Mapping[str, str], region: str = ""
    ) -> Volume:
        """Make a volume of a snapshot; idempotent by token. Raises: NotFound (snapshot, region), Exists, NoCapacity."""

        def restore(world: Doc, now: float) -> Volume:
            kept = world["volume_snapshots"].get(snapshot.id)
            made = self._with_token(world, token)
            if made is None and kept is None:
                raise NotFound(
                    f"cloud '{self.name}' has no snapshot '{snapshot.name}'", hint="cms volume snapshot list"
                )
            if made is None:
                made = self._add_volume(world, name, kept["size_gib"], token, labels, region, now)
                made.update(snapshot=kept["id"], contents=kept["contents"])
            return views.volume(world, made, self.name, now)

        return self.alter("restore_volume", name, restore, token, snapshot.id)


def _contents(doc: Doc) -> str:
    """Return what names the bytes of a volume: those it was made with."""
    return str(doc.get("contents") or doc["id"])
