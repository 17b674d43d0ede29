"""`POST /servers`: what is asked for one VM and for many, disks, names, networks and ports."""

from __future__ import annotations

import os
from base64 import b64decode
from typing import Any

import pytest

from cloudms.clouds.firstboot import FirstBoot
from cloudms.clouds.openstack import networks, order
from cloudms.clouds.openstack.order import Order
from cloudms.clouds.openstack.settings import Settings
from cloudms.clouds.openstack.signin import Login
from cloudms.errors import Invalid, NotFound
from cloudms.model import Flavor, VmSpec

IMAGE = {"id": "i1", "name": "debian-12", "min_disk": 2, "size": 1 << 29}
SMALL = Flavor(name="m1.small", id="f1", vcpus=1, memory_mib=2048, disk_gib=20)


def spec(number: int = 0, **more: Any) -> VmSpec:
    """Return the request of one VM, or that of one of a batch."""
    name, token = (f"web-{number}", f"abc.{number}") if number else ("web", "abc")
    return VmSpec(**{"name": name, "token": token, "image": "debian-12", "flavor": "m1.small", **more})


def ordered(*specs: VmSpec, settings: dict[str, Any] | None = None, **more: Any) -> Order:
    """Return an order."""
    values = {
        "specs": specs or (spec(),), "region": "R1", "image": IMAGE, "flavor": SMALL, "owner": "ada",
        "version": (2, 96), "settings": Settings(login=Login(auth={}), **(settings or {})),
        "first_boot": FirstBoot(text=""), **more,
    }  # fmt: skip
    return Order(**values)


def body(*specs: VmSpec, **more: Any) -> dict[str, Any]:
    """Return what is asked for."""
    found: dict[str, Any] = order.request(ordered(*specs, **more))["server"]
    return found


def test_one_vm_has_its_own_name_host_name_and_token() -> None:
    asked = body(
        spec(hostname="web.example.org", labels={"role": "web"}, group="g", expires=2e9), key_pair="k", zone="az1",
        groups=("sg1", "sg2"), networks=[{"uuid": "n1"}], login="debian",
        first_boot=FirstBoot(text="#!/bin/sh\n", timer=True),
    )  # fmt: skip
    assert b64decode(asked.pop("user_data")) == b"#!/bin/sh\n"
    assert asked == {
        "name": "web", "flavorRef": "f1", "imageRef": "i1", "networks": [{"uuid": "n1"}], "key_name": "k",
        "availability_zone": "az1", "security_groups": [{"name": "sg1"}, {"name": "sg2"}], "tags": ["cms:abc"],
        "hostname": "web", "metadata": {
            "cms:token": "abc", "cms:owner": "ada", "cms:group": "g", "cms:image": "debian-12", "cms:login": "debian",
            "cms:expires": "2000000000", "cms:timer": "yes", "role": "web",
        },
    }  # fmt: skip


def test_many_vms_are_one_request_with_one_set_of_metadata() -> None:
    asked = body(*(spec(number, hostname=f"web-{number}") for number in (1, 2, 3)))
    assert (asked["name"], asked["min_count"], asked["max_count"], asked["tags"]) == ("web", 3, 3, ["cms:abc"])
    assert "hostname" not in asked, "nova takes one for one VM only"
    assert asked["metadata"]["cms:token"] == "abc"
    assert (asked["metadata"]["cms:batch"], asked["metadata"]["cms:names"]) == ("3", "web-[1-3]")


def test_an_older_nova_is_asked_in_its_words() -> None:
    asked = body(spec(hostname="web"), version=(2, 1))
    assert not {"tags", "hostname", "networks"} & set(asked)
    assert body(spec(), version=(2, 37))["networks"] == "auto"


