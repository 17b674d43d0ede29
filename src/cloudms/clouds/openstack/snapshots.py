"""Snapshots of a VM: images that Nova makes of its disk while it goes on, marked by properties of ours.

They hold what has been written to the disk (no memory). Bringing one back rebuilds the VM with that image: id, name and
addresses stay. A VM whose disk is a volume can be kept as well, as snapshots of all its volumes behind an image that a
new VM can be made from, but Nova cannot bring that back into it.
https://docs.openstack.org/api-ref/compute/#create-image-createimage-action
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds.base import Snapshots
from cloudms.clouds.openstack.beside import Row
from cloudms.clouds.openstack.deleting import Deleting
from cloudms.clouds.openstack.images import Images
from cloudms.clouds.openstack.times import seconds
from cloudms.errors import Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Snapshot, Vm

KIND, NAME, OF, OF_NAME = "cms_kind", "cms_snapshot", "cms_vm", "cms_vm_name"
TOKEN, OWNER = "cms_token", "cms_owner"
"""Properties: what the image is, the name of the snapshot; id, name and token of the VM, and whose it is."""
LONGEST = 200
SETTLED_S = 60.0
"""Seconds that bringing back waits for an image that is still being written."""
_RIGHT = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED")
_TASK = "OS-EXT-STS:task_state"


class Snapshotting(Images, Deleting, Snapshots):
    """Keeping and bringing back states."""

    def list_snapshots(self, vm: Vm | None = None) -> Iterable[Snapshot]:
        """Yield the snapshots of `vm`, or those that cloudms made of any VM, oldest first. Raises: NotFound (vm)."""
        if vm is None:
            return self.link.each_region(self._snapshots_in)
        row, region = self.find(vm)
        return self._snapshots_in(region, row)

    def _snapshots_in(self, region: str, server: Row | None = None) -> Iterator[Snapshot]:
        rows = self._kept_states(region, str(server["id"]) if server else "")
        if server is not None:
            names = {str(server["id"]): self.noun(server, region).name}
        else:
            names = self.vm_names({str(row[OF]) for row in rows}, region)
        nouns = [self._state_noun(row, region, names.get(str(row[OF]), str(row[OF_NAME]))) for row in rows]
        yield from sorted(nouns, key=lambda noun: noun.created or 0.0)

    def _kept_states(self, region: str, server: str = "", name: str = "") -> list[dict[str, Any]]:
        """Return the images that are snapshots of ours, of one VM and one name when given.

        An image that somebody made by hand of a VM that was brought back has its properties, but not its name.
        """
        narrow = {KIND: "snapshot", **({OF: server} if server else {}), **({NAME: name} if name else {})}
        rows = self.image_rows(region, owner=self.link.project or None, **narrow)
        found = [row for row in rows if all(row.get(key) for key in (NAME, OF, OF_NAME))]
        return [row for row in found if row.get("name") == image_name(str(row[OF_NAME]), str(row[NAME]))]

    def _state_noun(self, row: Row, region: str, vm: str) -> Snapshot:
        return Snapshot(
            name=str(row[NAME]), cloud=self.name, id=str(row["id"]), region=region, vm=vm,
            state=str(row.get("status") or ""), created=seconds(row.get("created_at")), fetched=self.clock.now(),
            raw=row,
        )  # fmt: skip

    def create_snapshot(self, vm: Vm, name: str) -> Snapshot:
        """Keep the disk of now; Glance gets it while the VM goes on.

        Raises: Exists, Invalid (name), NotReady (it starts or stops), Conflict (made elsewhere), NoCapacity.
        """
        if not name or len(name) > LONGEST:
            raise Invalid(f"'{name[:40]}' cannot be a snapshot name", hint="choose a shorter name")
        row, region = self.find(vm)
        token = self.own(row, "kept in a snapshot").token
        ident, called = str(row["id"]), self.noun(row, region).name
        if self._kept_states(region, ident, name):
            raise Exists(f"vm '{vm.name}' has a snapshot '{name}'", hint="choose another name, or delete it first")
        _must_rest(row, vm, "take a snapshot")
        pairs = {KIND: "snapshot", NAME: name, OF: ident, OF_NAME: called, TOKEN: token}
        pairs[OWNER] = self.setup.owner
        asked = {"name": image_name(called, name), "metadata": {key: value for key, value in pairs.items() if value}}

        path = f"/servers/{ident}/action"

        def make() -> Mapping[str, Any]:
            reply = self.when_free(lambda: self.link.post("compute", path, {"createImage": asked}, region))
            made = self.image_with_id(str(reply.get("image_id") or ""), region) or self._kept_states(
                region, ident, name
            )
            return made[0] if made else {"id": reply.get("image_id") or asked["name"], "status": "queued", **pairs}

        made = self.made_once(lambda: next(iter(self._kept_states(region, ident, name)), None), make)
        return self._state_noun({**pairs, **made}, region, called)

    def revert_snapshot(self, vm: Vm, name: str) -> Vm:
        """Bring back the disk of a snapshot; what was written since is lost. A VM that runs is started again.

        Raises: NotFound, NotReady (still being written; it starts or stops), Unsupported (its disk is a volume).
        """
        row, region = self.find(vm)
        self.own(row, "reverted")
        kept = self._kept_states(region, str(row["id"]), name)
        if not kept:
            raise NotFound(f"vm '{vm.name}' has no snapshot '{name}'", hint=f"cms vm snapshot list {vm.name}")
        if not row.get("image"):
            raise Unsupported(
                f"the disk of vm '{vm.name}' is a volume, and OpenStack brings no snapshot back into one",
                hint=f"boot a new VM from it: cms vm boot '{kept[0]['name']}'",
            )
        image = self._written(kept[0], name, region)
        row = self.until(lambda: self.find(vm)[0], lambda seen: not seen.get(_TASK))
        _must_rest(row, vm, "revert to a snapshot", (*_RIGHT, "ERROR"))
        path = f"/servers/{row['id']}/action"
        self.when_free(lambda: self.link.post("compute", path, {"rebuild": {"imageRef": image}}, region))
        return self.noun(*self.find(vm))

    def _written(self, row: Row, name: str, region: str) -> str:
        """Return the id of the image of a snapshot once it is there as a whole. Raises: NotReady, NotFound."""

        def look() -> Row:
            return next(iter(self.image_with_id(str(row["id"]), region)), {})

        seen = row if row.get("status") == "active" else self.until(look, _is_over, SETTLED_S)
        if not seen:
            raise NotFound(f"the snapshot '{name}' has gone", hint="cms vm snapshot list")
        if seen.get("status") != "active":
            raise NotReady(f"snapshot '{name}' is still being written ({seen.get('status')})",
                           hint="try again when it is done")  # fmt: skip
        return str(seen["id"])

    def delete_snapshot(self, vm: Vm, name: str) -> None:
        """Forget a state; already gone is success."""
        try:
            row, region = self.find(vm)
        except NotFound:
            return
        self.own(row, "changed")
        for each in self._kept_states(region, str(row["id"]), name):
            self.drop_image(each, region)

    def delete_vm(self, vm: Vm) -> None:
        """Delete a VM with what belongs to it alone, its snapshots included; already gone is success.

        Raises: Conflict (made by somebody else, protected, locked).
        """
        super().delete_vm(vm)
        self.drop_snapshots(vm)

    def drop_snapshots(self, vm: Vm) -> None:
        """Forget all states of a VM that is being deleted."""
        for region in self.places(vm) if vm.id else ():
            for each in self._kept_states(region, vm.id):
                self.drop_image(each, region)


def image_name(vm: str, name: str) -> str:
    """Return the name of the image that a snapshot is."""
    return f"{vm} {name}"[:255]


def _is_over(row: Row) -> bool:
    return row.get("status") not in ("queued", "saving", "uploading", "importing")


def _must_rest(row: Row, vm: Vm, deed: str, right: tuple[str, ...] = _RIGHT) -> None:
    """Refuse a VM that is in the midst of something. Raises: NotReady."""
    status, task = str(row.get("status") or ""), str(row.get(_TASK) or "")
    if status not in right or task:
        busy = task.replace("_", " ") or status.lower()
        raise NotReady(f"vm '{vm.name}' is {busy} and cannot {deed}", hint=f"cms vm wait {vm.name} --until running")
