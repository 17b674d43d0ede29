"""What is done to a VM: each action in the state that needs it, success when there is nothing to do, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, TOKEN, Told, refused, server

from cloudms.clouds.base import Lease, Metrics, Power
from cloudms.clouds.openstack.driver import OpenStackCloud
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Origin, Vm, VmState

VM = Vm(name="web", id="s1", token=TOKEN)
ACT, GET = "compute POST /servers/s1/action", "compute GET /servers/s1"
FLAVORS = {
    "flavors": [
        {"id": "f1", "name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1},
        {"id": "f2", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20},
    ]
}
S = VmState


def opened(row: dict[str, Any] | None = None, **table: Any) -> tuple[OpenStackCloud, Told]:
    """Return a cloud with one server, and the way to it."""
    told = {GET: {"server": row or server()}, ACT: {}, "compute GET /flavors/detail": FLAVORS}
    told["image GET /images"] = {"images": []}
    link = Told({**told, **{key.replace("_", " ", 2): value for key, value in table.items()}})
    cloud = OpenStackCloud(link.setup)
    cloud.link = link
    return cloud, link


def at(status: str, task: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a server in a state."""
    return server(status=status, **{"OS-EXT-STS:task_state": task, **more})


@pytest.mark.parametrize(
    ("call", "row", "action", "state"),
    [
        ("start_vm", at("SHUTOFF"), {"os-start": None}, S.PENDING),
        ("start_vm", at("SUSPENDED"), {"resume": None}, S.PENDING),
        ("start_vm", at("PAUSED"), {"unpause": None}, S.PENDING),
        ("start_vm", at("SHELVED_OFFLOADED"), {"unshelve": None}, S.PENDING),
        ("start_vm", at("ERROR"), {"reboot": {"type": "HARD"}}, S.ERROR),
        ("start_vm", at("ACTIVE"), None, S.RUNNING),
        ("stop_vm", at("ACTIVE"), {"os-stop": None}, S.STOPPING),
        ("stop_vm", at("SHUTOFF"), None, S.STOPPED),
        ("stop_vm", at("ACTIVE", "powering-off"), None, S.STOPPING),
        ("stop_vm", at("SUSPENDED"), None, S.SAVED),
        ("reboot_vm", at("ACTIVE"), {"reboot": {"type": "SOFT"}}, S.REBOOTING),
        ("suspend_vm", at("ACTIVE"), {"suspend": None}, S.SUSPENDING),
        ("suspend_vm", at("SUSPENDED"), None, S.SAVED),
        ("save_vm", at("ACTIVE"), {"suspend": None}, S.SUSPENDING),
        ("resume_vm", at("SUSPENDED"), {"resume": None}, S.PENDING),
        ("resume_vm", at("ACTIVE"), None, S.RUNNING),
        ("deallocate_vm", at("ACTIVE"), {"shelve": None}, S.STOPPING),
        ("deallocate_vm", at("SHUTOFF"), {"shelve": None}, S.STOPPING),
        ("deallocate_vm", at("SHELVED"), {"shelveOffload": None}, S.STOPPING),
        ("deallocate_vm", at("SHELVED_OFFLOADED"), None, S.DEALLOCATED),
    ],
)
def test_every_action_goes_where_it_is_wanted(
    call: str, row: dict[str, Any], action: dict[str, Any] | None, state: VmState
) -> None:
    cloud, link = opened(row)
    assert getattr(cloud, call)(VM).state is state
    assert link.said(ACT) == ([action] if action else [])


@pytest.mark.parametrize(
    ("call", "row"),
    [
        ("reboot_vm", at("SHUTOFF")), ("suspend_vm", at("SHUTOFF")), ("resume_vm", at("SHUTOFF")),
        ("stop_vm", at("BUILD")), ("start_vm", at("VERIFY_RESIZE")), ("deallocate_vm", at("BUILD")),
    ],
)  # fmt: skip
def test_what_cannot_be_now_says_in_which_state_it_is(call: str, row: dict[str, Any]) -> None:
    cloud, link = opened(row)
    with pytest.raises(NotReady) as refusal:
        getattr(cloud, call)(VM)
    assert refusal.value.details["state"] == str(cloud.get_vm(VM).state)
    assert not link.said(ACT)