def test_a_large_script_is_compressed_and_one_that_stays_too_large_is_refused() -> None:
    text = "#!/bin/sh\n" + "echo a line that comes again\n" * 4000
    assert b64decode(body(first_boot=FirstBoot(text=text))["user_data"])[:2] == b"\x1f\x8b"
    with pytest.raises(Invalid):
        body(first_boot=FirstBoot(text=os.urandom(60_000).hex()))


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({}, None), ({"disk": 10}, None), ({"disk": 20}, None), ({"disk": 40}, 40),
        ({"settings": {"boot_from_volume": True}}, 20), ({"settings": {"boot_from_volume": True}, "disk": 30}, 30),
        ({"flavor": SMALL.with_(disk_gib=0)}, 2), ({"flavor": SMALL.with_(disk_gib=0), "disk": 8}, 8),
        ({"flavor": SMALL.with_(disk_gib=0), "on_volume": False}, None),
    ],
)  # fmt: skip
def test_the_root_disk_is_a_volume_when_the_flavors_does_not_do(more: dict[str, Any], size: int | None) -> None:
    asked = body(spec(disk_gib=more.pop("disk", 0)), **more)
    if size is None:
        assert asked["imageRef"] == "i1"
        assert "block_device_mapping_v2" not in asked
    else:
        (disk,) = asked["block_device_mapping_v2"]
        assert (disk["volume_size"], disk["uuid"], disk["delete_on_termination"]) == (size, "i1", True)
        assert "imageRef" not in asked


@pytest.mark.parametrize(
    "more",
    [
        {"disk": 1, "flavor": SMALL.with_(disk_gib=0)},
        {"disk": 99, "on_volume": False},
        {"flavor": SMALL.with_(disk_gib=1)},
    ],
)
def test_a_disk_that_cannot_be_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        body(spec(disk_gib=more.pop("disk", 0)), **more)


def test_storage_and_habits_of_the_settings() -> None:
    asked = body(settings={"boot_from_volume": True, "volume_type": "fast", "config_drive": True})
    assert (asked["config_drive"], asked["block_device_mapping_v2"][0]["volume_type"]) == (True, "fast")


def test_vms_that_are_spread_say_so_to_the_scheduler() -> None:
    request = order.request(ordered(spec(), server_group="g1", spread="s1"))
    assert request["os:scheduler_hints"] == {"group": "g1"}
    assert request["server"]["metadata"]["cms:spread"] == "s1"
    assert "os:scheduler_hints" not in order.request(ordered())


def net(name: str, project: str = "mine", **more: Any) -> dict[str, Any]:
    """Return a network as neutron describes it."""
    return {"id": f"id-{name}", "name": name, "project_id": project, "subnets": ["s"], "admin_state_up": True, **more}


OUTSIDE = net("public", "admin", **{"router:external": True})


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([OUTSIDE, net("private")], "id-private"), ([OUTSIDE], ""), ([], ""),
        ([net("private"), net("shared", "admin", shared=True)], "id-private"),
        ([net("shared", "admin", shared=True), OUTSIDE], "id-shared"),
        ([net("private"), net("off", admin_state_up=False), net("empty", subnets=[])], "id-private"),
        ([net("a"), net("b"), net("auto_allocated_network")], "id-auto_allocated_network"),
    ],
)  # fmt: skip
def test_the_only_network_that_can_be_meant_is_taken(rows: list[dict[str, Any]], found: str) -> None:
    assert networks.chosen(rows, "mine", "os") == found


def test_several_networks_are_named() -> None:
    with pytest.raises(Invalid, match="several networks: a, b"):
        networks.chosen([net("a"), net("b"), OUTSIDE], "mine", "os")


def test_a_network_is_named_by_name_or_id() -> None:
    rows = [net("a"), net("b"), {**net("b"), "id": "id-b2"}]
    assert networks.by_name(rows, "a", "R1") == networks.by_name(rows, "id-a", "R1") == "id-a"
    with pytest.raises(Invalid, match="2 networks are called 'b'"):
        networks.by_name(rows, "b", "R1")
    with pytest.raises(NotFound, match="no network 'privat'"):
        networks.by_name(rows, "privat", "R1")
