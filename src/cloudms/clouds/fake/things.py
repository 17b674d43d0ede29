"""The roles of the fake cloud around its VMs: snapshots, keys, places, images, first-boot data."""

from __future__ import annotations

from collections.abc import Iterable

from cloudms.clouds.base import (
    DeleteImages,
    ImageStore,
    Keys,
    Locations,
    PrivateNetwork,
    Snapshots,
    UserData,
)
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Image, Key, Location, Snapshot, Vm, VmState

_ANY = machine.ON | machine.OFF


class FakeThings(FakeVms, Snapshots, Keys, Locations, ImageStore, DeleteImages, PrivateNetwork, UserData):
    """What stands beside the VMs."""

    def list_snapshots(self, vm: Vm | None = None) -> Iterable[Snapshot]:
        """Return the snapshots of `vm`, or all. Raises: NotFound (vm)."""

        def rows(world: Doc, now: float) -> Iterable[Snapshot]:
            identity = self.find(world, vm, now)["id"] if vm else ""
            docs = world["snapshots"].values()
            return (views.snapshot(world, doc, self.name, now) for doc in docs if identity in ("", doc["vm"]))

        return self.listing("list_snapshots", rows, vm.name if vm else "")

    def create_snapshot(self, vm: Vm, name: str) -> Snapshot:
        """Keep the disk of now, and the memory of a VM that is on. Raises: Exists."""

        def create(world: Doc, now: float) -> Snapshot:
            doc = self.find(world, vm, now)
            state = machine.demand(doc, _ANY, "make a snapshot")
            key = f"{doc['id']}/{name}"
            if key in world["snapshots"]:
                raise Exists(f"vm '{doc['name']}' already has a snapshot '{name}'", hint="choose another name")
            parents = [each["name"] for each in world["snapshots"].values() if each["vm"] == doc["id"]]
            world["snapshots"][key] = {
                "id": self.number(world, "snap"), "name": name, "vm": doc["id"], "created": now, "state": str(state),
                "memory": state in machine.ON, "parent": parents[-1] if parents else "", "image": doc["image"],
                "contents": doc["contents"],
            }  # fmt: skip
            return views.snapshot(world, world["snapshots"][key], self.name, now)

        return self.alter("create_snapshot", vm.name, create, name)

    def revert_snapshot(self, vm: Vm, name: str) -> Vm:
        """Bring back disk and power state. Raises: NotFound."""

        def revert(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            kept = world["snapshots"].get(f"{doc['id']}/{name}")
            if kept is None:
                raise NotFound(f"vm '{doc['name']}' has no snapshot '{name}'", hint="cms vm snapshot list")
            machine.demand(doc, _ANY | {VmState.ERROR}, "revert to a snapshot")
            doc["image"], doc["contents"] = kept["image"], kept["contents"]
            machine.move(doc, now, 0, VmState.REBUILDING, VmState(kept["state"]))
            return self.keep(world, doc, now)

        return self.alter("revert_snapshot", vm.name, revert, name)

    def delete_snapshot(self, vm: Vm, name: str) -> None:
        """Forget a snapshot; already gone is success, its VM gone too."""
        self.alter(
            "delete_snapshot",
            vm.name,
            lambda world, now: world["snapshots"].pop(f"{self.identity(world, vm, now)}/{name}", None),
            name,
        )

    def list_keys(self) -> Iterable[Key]:
        """Return the public keys."""
        return self.listing(
            "list_keys", lambda world, _now: (views.key(name, doc, self.name) for name, doc in world["keys"].items())
        )

    def add_key(self, name: str, public: str) -> Key:
        """Store a public key. Raises: Exists (the name has another key), Invalid."""
        fingerprint = _fingerprint(public)

        def add(world: Doc, now: float) -> Key:
            doc = world["keys"].setdefault(name, {"public": public.strip(), "fingerprint": fingerprint, "created": now})
            if doc["fingerprint"] != fingerprint:
                raise Exists(f"cloud '{self.name}' has another key '{name}'", hint="choose another name")
            return views.key(name, doc, self.name)

        return self.alter("add_key", name, add, fingerprint)

    def delete_key(self, name: str) -> None:
        """Delete a key; already gone is success."""
        self.alter("delete_key", name, lambda world, _now: world["keys"].pop(name, None))

    def list_locations(self) -> Iterable[Location]:
        """Return the zones."""
        return self.listing(
            "list_locations", lambda _world, now: (place.with_(fetched=now) for place in offers.locations(self.name))
        )

    def delete_image(self, image: Image) -> None:
        """Take an image from the cloud, until a VM uses it again. Raises: Conflict while VMs stand on it."""

        def delete(world: Doc, now: float) -> None:
            users = [vm["name"] for vm in self.living(world, now) if vm["image"] == image.id]
            if users:
                raise Conflict(f"image '{image.name}' is used by {', '.join(users[:3])}", hint="delete these VMs first")
            world["staged"].pop(image.id, None)

        self.alter("delete_image", image.name, delete, image.id)


def _fingerprint(public: str) -> str:
    """Return the fingerprint of a public key as OpenSSH prints it. Raises: Invalid."""
    from binascii import Error, a2b_base64, b2a_base64
    from hashlib import sha256

    parts = public.split(None, 2)
    try:
        blob = a2b_base64(parts[1], strict_mode=True)
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    except (IndexError, Error, UnicodeDecodeError):
        blob, kind = b"", ""
    if not kind or kind != parts[0]:
        raise Invalid("this is not a public key in OpenSSH's format", hint="give the content of a .pub file")
    return "SHA256:" + b2a_base64(sha256(blob).digest(), newline=False).decode().rstrip("=")