def test_what_somebody_else_has_just_done_is_success() -> None:
    cloud, link = opened()
    link.table[GET] = [{"server": at("ACTIVE")}, {"server": at("SHUTOFF")}]
    link.table[ACT] = refused(409, '{"conflictingRequest": {"message": "while it is in vm_state stopped"}}', "compute")
    assert cloud.stop_vm(VM).state is S.STOPPED


def test_what_nova_is_at_is_told_and_may_be_tried_again() -> None:
    cloud, link = opened()
    link.table[GET] = [{"server": at("ACTIVE")}, {"server": at("ACTIVE", "image_snapshot")}]
    link.table[ACT] = refused(409, '{"conflictingRequest": {"message": "in task_state image_snapshot"}}', "compute")
    with pytest.raises(NotReady, match="image_snapshot: cannot stop") as refusal:
        cloud.stop_vm(VM)
    assert "state" not in refusal.value.details


def test_a_locked_vm_is_told_with_what_unlocks_it() -> None:
    cloud, link = opened(at("ACTIVE", locked=True))
    link.table[ACT] = refused(409, '{"conflictingRequest": {"message": "Instance s1 is locked"}}', "compute")
    with pytest.raises(Conflict) as refusal:
        cloud.stop_vm(VM)
    assert refusal.value.hint == "openstack server unlock s1"
    assert "locked" in cloud.supports(Power, cloud.get_vm(VM))
    assert cloud.supports(Power) == ""


def test_a_resize_is_confirmed_once_and_shown_as_under_way_until_nova_says_so() -> None:
    cloud, link = opened(**{"compute_POST_/servers/s1/metadata": {}})
    assert cloud.resize_vm(VM, "m1.small").state is S.RESIZING
    assert link.said(ACT) == [{"resize": {"flavorRef": "f2"}}]
    assert link.said("compute POST /servers/s1/metadata") == [{"metadata": {"cms:resized-from": "m1.tiny"}}]
    waits = at("VERIFY_RESIZE", flavor={"original_name": "m1.small", "disk": 20})
    waits["metadata"]["cms:resized-from"] = "m1.tiny"
    link.table[GET] = {"server": waits}
    assert (cloud.get_vm(VM).state, cloud.get_vm(VM).resized_from) == (S.AWAITING_CONFIRM, "m1.tiny")
    assert cloud.confirm_vm(VM).state is S.RESIZING
    assert cloud.confirm_vm(VM).state is S.RESIZING
    assert link.said(ACT)[1:] == [{"confirmResize": None}]
    link.table[GET] = {"server": at("ACTIVE")}
    assert cloud.confirm_vm(VM).state is S.RUNNING
    link.table[GET] = {"server": waits}
    assert cloud.get_vm(VM).state is S.AWAITING_CONFIRM


def test_a_resize_that_nova_has_confirmed_already_is_confirmed() -> None:
    cloud, link = opened(at("VERIFY_RESIZE"))
    said = '{"conflictingRequest": {"message": "Cannot \'confirmResize\' instance s1 while it is in vm_state active"}}'
    link.table[ACT] = refused(409, said, "compute")
    with pytest.raises(Conflict):
        cloud.confirm_vm(VM)
    link.table[GET] = [{"server": at("VERIFY_RESIZE")}, {"server": at("ACTIVE")}]
    assert cloud.confirm_vm(VM).state is S.RUNNING


def test_a_resize_is_reverted_once() -> None:
    cloud, link = opened(at("VERIFY_RESIZE"))
    assert cloud.revert_vm(VM).state is S.RESIZING
    assert link.said(ACT) == [{"revertResize": None}]
    back = at("ACTIVE")
    back["metadata"]["cms:resized-from"] = "m1.tiny"
    link.table[GET] = {"server": back}
    assert cloud.revert_vm(VM).flavor == "m1.tiny"
    link.table[GET] = {"server": at("ACTIVE")}
    with pytest.raises(NotReady, match="no resize waits"):
        cloud.revert_vm(VM)
    link.table[GET] = {"server": at("RESIZE", "resize_migrating")}
    for call in (cloud.revert_vm, cloud.confirm_vm):
        with pytest.raises(NotReady, match="still being resized"):
            call(VM)


