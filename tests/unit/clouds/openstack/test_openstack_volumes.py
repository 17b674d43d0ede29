"""Volumes and their snapshots: made once, told from root disks, waited for, and refused where they cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, Told, neutron, opened, refused, server

from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.keeping import Keeping
from cloudms.clouds.openstack.volumes import Storing, held, is_root
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Vm, Volume, VolumeSnapshot

VM = Vm(name="web", id="s1", token="t1", region="R1", owner=OWNER)
DATA = Volume(name="data", id="v1", region="R1")


def row(status: str = "available", vm: str = "", **more: Any) -> dict[str, Any]:
    at = [{"server_id": vm, "device": "/dev/vdb"}] if vm else []
    return {
        "id": "v1", "name": "data", "status": status, "size": 1, "bootable": "false", "attachments": at,
        "metadata": marks.metadata("k1", OWNER, {"use": "test"}), "created_at": "2026-11-30T12:00:00.000000", **more,
    }  # fmt: skip


def volumes(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"volume GET /volumes/detail": {"volumes": list(rows)}, "compute GET /servers/s1": {"server": server()}}


def one(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"volume GET /volumes/v1": [{"volume": each} for each in rows], **volumes(*rows[-1:]), **more}


def test_volumes_are_listed_with_their_vm_and_root_disks_are_not() -> None:
    root = row("in-use", "s1", id="v2", bootable="true", attachments=[{"server_id": "s1", "device": "/dev/vda"}])
    going = row("deleting", id="v3")
    (found,) = opened(Storing, Told(volumes(row("in-use", "s1"), root, going))).list_volumes()
    assert (found.name, found.vm, found.device, found.state, found.size_gib) == (
        "data",
        "web",
        "/dev/vdb",
        "attached",
        1,
    )
    assert (found.token, found.owner, dict(found.labels)) == ("k1", OWNER, {"use": "test"})


@pytest.mark.parametrize(
    ("device", "bootable", "root"),
    [("/dev/vda", "true", True), ("/dev/sda", "true", True), ("/dev/xvda1", "true", True), ("/dev/vdb", "true", False),
     ("/dev/vda", "false", False), ("", "true", False)],
)  # fmt: skip
def test_the_disk_that_a_vm_starts_from(device: str, bootable: str, root: bool) -> None:
    assert is_root({"bootable": bootable, "attachments": [{"server_id": "s", "device": device}]}) is root


@pytest.mark.parametrize("odd", [{}, {"attachments": None}, {"attachments": [{}]}])
def test_a_volume_of_which_little_is_told(odd: dict[str, Any]) -> None:
    assert held(odd) == []


def test_a_volume_is_made_with_our_mark_and_only_once() -> None:
    link = Told({"volume GET /volumes/detail": {"volumes": []}, "volume POST /volumes": {"volume": row("creating")}})
    made = opened(Storing, link).create_volume("data", 1, "k1", {"use": "test"})
    assert (made.id, made.state) == ("v1", "creating")
    assert link.said("volume POST /volumes") == [{"volume": {
        "name": "data", "size": 1, "metadata": {"cms:token": "k1", "cms:owner": OWNER, "use": "test"},
    }}]  # fmt: skip
    assert link.queries("volume GET /volumes/detail")[0]["metadata"] == [json.dumps({"cms:token": "k1"})]
    link = Told(volumes(row()))
    assert opened(Storing, link).create_volume("data", 1, "k1", {}).id == "v1"
    assert not link.said("volume POST .*")


def test_a_volume_whose_answer_was_lost_is_found_again() -> None:
    lists = [{"volumes": []}, {"volumes": []}, {"volumes": [row()]}]
    lost = NotReady("gone", details={"status": 0})
    link = Told({"volume GET /volumes/detail": lists, "volume POST /volumes": lost})
    assert opened(Storing, link).create_volume("data", 1, "k1", {}).id == "v1"


def test_a_name_is_taken_and_a_zone_is_known() -> None:
    zones = {"availabilityZoneInfo": [{"zoneName": "nova"}]}
    rows = {**volumes(row()), "volume GET /os-availability-zone": zones, "volume POST /volumes": {"volume": row()}}
    cloud = opened(Storing, Told(rows))
    with pytest.raises(Exists, match="already has"):
        cloud.create_volume("data", 1, "other", {})
    with pytest.raises(NotFound, match="zone 'moon'"):
        cloud.create_volume("more", 1, "other", {}, "R1/moon")
    with pytest.raises(NotFound, match="region"):
        cloud.create_volume("more", 1, "other", {}, "R9")
    with pytest.raises(Invalid, match="at least 1 GiB"):
        cloud.create_volume("more", 0, "other", {})
    link = Told(rows, volume_type="fast")
    opened(Storing, link).create_volume("more", 1, "other", {}, "R1/nova")
    (body,) = link.said("volume POST /volumes")
    assert (body["volume"]["availability_zone"], body["volume"]["volume_type"]) == ("nova", "fast")


def test_attaching_waits_for_the_volume_and_says_where_it_is() -> None:
    told = one(row("creating"), row(), row("attaching"), row("in-use", "s1"))
    link = Told({**told, "compute POST /servers/s1/os-volume_attachments": {"volumeAttachment": {}}})
    seen = opened(Storing, link).attach_volume(DATA, VM)
    assert (seen.vm, seen.device, seen.state) == ("web", "/dev/vdb", "attached")
    assert link.said("compute POST .*") == [{"volumeAttachment": {"volumeId": "v1"}}]


def test_attaching_again_asks_for_nothing_and_elsewhere_is_refused() -> None:
    link = Told(one(row("in-use", "s1")))
    assert opened(Storing, link).attach_volume(DATA, VM).device == "/dev/vdb"
    assert not link.said("compute POST .*")
    with pytest.raises(Conflict, match="elsewhere"):
        opened(Storing, Told(one(row("in-use", "s2")))).attach_volume(DATA, VM)
    with pytest.raises(NotReady, match="is error") as caught:
        opened(Storing, Told(one(row("error")))).attach_volume(DATA, VM)
    assert caught.value.details["retry"] is False


def test_detaching_waits_until_the_volume_is_free() -> None:
    link = Told(one(row("in-use", "s1"), row("detaching", "s1"), row(), **{"compute DELETE .*": {}}))
    assert opened(Storing, link).detach_volume(DATA).state == "available"
    (said,) = [said for said, *_rest in link.asked if "DELETE" in said]
    assert said == "compute DELETE /servers/s1/os-volume_attachments/v1"
    link = Told(one(row()))
    assert opened(Storing, link).detach_volume(DATA).vm == ""
    stuck = one(row("in-use", "s1"), **{"compute DELETE .*": {}})
    with pytest.raises(Exception, match="let go") as caught:
        opened(Storing, Told(stuck)).detach_volume(DATA)
    assert caught.value.code == "timeout"  # type: ignore[attr-defined]


def test_a_vm_that_is_at_something_else_is_asked_again_later() -> None:
    busy = refused(409, '{"conflictingRequest": {"message": "while it is in task_state image_uploading"}}', "compute")
    with pytest.raises(NotReady, match="image_uploading"):
        opened(Storing, Told(one(row("in-use", "s1"), **{"compute DELETE .*": busy}))).detach_volume(DATA)
    with pytest.raises(NotReady, match="image_uploading"):
        opened(Storing, Told(one(row(), **{"compute POST .*": busy}))).attach_volume(DATA, VM)


def test_an_attachment_whose_answer_was_lost_is_waited_for() -> None:
    lost = NotReady("gone", details={"status": 0})
    told = one(row(), row("reserved"), row("in-use", "s1"), **{"compute POST .*": lost})
    assert opened(Storing, Told(told)).attach_volume(DATA, VM).device == "/dev/vdb"
    with pytest.raises(NotReady, match="gone"):
        opened(Storing, Told(one(row(), **{"compute POST .*": lost}))).attach_volume(DATA, VM)


def test_deleting() -> None:
    link = Told(one(row(), **{"volume DELETE /volumes/v1": {}}))
    opened(Storing, link).delete_volume(DATA)
    assert len(link.said("volume DELETE /volumes/v1")) == 1
    opened(Storing, Told({})).delete_volume(DATA)
    with pytest.raises(Conflict, match="attached"):
        opened(Storing, Told(one(row("in-use", "s1")))).delete_volume(DATA)
    error = refused(400, '{"badRequest": {"message": "Invalid volume: has dependent snapshots"}}', "volume")
    with pytest.raises(Conflict, match="has snapshots"):
        opened(Storing, Told(one(row(), **{"volume DELETE /volumes/v1": error}))).delete_volume(DATA)


def test_growing() -> None:
    link = Told(one(row(), row("extending"), row(size=3), **{"volume POST /volumes/v1/action": {}}))
    assert opened(Storing, link).resize_volume(DATA, 3).size_gib == 3
    assert link.said("volume POST .*") == [{"os-extend": {"new_size": 3}}]
    assert opened(Storing, Told(one(row(size=3)))).resize_volume(DATA, 3).size_gib == 3
    with pytest.raises(Invalid, match="cannot shrink"):
        opened(Storing, Told(one(row(size=3)))).resize_volume(DATA, 2)
    with pytest.raises(Invalid, match="storage refused"):
        broken = one(row(), row("error_extending"), **{"volume POST /volumes/v1/action": {}})
        opened(Storing, Told(broken)).resize_volume(DATA, 2)


def test_growing_while_attached_needs_a_newer_cinder() -> None:
    rows = one(row("in-use", "s1"), row("in-use", "s1", size=2), **{"volume POST /volumes/v1/action": {}})
    assert opened(Storing, Told(dict(rows))).resize_volume(DATA, 2).vm == "web"
    old = Told(one(row("in-use", "s1")))
    old.versions["volume"] = (3, 41)
    with pytest.raises(NotReady, match="is attached") as caught:
        opened(Storing, old).resize_volume(DATA, 2)
    assert caught.value.details["retry"] is False


def test_labels_are_replaced_and_our_mark_stays() -> None:
    link = Told(one(row(metadata={**row()["metadata"], "cms:label:x:2Fy": "1", "readonly": "False"}),
                    **{"volume PUT /volumes/v1/metadata": {}}))  # fmt: skip
    assert opened(Storing, link).tag_volume(DATA.with_(labels={"a/b": "c"})).labels == {"a/b": "c"}
    assert link.said("volume PUT .*") == [{"metadata": {"cms:token": "k1", "cms:owner": OWNER, "cms:label:a:2Fb": "c"}}]
    with pytest.raises(NotFound):
        opened(Storing, Told(one(row("deleting")))).tag_volume(DATA)


KEPT = {"id": "n1", "name": "monday", "volume_id": "v1", "status": "available", "size": 1,
        "metadata": {"cms:token": "k2", "cms:owner": OWNER, "cms:volume": "data"}}  # fmt: skip
MONDAY = VolumeSnapshot(name="monday", id="n1", region="R1")


def kept(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"volume GET /snapshots/detail": {"snapshots": list(rows)}, **one(row()), **more}


def test_snapshots_are_listed_without_the_disks_of_images() -> None:
    disk = {**KEPT, "id": "n2", "metadata": {}}
    image = {"id": "i1", "status": "active", "block_device_mapping": '[{"snapshot_id": "n2"}]'}
    orphan = {**KEPT, "id": "n3", "volume_id": "gone"}
    link = Told(kept(KEPT, disk, orphan, **{"image GET /images": {"images": [image]}}))
    first, other = opened(Keeping, link).list_volume_snapshots()
    assert (first.name, first.volume, first.token, first.owner, first.state) == (
        "monday",
        "data",
        "k2",
        OWNER,
        "available",
    )
    assert (other.id, other.volume) == ("n3", "data")


def test_a_snapshot_is_made_once_also_of_a_volume_in_use() -> None:
    link = Told(kept(**{"volume POST /snapshots": {"snapshot": {**KEPT, "status": "creating"}}}))
    made = opened(Keeping, link).create_volume_snapshot(DATA, "monday", "k2")
    assert (made.name, made.volume, made.token, made.state) == ("monday", "data", "k2", "creating")
    (body,) = link.said("volume POST /snapshots")
    assert body["snapshot"] == {"volume_id": "v1", "name": "monday", "force": True, "metadata": KEPT["metadata"]}
    link = Told(kept(KEPT))
    assert opened(Keeping, link).create_volume_snapshot(DATA, "monday", "k2").id == "n1"
    assert not link.said("volume POST .*")
    with pytest.raises(Exists, match="already has a snapshot"):
        opened(Keeping, Told(kept(KEPT))).create_volume_snapshot(DATA, "monday", "other")


def test_forgetting_a_snapshot() -> None:
    looks = [{"snapshot": KEPT}, {"snapshot": {**KEPT, "status": "deleting"}}, neutron("NotFound", 404)]
    link = Told(kept(**{"volume GET /snapshots/n1": looks, "volume DELETE /snapshots/n1": {}}))
    opened(Keeping, link).delete_volume_snapshot(MONDAY)
    assert len(link.said("volume DELETE /snapshots/n1")) == 1
    opened(Keeping, Told(kept())).delete_volume_snapshot(MONDAY)
    busy = kept(**{"volume GET /snapshots/n1": {"snapshot": KEPT}, "volume DELETE /snapshots/n1": {}})
    with pytest.raises(Conflict, match="volumes stand on it"):
        opened(Keeping, Told(busy)).delete_volume_snapshot(MONDAY)


def test_a_volume_of_a_snapshot() -> None:
    fresh = row("creating", id="v9", name="again")
    rows = {"volume GET /snapshots/n1": [{"snapshot": {**KEPT, "status": "creating"}}, {"snapshot": KEPT}],
            "volume GET /volumes/detail": {"volumes": []}, "volume POST /volumes": {"volume": fresh}}  # fmt: skip
    link = Told(rows)
    assert opened(Keeping, link).restore_volume(MONDAY, "again", "k9", {"a": "b"}).id == "v9"
    (body,) = link.said("volume POST /volumes")
    assert (body["volume"]["snapshot_id"], body["volume"]["name"], "size" in body["volume"]) == ("n1", "again", False)
    with pytest.raises(Unsupported, match="in R1"):
        opened(Keeping, Told(rows)).restore_volume(MONDAY, "again", "k9", {}, "R2")
    with pytest.raises(NotFound, match="no snapshot"):
        opened(Keeping, Told({})).restore_volume(MONDAY, "again", "k9", {})
    with pytest.raises(NotReady, match="is error"):
        broken = {"volume GET /snapshots/n1": {"snapshot": {**KEPT, "status": "error"}}}
        opened(Keeping, Told(broken)).restore_volume(MONDAY, "again", "k9", {})
