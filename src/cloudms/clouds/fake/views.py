"""The pretend things as nouns: what a caller sees of the state of a fake cloud."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from cloudms.clouds.fake import machine, offers
from cloudms.clouds.fake.store import Doc
from cloudms.model import Address, Key, Origin, Rule, SecGroup, Snapshot, Vm, VmState, Volume, VolumeSnapshot

SECRET = frozenset(("user_data",))
"""Fields of a VM that the provider returns and that `raw` must not hold."""
PRICES = {"address": 0.005, "volume": 0.1 / 730, "volume_snapshot": 0.05 / 730}
"""The pretended prices per hour: of an address, and of a GiB."""


def price(what: str, size_gib: int) -> float:
    """Return the pretended price of so many GiB."""
    return round(PRICES[what] * size_gib, 9)


def raw(doc: Mapping[str, Any]) -> Doc:
    """Return the reply of the pretended provider minus secrets."""
    return {name: value for name, value in doc.items() if name not in SECRET}


def vm(world: Doc, doc: Doc, cloud: str, owner: str, now: float) -> Vm:
    """Return a settled VM as the noun that `owner` sees at `now`."""
    state = machine.state(doc)
    since, _word, reason = doc["timeline"][0]
    private, public = private_ips(doc, state), public_ips(world, doc)
    image = offers.image(cloud, doc["image"])
    return Vm(
        name=doc["name"], cloud=cloud, id=doc["id"], region=doc["region"], labels=doc["labels"], fetched=now,
        raw=raw(doc), state=state, reason=reason, since=since, image=image.name, flavor=doc["flavor"],
        public_ips=public, private_ips=private, group=doc["group"], owner=doc["owner"], created=doc["created"],
        expires=doc["expires"], origin=origin(doc, owner), protected=doc["protected"],
        keep_stopped=doc["keep_stopped"], token=doc["token"], login=image.login,
        ssh_host=(public or private or ("",))[0], ssh_key=doc["key_name"],
        price_per_hour=offers.flavor(cloud, doc["flavor"]).price_per_hour,
    )  # fmt: skip


def origin(doc: Doc, owner: str) -> Origin:
    """Return whose a VM is from the view of `owner`, by the token and owner that stand on it."""
    if not doc["token"] or doc["owner"] != owner:
        return Origin.FOREIGN
    return Origin.ADOPTED if doc["adopted"] else Origin.OWN


def private_ips(doc: Doc, state: VmState) -> tuple[str, ...]:
    """Return the private address, which a VM gets when it first runs and keeps until it is deleted."""
    known = state not in machine.ENDED and (state is not VmState.PENDING or len(doc["boots"]) > 1)
    return (doc["address"],) if known else ()


def public_ips(world: Doc, doc: Doc) -> tuple[str, ...]:
    """Return the public addresses that lead to a VM."""
    return tuple(name for name, address in world["addresses"].items() if address["vm"] == doc["id"])


def address_block(cloud: str) -> str:
    """Return the first two numbers of the addresses of the fake cloud named `cloud`: all of them are loopback."""
    return f"127.{16 + crc32(cloud.encode()) % 200}"


def private_address(cloud: str, number: int) -> str:
    """Return the private address of the VM with this serial `number`."""
    return f"{address_block(cloud)}.{number // 250 % 250}.{number % 250 + 1}"


def public_pool(cloud: str, count: int) -> list[str]:
    """Return the `count` public addresses of the cloud."""
    return [f"{address_block(cloud)}.{250 + index // 250}.{index % 250 + 1}" for index in range(min(count, 1250))]


def address(world: Doc, name: str, cloud: str) -> Address:
    """Return the public address `name`; one that is free costs nothing."""
    doc = world["addresses"].get(name)
    if doc is None:
        return Address(name=name, cloud=cloud, id=name, price_per_hour=0.0, raw={"address": name, "vm": ""})
    holder = world["vms"].get(doc["vm"])
    return Address(
        name=name, cloud=cloud, id=name, vm=holder["name"] if holder else "", ports=doc["ports"],
        token=doc.get("token", ""), owner=doc.get("owner", ""), region=doc.get("region", ""),
        created=doc.get("created"), price_per_hour=PRICES["address"], raw={"address": name, **doc},
    )  # fmt: skip


def part(world: Doc, name: str) -> None:
    """Let an address lead nowhere, and give it back unless it is kept without a VM."""
    doc = world["addresses"].pop(name)
    if doc.get("token"):
        world["addresses"][name] = {**doc, "vm": "", "ports": {}}


def volume(world: Doc, doc: Doc, cloud: str, now: float) -> Volume:
    """Return a volume; its pretended price is a tenth of a dollar per GiB and month."""
    holder = world["vms"].get(doc["vm"])
    return Volume(
        name=doc["name"], cloud=cloud, id=doc["id"], region=doc.get("region", ""), labels=doc["labels"], fetched=now,
        size_gib=doc["size_gib"],
        vm=holder["name"] if holder else "", device=doc["device"] if holder else "",
        state="attached" if holder else "available", owner=doc["owner"], token=doc["token"], created=doc["created"],
        price_per_hour=price("volume", doc["size_gib"]), raw=raw(doc),
    )  # fmt: skip


def volume_snapshot(doc: Doc, cloud: str, now: float) -> VolumeSnapshot:
    """Return a snapshot of a volume; its pretended price is half that of the volume."""
    return VolumeSnapshot(
        name=doc["name"], cloud=cloud, id=doc["id"], region=doc["region"], fetched=now, volume=doc["volume"],
        size_gib=doc["size_gib"], state="available", owner=doc["owner"], token=doc["token"], created=doc["created"],
        price_per_hour=price("volume_snapshot", doc["size_gib"]), raw=raw(doc),
    )  # fmt: skip


def secgroup(world: Doc, doc: Doc, cloud: str, now: float) -> SecGroup:
    """Return a security group with the VMs that are in it; other groups that its rules name are told by name."""
    groups = world["secgroups"]
    rules = [
        Rule(**{**each, "remote": groups[each["remote"]]["name"] if each["remote"] in groups else each["remote"]})
        for each in doc["rules"]
    ]
    members = [
        vm["name"] for vm in world["vms"].values() if doc["id"] in vm.get("secgroups", ()) and machine.alive(vm, now)
    ]
    return SecGroup(
        name=doc["name"], cloud=cloud, id=doc["id"], region=doc["region"], fetched=now, rules=tuple(rules),
        description=doc["description"], vms=tuple(members), owner=doc["owner"], token=doc["token"], raw=raw(doc),
    )  # fmt: skip


def snapshot(world: Doc, doc: Doc, cloud: str, now: float) -> Snapshot:
    """Return a snapshot."""
    return Snapshot(
        name=doc["name"], cloud=cloud, id=doc["id"], fetched=now, vm=world["vms"][doc["vm"]]["name"],
        state=doc["state"], memory=doc["memory"], parent=doc["parent"], created=doc["created"], raw=raw(doc),
    )  # fmt: skip


def key(name: str, doc: Doc, cloud: str) -> Key:
    """Return a public key."""
    kind, _data, comment = (*doc["public"].split(None, 2), "")[:3]
    return Key(
        name=name, cloud=cloud, id=name, type=kind, fingerprint=doc["fingerprint"], public=doc["public"],
        comment=comment, created=doc["created"], raw={"name": name, **doc},
    )  # fmt: skip


def console(doc: Doc, now: float) -> str:
    """Return what a VM has printed until `now`: every boot in turn, its lines spread over the time it took."""
    lines: list[str] = []
    for began, seconds, contents in doc["boots"]:
        script = _boot_lines(doc, contents)
        step = seconds / len(script)
        lines += [line for index, line in enumerate(script) if began + step * (index + 1) <= now + 1e-6]
    return "".join(f"{line}\n" for line in lines)


def _boot_lines(doc: Doc, contents: str) -> list[str]:
    host = doc["hostname"]
    return [
        f"[    0.000000] Linux version 6.1.0-fake (simulated) of image {doc['image']}",
        "[    0.012345] Command line: root=/dev/vda console=ttyS0",
        "[    0.400000] virtio_net virtio0: this machine is simulated",
        f"cloud-init[1]: running 'init' on {host}",
        f"ci-info: | eth0 | True | {doc['address']} | 255.255.0.0 |",
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"{host_key(contents)} root@{host}",
        "-----END SSH HOST KEY KEYS-----",
        "cloud-init[1]: finished",
        f"{host} login: ",
    ]


def host_key(contents: str) -> str:
    """Return the public host key that belongs to the `contents` of a disk: well formed, with no private half."""
    words = [crc32(f"{contents}/{index}".encode()).to_bytes(4, "big") for index in range(8)]
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + b"".join(words)
    return f"ssh-ed25519 {b2a_base64(blob, newline=False).decode()}"