def test_a_disk_does_not_shrink() -> None:
    cloud, link = opened(at("ACTIVE", flavor={"original_name": "m1.small", "disk": 20}))
    with pytest.raises(Invalid, match="a disk of 1 GiB, and the VM one of 20"):
        cloud.resize_vm(VM, "m1.tiny")
    with pytest.raises(NotFound):
        cloud.resize_vm(VM, "m9.none")
    assert not link.said(ACT)


def test_a_rebuild_tells_the_new_image_in_the_same_request() -> None:
    cloud, link = opened(
        **{"image_GET_/images": {"images": [{"id": "i2", "name": "ubuntu-24.04", "status": "active"}]}}
    )
    vm = cloud.rebuild_vm(VM, "ubuntu-24.04")
    assert (vm.state, vm.image) == (S.REBUILDING, "ubuntu-24.04")
    (asked,) = link.said(ACT)
    assert asked["rebuild"]["imageRef"] == "i2"
    assert asked["rebuild"]["metadata"] == {
        "cms:token": TOKEN, "cms:owner": OWNER, "cms:image": "ubuntu-24.04", "cms:login": "ubuntu",
    }  # fmt: skip
    link.table[GET] = {"server": at("ACTIVE", image="")}
    link.versions["compute"] = (2, 90)
    with pytest.raises(Unsupported, match="is a volume"):
        cloud.rebuild_vm(VM, "ubuntu-24.04")


def test_labels_are_replaced_as_a_whole_and_ours_stay() -> None:
    row = server()
    row["metadata"] |= {"a": "1", "b": "2", "cms:expires": "5", "cms:login": "debian"}
    cloud, link = opened(row, **{"compute_PUT_/servers/s1/metadata": {}})
    seen = cloud.tag_vm(VM.with_(labels={"a": "9"}, group="g"))
    assert (dict(seen.labels), seen.group, seen.expires, seen.login) == ({"a": "9"}, "g", None, "debian")
    assert link.said("compute PUT /servers/s1/metadata") == [
        {"metadata": {"cms:token": TOKEN, "cms:owner": OWNER, "cms:login": "debian", "a": "9", "cms:group": "g"}}
    ]


def test_metadata_of_a_shelved_vm_cannot_change_and_that_is_said() -> None:
    cloud, _link = opened(
        at("SHELVED_OFFLOADED"), **{"compute_POST_/servers/s1/metadata": refused(409, "no", "compute")}
    )
    with pytest.raises(NotReady, match="is deallocated: nova keeps no metadata"):
        cloud.tag_vm(VM.with_(labels={"a": "9"}))


def test_a_lease_is_renewed_where_there_is_a_timer() -> None:
    cloud, link = opened(**{"compute_POST_/servers/s1/metadata": {}})
    with pytest.raises(Unsupported, match="without a timer"):
        cloud.renew_vm(VM.with_(expires=9.0))
    row = server()
    row["metadata"]["cms:timer"] = "yes"
    link.table[GET] = {"server": row}
    assert cloud.renew_vm(VM.with_(expires=9.5)).expires == 9.0
    assert cloud.renew_vm(VM.with_(expires=None)).expires is None
    sent = [body["metadata"]["cms:expires"] for body in link.said("compute POST /servers/s1/metadata")]
    assert sent == ["9", "never"]


def test_adoption_puts_token_and_owner_on_it_and_makes_it_found_by_its_tag() -> None:
    cloud, link = opened(
        server(metadata={"tier": "1"}, tags=["theirs"]),
        **{"compute_POST_/servers/s1/metadata": {}, "compute_PUT_/servers/s1/tags/cms%3Anew": {}},
    )
    seen = cloud.adopt_vm(VM.with_(token="new", owner=OWNER))
    assert (seen.origin, seen.token, dict(seen.labels)) == (Origin.ADOPTED, "new", {"tier": "1"})
    assert link.said("compute PUT .*") == [None]
    assert cloud.supports(Lease, seen.with_(origin=Origin.FOREIGN)).startswith("it was made elsewhere")


