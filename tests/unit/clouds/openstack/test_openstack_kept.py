"""Snapshots of VMs, key pairs, and what is left: told by our marks alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, Told, neutron, opened, refused, server

from cloudms.clouds.base import Leftover, Snapshots
from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.driver import OpenStackCloud
from cloudms.clouds.openstack.keypairs import KeyPairs
from cloudms.clouds.openstack.leftovers import Sweeping
from cloudms.clouds.openstack.snapshots import Snapshotting
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Origin, Vm

VM = Vm(name="web", id="s1", token="t1", region="R1", owner=OWNER)


def image(name: str = "before", status: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "id": f"i-{name}", "name": f"web {name}", "status": status, "created_at": "2026-11-30T12:00:00Z",
        "cms_kind": "snapshot", "cms_snapshot": name, "cms_vm": "s1", "cms_vm_name": "web", "cms_token": "t1", **more,
    }  # fmt: skip


def states(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    def listed(_body: Any, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = {key: values[0] for key, values in query.items() if key.startswith("cms_")}
        return {"images": [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]}

    return {
        "image GET /images": listed, "compute GET /servers/s1": {"server": server()},
        **{f"image GET /images/{row['id']}": row for row in rows}, **more,
    }  # fmt: skip


def test_a_snapshot_is_an_image_with_our_properties() -> None:
    link = Told(states(**{"compute POST /servers/s1/action": {"image_id": "i9"}}))
    made = opened(Snapshotting, link).create_snapshot(VM, "before")
    assert (made.name, made.vm, made.id, made.state) == ("before", "web", "i9", "queued")
    assert link.said("compute POST .*") == [{"createImage": {"name": "web before", "metadata": {
        "cms_kind": "snapshot", "cms_snapshot": "before", "cms_vm": "s1", "cms_vm_name": "web", "cms_token": "t1",
        "cms_owner": OWNER,
    }}}]  # fmt: skip
    with pytest.raises(Exists, match="has a snapshot"):
        opened(Snapshotting, Told(states(image()))).create_snapshot(VM, "before")
    with pytest.raises(Invalid, match="snapshot name"):
        opened(Snapshotting, Told(states())).create_snapshot(VM, "x" * 201)


@pytest.mark.parametrize("row", [server(status="BUILD"), server(**{"OS-EXT-STS:task_state": "powering-off"})])
def test_a_vm_in_the_midst_of_something_is_left_alone(row: dict[str, Any]) -> None:
    with pytest.raises(NotReady, match="cannot take a snapshot"):
        opened(Snapshotting, Told(states(**{"compute GET /servers/s1": {"server": row}}))).create_snapshot(VM, "x")


def test_what_is_not_ours_is_not_kept() -> None:
    foreign = {"compute GET /servers/s1": {"server": server(metadata={})}}
    with pytest.raises(Conflict, match="made elsewhere"):
        opened(Snapshotting, Told(states(**foreign))).create_snapshot(VM, "x")
    assert "adopt" in opened(OpenStackCloud, Told({})).supports(Snapshots, VM.with_(origin=Origin.FOREIGN))


def test_an_image_made_by_hand_of_a_vm_that_was_brought_back_is_no_snapshot() -> None:
    copied = {**image(), "id": "i-hand", "name": "by hand"}
    bare = image(id="i-bare", cms_vm_name=None)
    link = Told(states(image(), copied, bare))
    assert [each.id for each in opened(Snapshotting, link).list_snapshots(VM)] == ["i-before"]
    assert [(each.id, each.vm) for each in opened(Snapshotting, link).list_snapshots()] == [("i-before", "web")]


def test_bringing_back_waits_for_the_image_and_rebuilds() -> None:
    looks = [image(status="saving"), image()]
    rows = states(
        image(status="saving"), **{"image GET /images/i-before": looks, "compute POST /servers/s1/action": {}}
    )
    link = Told({**rows, "image GET /images/i-before": looks})
    assert opened(Snapshotting, link).revert_snapshot(VM, "before").id == "s1"
    assert link.said("compute POST .*") == [{"rebuild": {"imageRef": "i-before"}}]


def test_what_cannot_be_brought_back() -> None:
    with pytest.raises(NotFound, match="no snapshot"):
        opened(Snapshotting, Told(states())).revert_snapshot(VM, "before")
    volume = {"compute GET /servers/s1": {"server": server(image="")}}
    with pytest.raises(Unsupported, match="is a volume"):
        opened(Snapshotting, Told(states(image(), **volume))).revert_snapshot(VM, "before")
    with pytest.raises(NotReady, match="still being written"):
        opened(Snapshotting, Told(states(image(status="saving")))).revert_snapshot(VM, "before")


def test_a_snapshot_is_forgotten_with_its_disks() -> None:
    kept = image(block_device_mapping='[{"snapshot_id": "d1"}]')
    rows = states(kept, **{"image DELETE /images/.*": {}, "volume DELETE /snapshots/d1": {}})
    link = Told(rows)
    opened(Snapshotting, link).delete_snapshot(VM, "before")
    assert [said for said, *_rest in link.asked if "DELETE" in said] == [
        "image DELETE /images/i-before", "volume DELETE /snapshots/d1",
    ]  # fmt: skip
    opened(Snapshotting, Told(states())).delete_snapshot(VM, "before")
    opened(Snapshotting, Told({})).delete_snapshot(VM, "before")
    link = Told(rows)
    opened(Snapshotting, link).drop_snapshots(VM)
    assert len(link.said("image DELETE .*")) == 1


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIB grace@lab"
PRINT = "SHA256:mKqU+0K8OhKmA8bBQi9Rz0Q5l7/g160hIP+rJYSTNj4"


def pair(name: str = "ada", public: str = KEY) -> dict[str, Any]:
    return {"keypair": {"name": name, "public_key": public, "fingerprint": "aa:bb", "type": "ssh"}}


def test_keys_are_listed_once_where_the_regions_agree() -> None:
    told = {"compute GET /os-keypairs": [{"keypairs": [pair()]}, {"keypairs": [pair(), pair("b", "")]}]}
    found = list(opened(KeyPairs, Told(told, regions=("R1", "R2"))).list_keys())
    assert [(key.name, key.type, key.fingerprint, key.comment) for key in found] == [
        ("ada", "ssh-ed25519", PRINT, "ada@lab"), ("b", "ssh", "aa:bb", ""),
    ]  # fmt: skip


def test_a_key_is_added_once() -> None:
    link = Told({"compute POST /os-keypairs": pair()})
    assert opened(KeyPairs, link).add_key("ada", KEY).fingerprint == PRINT
    assert link.said("compute POST .*") == [{"keypair": {"name": "ada", "public_key": KEY}}]
    link = Told({"compute GET /os-keypairs/ada": pair()})
    assert opened(KeyPairs, link).add_key("ada", KEY).name == "ada"
    assert not link.said("compute POST .*")
    with pytest.raises(Exists, match="another key"):
        opened(KeyPairs, link).add_key("ada", OTHER)
    with pytest.raises(Invalid, match="OpenSSH"):
        opened(KeyPairs, link).add_key("ada", "this is no key")


def test_somebody_who_adds_the_same_key_at_the_same_time_is_no_harm() -> None:
    taken = refused(409, '{"conflictingRequest": {"message": "Key pair ada already exists."}}', "compute")
    rows = {"compute GET /os-keypairs/ada": [neutron("NotFound", 404), pair()], "compute POST /os-keypairs": taken}
    assert opened(KeyPairs, Told(rows)).add_key("ada", KEY).name == "ada"


def test_a_key_that_is_gone_is_deleted() -> None:
    opened(KeyPairs, Told({})).delete_key("ada")


def test_the_pair_of_a_new_vm_is_the_person_s_or_ours() -> None:
    link = Told({"compute GET /os-keypairs/ada": pair(), "compute POST /os-keypairs": lambda body, _query: body})
    cloud = opened(KeyPairs, link)
    assert cloud.key_pair("R1", (KEY, OTHER), "ada") == ("ada", (OTHER,))
    name, rest = cloud.key_pair("R1", (OTHER,), "grace@lab.x")
    assert (name[:19], rest) == ("cms-grace-lab-x-e32", ())
    assert cloud.key_pair("R1", (), "ada") == ("ada", ())
    assert cloud.key_pair("R1", (), "") == ("", ())
    with pytest.raises(NotFound, match="no key pair 'nope'"):
        cloud.key_pair("R1", (), "nope")


def floating(token: str, port: str | None = None) -> dict[str, Any]:
    return {"id": f"f-{token}", "floating_ip_address": "203.0.113.9", "port_id": port,
            "description": marks.description(token, OWNER) if token else ""}  # fmt: skip


def volume(token: str, vm: str = "") -> dict[str, Any]:
    held = [{"server_id": vm, "device": "/dev/vdb"}] if vm else []
    return {"id": f"v-{token}", "name": "data", "status": "available", "size": 2, "attachments": held,
            "metadata": {"cms:token": token}, "created_at": "2026-11-30T12:00:00"}  # fmt: skip


def test_what_carries_an_unknown_token_and_hangs_on_nothing_is_left() -> None:
    group = {"id": "g1", "name": "web", "description": marks.description("x4", OWNER)}
    snapshot = {"id": "n1", "name": "monday", "status": "available", "size": 1, "metadata": {"cms:token": "x5"}}
    link = Told(states(
        image(cms_vm="gone", cms_token="x6"), image("known"),
        **{
            "network GET /floatingips": {"floatingips": [
                floating("x1"), floating("x2", "port"), floating("t1"), floating(""), floating("t2.7")
            ]},
            "network GET /security-groups": {"security_groups": [group, {**group, "id": "g2"}]},
            "network GET /ports": {"ports": [
                {"device_id": "s1", "device_owner": "compute:nova", "security_groups": ["g2"]}
            ]},
            "volume GET /volumes/detail": {"volumes": [volume("x3"), volume("x7", "s1"), volume("t1")]},
            "volume GET /snapshots/detail": {"snapshots": [snapshot]},
            "compute GET /os-server-groups": {"server_groups": [
                {"id": "sg1", "name": "cms-spread-x8", "members": []}, {"id": "sg2", "name": "other", "members": []},
                {"id": "sg3", "name": "cms-spread-x9", "members": ["s1"]},
            ]},
        },
    ))  # fmt: skip
    found = {(each.kind, each.token) for each in opened(Sweeping, link).leftovers(frozenset(("t1", "t2.1")))}
    assert found == {("address", "x1"), ("volume", "x3"), ("security group", "x4"), ("volume snapshot", "x5"),
                     ("snapshot", "x6"), ("server group", "x8")}  # fmt: skip
    (disk,) = [each for each in opened(Sweeping, link).leftovers(frozenset(("t1",))) if each.kind == "volume"]
    assert (disk.id, disk.size, disk.age is not None) == ("R1/v-x3", 2 << 30, True)


def test_what_is_left_is_removed_unless_it_is_in_use_by_now() -> None:
    link = Told({"volume GET /volumes/v1": {"volume": volume("x")}, "volume DELETE /volumes/v1": {}})
    opened(Sweeping, link).clean(Leftover(kind="volume", id="R1/v1"))
    assert len(link.said("volume DELETE .*")) == 1
    opened(Sweeping, link).clean(Leftover(kind="address", id="R1/gone"))
    used = Told({"network GET /floatingips/f1": {"floatingip": floating("x", "port")}})
    with pytest.raises(Conflict, match="in use by now"):
        opened(Sweeping, used).clean(Leftover(kind="address", id="R1/f1", name="203.0.113.9"))
    link = Told(states(image(), **{"image DELETE /images/i-before": {}}))
    opened(Sweeping, link).clean(Leftover(kind="snapshot", id="R1/i-before"))
    assert len(link.said("image DELETE .*")) == 1
    with pytest.raises(Invalid, match="leaves no castle"):
        opened(Sweeping, link).clean(Leftover(kind="castle", id="R1/x"))
