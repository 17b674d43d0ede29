"""The roles of the fake cloud around its VMs: snapshots, keys, places, addresses, volumes, images, first-boot data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudms.clouds.base import Addresses, ImageStore, Keys, Locations, PrivateNetwork, Snapshots, UserData, Volumes
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity, NotFound
from cloudms.model import Address, Image, Key, Location, Snapshot, Vm, VmState, Volume

_ANY = machine.ON | machine.OFF
_DEVICES = tuple(f"/dev/vd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")


class FakeThings(FakeVms, Snapshots, Keys, Locations, Addresses, Volumes, ImageStore, PrivateNetwork, UserData):
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

    def list_addresses(self) -> Iterable[Address]:
        """Return every public address, free or not."""
        return self.listing(
            "list_addresses", lambda world, _now: (views.address(world, ip, self.name) for ip in self._pool())
        )

    def _pool(self) -> list[str]:
        return views.public_pool(self.name, self.options.addresses)

    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Let a public address (empty: the one it has, else a free one) lead to `vm`.

        Raises: Exists (another VM has it), Invalid (not an address of this cloud), NoCapacity (none is free).
        """

        def give(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            machine.demand(doc, machine.LIVING, "get an address")
            chosen = address or self._choose(world, doc)
            if chosen not in self._pool():
                raise Invalid(f"cloud '{self.name}' has no address '{chosen}'", hint="cms vm ip list")
            holder = world["addresses"].get(chosen, {}).get("vm", doc["id"])
            if holder != doc["id"]:
                raise Exists(f"address '{chosen}' leads to another vm", hint="take it away first or choose another")
            world["addresses"][chosen] = {"vm": doc["id"], "ports": dict(ports or {})}
            return self.show(world, doc, now)

        return self.alter("set_address", vm.name, give, address)

    def _choose(self, world: Doc, doc: Doc) -> str:
        """Return the address a VM has, else the first free one. Raises: NoCapacity."""
        own = views.public_ips(world, doc)
        free = [ip for ip in self._pool() if ip not in world["addresses"]]
        if not own and not free:
            raise NoCapacity(f"cloud '{self.name}' has no free address", hint="take one away from another vm")
        return (own or tuple(free))[0]

    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take the address away from `vm`; success when it leads elsewhere or nowhere."""

        def take(world: Doc, now: float) -> Vm:
            doc = self.find(world, vm, now)
            if world["addresses"].get(address, {}).get("vm") == doc["id"]:
                del world["addresses"][address]
            return self.show(world, doc, now)

        return self.alter("remove_address", vm.name, take, address)

    def list_volumes(self) -> Iterable[Volume]:
        """Return the volumes."""
        return self.listing(
            "list_volumes",
            lambda world, now: (views.volume(world, doc, self.name, now) for doc in world["volumes"].values()),
        )

    def create_volume(self, name: str, size_gib: int, token: str, labels: Mapping[str, str]) -> Volume:
        """Make an empty volume; idempotent by token. Raises: Exists, NoCapacity, Invalid."""
        if not name or size_gib <= 0:
            raise Invalid("a volume needs a name and a size of at least 1 GiB", hint="for instance --size 10")

        def create(world: Doc, now: float) -> Volume:
            docs = world["volumes"].values()
            made = next((doc for doc in docs if token and doc["token"] == token), None)
            if made is None:
                self._check_volume(world, name, size_gib)
                made = {
                    "id": self.number(world, "vol"), "name": name, "size_gib": size_gib, "token": token, "vm": "",
                    "labels": dict(labels), "owner": self.setup.owner, "device": "", "created": now,
                }  # fmt: skip
                world["volumes"][made["id"]] = made
            return views.volume(world, made, self.name, now)

        return self.alter("create_volume", name, create, token, size_gib)

    def _check_volume(self, world: Doc, name: str, size_gib: int) -> None:
        docs = world["volumes"].values()
        if any(doc["name"] == name for doc in docs):
            raise Exists(f"cloud '{self.name}' already has a volume '{name}'", hint="choose another name")
        quota, used = self.options.max_volume_gib, sum(doc["size_gib"] for doc in docs)
        if quota and used + size_gib > quota:
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