def test_a_name_of_another_vm_of_the_owner_is_taken() -> None:
    cloud, link = opened(**{"compute_PUT_/servers/s1": {"server": {"name": "db"}}})
    link.table["compute GET /servers/detail"] = {"servers": [server("s2", "db", "t2")]}
    with pytest.raises(Exists):
        cloud.rename_vm(VM, "db")
    link.table["compute GET /servers/detail"] = {"servers": []}
    assert cloud.rename_vm(VM, "db").name == "db"
    assert link.said("compute PUT /servers/s1") == [{"server": {"name": "db"}}]


def test_the_console_tells_the_last_of_it() -> None:
    cloud, link = opened()
    link.table[ACT] = {"output": "ä" * 70_000}
    assert cloud.console_log(VM) == "ä" * 32_768
    link.table[ACT] = refused(409, "", "compute")
    assert cloud.console_log(VM) == ""


def test_use_is_told_where_nova_lets_one_look() -> None:
    told = {
        "cpu_details": [{"id": 0, "time": 2_000_000_000}, {"id": 1, "time": 500_000_000}],
        "memory_details": {"maximum": 512, "used": 100}, "nic_details": [{"rx_octets": 5, "tx_octets": 7}],
        "disk_details": [{"read_bytes": 1, "write_bytes": None}],
    }  # fmt: skip
    cloud, link = opened(**{"compute_GET_/servers/s1/diagnostics": told})
    assert cloud.metrics([VM, VM.with_(id="gone", token="x")]) == {
        TOKEN: {
            "cpu_seconds": 2.5, "memory_mib": 512.0, "memory_used_mib": 100.0, "disk_read_bytes": 1.0,
            "net_rx_bytes": 5.0, "net_tx_bytes": 7.0,
        }
    }  # fmt: skip
    assert cloud.supports(Metrics, VM) == ""
    link.table["compute GET /servers/s1/diagnostics"] = refused(403, "Policy doesn't allow it", "compute")
    with pytest.raises(Unsupported, match="to administrators only"):
        cloud.metrics([VM])
    assert "administrators" in cloud.supports(Metrics, VM)
    assert cloud.supports(Metrics) == ""


def test_only_what_is_ours_and_not_protected_is_deleted() -> None:
    cloud, link = opened(server(metadata={}), **{"compute_DELETE_/servers/s1": {}})
    with pytest.raises(Conflict, match="made elsewhere"):
        cloud.delete_vm(VM)
    row = server()
    row["metadata"]["cms:protected"] = "yes"
    link.table[GET] = {"server": row}
    with pytest.raises(Conflict, match="protected"):
        cloud.delete_vm(VM)
    assert not link.said("compute DELETE .*")
    link.table[GET] = {"server": server()}
    link.table["network GET /floatingips"] = {"floatingips": []}
    cloud.delete_vm(VM)
    assert link.said("compute DELETE .*") == [None]


def test_an_address_that_nova_has_not_heard_of_yet_goes_with_its_vm() -> None:
    cloud, link = opened(server(), **{"compute_DELETE_/servers/s1": {}})
    mine = f"[cms:token={TOKEN} cms:owner={OWNER}]"
    link.table["network GET /floatingips"] = {"floatingips": [{"id": "fip", "description": mine, "port_id": "p1"}]}
    link.table["network DELETE /floatingips/fip"] = {}
    cloud.delete_vm(VM)
    assert link.said("network DELETE /floatingips/fip") == [None]


def test_a_vm_that_is_gone_takes_what_it_left_with_it() -> None:
    cloud, link = opened()
    link.table[GET] = refused(404, "", "compute")
    link.table["network GET /floatingips"] = {
        "floatingips": [{"id": "fip", "description": f"[cms:token={TOKEN} cms:owner={OWNER}]", "port_id": None}]
    }
    link.table["network GET /security-groups"] = {"security_groups": [{"id": "sg", "name": f"cms-ports-{TOKEN}"}]}
    link.table["network DELETE /.*"] = {}
    cloud.delete_vm(VM)
    gone = {said for said, *_rest in link.asked if " DELETE " in said}
    assert gone == {"network DELETE /floatingips/fip", "network DELETE /security-groups/sg"}
