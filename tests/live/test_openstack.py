"""`cms` on a real OpenStack, as an ordinary member of a project: the life of a VM and of what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.openstack import lab as labs
from tests.live.openstack import lending
from tests.live.openstack.accounts import Account
from tests.live.openstack.cms import FLAVOR, Cms
from tests.live.openstack.lab import Lab
from tests.live.openstack.places import ONE, TWO

pytestmark = [pytest.mark.live, pytest.mark.services]

COSTLY = ("server", "port", "address", "volume", "snapshot")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Return the lab, which nobody breaks meanwhile."""
    missing = lending.missing()
    if missing:
        pytest.skip(missing)
    with labs.borrowed() as found, labs.calm():
        yield found


@pytest.fixture
def cms(lab: Lab, account: Account, tmp_path: Path) -> Iterator[Cms]:
    """Return the command with an account that is empty, also afterwards."""
    yield Cms(account, tmp_path)
    lab.empty(account)


def costly(lab: Lab, account: Account) -> list[str]:
    """Return what is left that costs money."""
    lab.settle(account)
    return [f"{thing['kind']} {thing.get('name') or thing['id']}" for thing in lab.things(account, *COSTLY)]


def server(lab: Lab, account: Account) -> dict[str, Any]:
    """Return the only VM, as nova tells it."""
    (found,) = lab.things(account, "server")
    return found


def test_three_vms_are_one_request_and_live_their_lives(cms: Cms, lab: Lab, account: Account) -> None:
    made = cms.boot("web", "--count", "3", "--label", "role=web")
    assert {row["state"] for row in made} == {"running"}
    names = [row["name"] for row in made]
    there = {row["id"]: row for row in lab.things(account, "server")}
    assert {row["id"]: row["name"] for row in made} == {ident: row["name"] for ident, row in there.items()}
    assert len({row["OS-EXT-SRV-ATTR:reservation_id"] for row in there.values()}) == 1
    assert all(row["private_ips"] for row in made)
    listed = cms.rows("vm", "list", "--label", "role=web", "--refresh")
    assert sorted(row["name"] for row in listed) == sorted(names)
    assert cms.row("vm", "stop", names[0])["state"] == "stopped"
    assert {row["status"] for row in lab.things(account, "server")} == {"ACTIVE", "SHUTOFF"}
    assert cms.row("vm", "start", names[0])["state"] == "running"
    assert cms.row("vm", "reboot", names[0])["state"] in ("running", "rebooting")
    assert f"{names[1]} has booted" in cms("vm", "console", names[1]).stdout
    cms("vm", "delete", *names, "--yes")
    assert cms.rows("vm", "list", "--refresh") == []
    assert costly(lab, account) == []
    assert cms.rows("sweep") == []


def test_memory_is_kept_and_the_place_is_given_back(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("web")
    assert cms.row("vm", "suspend", "web")["state"] in ("suspended", "saved")
    assert server(lab, account)["status"] == "SUSPENDED"
    assert cms.row("vm", "resume", "web")["state"] == "running"
    assert cms.row("vm", "deallocate", "web")["state"] == "deallocated"
    assert server(lab, account)["status"] == "SHELVED_OFFLOADED"
    assert cms.row("vm", "start", "web")["state"] == "running"
    assert server(lab, account)["status"] == "ACTIVE"


def test_a_resize_waits_to_be_confirmed_or_taken_back(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("web")
    resized = cms.row("vm", "resize", "web", "m1.small", "--no-confirm")
    assert (resized["state"], resized["flavor"]) == ("awaiting_confirm", "m1.small")
    assert resized["resized_from"] == FLAVOR
    assert server(lab, account)["status"] == "VERIFY_RESIZE"
    confirmed = cms.row("vm", "confirm", "web")
    assert (confirmed["state"], confirmed["flavor"]) == ("running", "m1.small")
    cms("vm", "resize", "web", FLAVOR, "--no-confirm")
    reverted = cms.row("vm", "revert", "web")
    assert (reverted["state"], reverted["flavor"]) == ("running", "m1.small")
    assert server(lab, account)["flavor"]["original_name"] == "m1.small"
    cms.fails(11, "vm", "revert", "web")
    assert cms.row("vm", "resize", "web", FLAVOR, "--confirm")["flavor"] == FLAVOR
    assert server(lab, account)["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vm", "boot", "--name", "other", "--flavor", "m1.tony"), "no flavor 'm1.tony'"),
        (("vm", "boot", "blonk", "--name", "other", "--flavor", FLAVOR), "no image 'blonk'"),
        (("vm", "boot", "--name", "other", "--region", "RegionTow"), "did you mean Region"),
        (("vm", "boot", "--name", "other", "--key", "nobodys"), "nobodys"),
        (("vm", "boot", "--name", "other", "--network", "nowhere"), "nowhere"),
    ],
)
def test_what_is_not_there_is_one_line_with_a_hint_and_leaves_nothing(
    cms: Cms, lab: Lab, account: Account, words: tuple[str, ...], said: str
) -> None:
    assert said in cms.fails(3, *words)
    assert cms.rows("vm", "list", "--refresh") == []
    assert costly(lab, account) == []


def test_a_vm_for_which_there_is_no_room_is_told_and_can_be_deleted(cms: Cms, lab: Lab, account: Account) -> None:
    said = cms("vm", "boot", "--name", "web", "--flavor", "m1.huge", code=2).stderr
    assert "No valid host" in said
    (listed,) = cms.rows("vm", "list", "--refresh")
    assert listed["state"] == "error"
    assert "No valid host" in listed["reason"]
    cms("vm", "delete", "web", "--yes")
    assert costly(lab, account) == []


def test_a_resize_for_which_there_is_no_room_is_told_and_changes_nothing(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("web")
    assert "no flavor 'm1.tony'" in cms.fails(3, "vm", "resize", "web", "m1.tony")
    assert "web" in cms.fails(7, "vm", "resize", "web", "m1.huge")
    (listed,) = cms.rows("vm", "list", "--refresh")
    assert (listed["state"], listed["flavor"], listed["resized_from"]) == ("running", FLAVOR, "")
    cms.fails(11, "vm", "revert", "web")


def test_quotas_are_told_and_a_boot_beyond_them_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    poor = lab.account(instances=2, volumes=1, floatingip=1)
    try:
        cms = Cms(poor, tmp_path)
        told = {row["name"]: row for row in cms.rows("quota", "list", "--refresh")}
        assert 2 in {row["limit"] for row in told.values()}
        assert cms.row("cloud", "check", "lab")["state"] == "ok"
        cms.boot("web")
        said = cms.fails(7, "vm", "boot", "--name", "more", "--count", "2", "--flavor", FLAVOR)
        assert "uota" in said
        assert [row["name"] for row in lab.things(poor, "server")] == ["web"]
        assert [row["name"] for row in cms.rows("vm", "list")] == ["web"]
        used = [row for row in cms.rows("quota", "list", "--refresh") if row["limit"] == 2]
        assert [row["used"] for row in used] == [1]
        cms("volume", "create", "one", "--size", "1")
        assert "uota" in cms.fails(7, "volume", "create", "two", "--size", "1")
        cms("vm", "ip", "set", "web")
        assert "uota" in cms.fails(7, "ip", "create")
    finally:
        lab.wipe(poor)


def test_it_gets_another_name_and_a_fresh_disk(cms: Cms, lab: Lab, account: Account) -> None:
    (made,) = cms.boot("web", "--label", "tier=front")
    assert cms.row("vm", "rename", "web", "www")["name"] == "www"
    assert server(lab, account)["name"] == "www"
    assert cms.row("vm", "rebuild", "www", "--yes")["state"] in ("running", "rebuilding")
    (listed,) = cms.rows("vm", "list", "--refresh")
    assert (listed["name"], listed["id"], listed["private_ips"]) == ("www", made["id"], made["private_ips"])
    cms("vm", "label", "www", "--set", "tier=back")
    assert server(lab, account)["metadata"]["tier"] == "back"
    assert [row["name"] for row in cms.rows("vm", "list", "--label", "tier=back", "--refresh")] == ["www"]


def test_a_floating_ip_comes_and_goes_with_its_vm(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("web")
    (address,) = cms.row("vm", "ip", "set", "web")["public_ips"]
    assert [row["name"] for row in lab.things(account, "address")] == [address]
    assert [(row["name"], row["vm"]) for row in cms.rows("ip", "list", "--refresh") if row["vm"]] == [(address, "web")]
    assert cms.row("vm", "ip", "remove", "web")["public_ips"] == []
    assert lab.things(account, "address") == []
    cms("vm", "ip", "set", "web")
    cms("vm", "delete", "web", "--yes")
    assert costly(lab, account) == []


def test_an_address_of_ones_own_stays_when_its_vm_goes(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("web")
    address = cms.row("ip", "create")["name"]
    cms("vm", "ip", "set", "web", address)
    cms("vm", "delete", "web", "--yes")
    assert costly(lab, account) == [f"address {address}"]
    cms("ip", "delete", address, "--yes")
    assert costly(lab, account) == []


def test_a_volume_comes_grows_is_kept_and_goes(cms: Cms, lab: Lab, account: Account) -> None:
    (vm,) = cms.boot("web")
    cms("volume", "create", "data", "--size", "1")
    assert cms.row("volume", "attach", "data", "web")["device"]
    (volume,) = lab.things(account, "volume")
    assert [mount["server_id"] for mount in volume["attachments"]] == [vm["id"]]
    cms.fails(11, "volume", "delete", "data", "--yes")
    assert cms.row("volume", "detach", "data")["vm"] == ""
    assert cms.row("volume", "resize", "data", "3")["size_gib"] == 3
    cms("volume", "snapshot", "create", "data", "--name", "before")
    assert [row["name"] for row in cms.rows("volume", "snapshot", "list", "--refresh")] == ["before"]
    assert cms.row("volume", "create", "again", "--snapshot", "before")["size_gib"] == 3
    cms("volume", "delete", "again", "--yes")
    cms("volume", "snapshot", "delete", "before", "--yes")
    cms("vm", "delete", "web", "--yes")
    assert [row["name"] for row in cms.rows("volume", "list", "--refresh")] == ["data"]
    cms("volume", "delete", "data", "--yes")
    assert costly(lab, account) == []


def test_security_groups_let_in_what_they_are_told_to(cms: Cms, lab: Lab, account: Account) -> None:
    cms("secgroup", "create", "front", "--description", "what everybody may see")
    cms("secgroup", "rule", "add", "front", "--port", "80,443", "--from", "10.0.0.0/8")
    cms.boot("web", "--secgroup", "front")
    assert "front" in {group["name"] for group in server(lab, account)["security_groups"]}
    (told,) = [row for row in cms.rows("secgroup", "list", "--refresh") if row["name"] == "front"]
    assert {rule["first"] for rule in told["rules"] if rule["direction"] == "ingress"} == {80, 443}
    cms.fails(11, "secgroup", "delete", "front", "--yes")
    cms("secgroup", "rule", "remove", "front", "--port", "80", "--from", "10.0.0.0/8")
    (there,) = [row for row in lab.things(account, "secgroup") if row["name"] == "front"]
    ports = {rule["port_range_min"] for rule in there["security_group_rules"] if rule["direction"] == "ingress"}
    assert ports == {443}
    cms("vm", "delete", "web", "--yes")
    lab.settle(account)
    cms("secgroup", "delete", "front", "--yes")
    assert "front" not in {row["name"] for row in lab.things(account, "secgroup")}


def test_a_vm_that_stands_on_a_volume_takes_it_along(lab: Lab, account: Account, tmp_path: Path) -> None:
    cms = Cms(account, tmp_path, {"boot_from_volume": True})
    try:
        (vm,) = cms.boot("web", "--disk", "2")
        (volume,) = lab.things(account, "volume")
        assert (volume["size"], volume["attachments"][0]["server_id"]) == (2, vm["id"])
        assert cms.rows("volume", "list", "--refresh") == []
        cms("vm", "delete", "web", "--yes")
        assert costly(lab, account) == []
    finally:
        lab.empty(account)


def test_keys_stand_on_the_cloud(cms: Cms, lab: Lab, account: Account, tmp_path: Path) -> None:
    public = tmp_path / "ada.pub"
    public.write_text(KEY)
    cms("key", "add", "ada", str(public), "--cloud", "lab")
    assert "ada" in {row["id"] for row in lab.things(account, "key")}
    assert "ada" in {row["name"] for row in cms.rows("key", "list", "--cloud", "lab", "--refresh")}
    cms.boot("web", "--key", "ada")
    cms("key", "delete", "ada", "--cloud", "lab", "--yes")
    assert "ada" not in {row["id"] for row in lab.things(account, "key")}


def test_what_others_made_is_listed_and_not_deleted(cms: Cms, lab: Lab, account: Account) -> None:
    cms.boot("mine")
    member = labs.session_of(account)
    mine = server(lab, account)
    network = member("GET", "neutron", f"networks?project_id={account.project}")["networks"][0]["id"]
    foreign = {
        "name": "theirs", "imageRef": mine["image"]["id"], "flavorRef": FLAVOR, "networks": [{"uuid": network}],
    }  # fmt: skip
    member("POST", "nova", "servers", {"server": foreign})
    lab.settle(account)
    assert {row["name"]: row["origin"] for row in cms.rows("vm", "list", "--refresh")} == {
        "mine": "own",
        "theirs": "foreign",
    }
    cms.fails(11, "vm", "delete", "theirs", "--yes")
    cms("sweep", "--apply", "--yes")
    assert len(lab.things(account, "server")) == 2
    assert cms.row("vm", "adopt", "theirs")["origin"] == "adopted"
    cms("vm", "delete", "mine", "theirs", "--yes")
    assert costly(lab, account) == []


def test_the_same_by_python(lab: Lab, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudms import Cms as House

    folder = Cms(account, tmp_path).folder
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(folder))
    try:
        with House(cloud="lab") as house:
            made = house.vm.boot(name="py", count=3, flavor=FLAVOR).result()
            assert {vm.state for vm in made} == {"running"}
            names = [vm.name for vm in made]
            assert [vm.state for vm in house.vm.stop(names[:1]).result()] == ["stopped"]
            assert [vm.flavor for vm in house.vm.resize(names[1], "m1.small", confirm=True).result()] == ["m1.small"]
            house.vm.delete(names).result()
            assert list(house.vm.list(refresh=True)) == []
        assert costly(lab, account) == []
    finally:
        lab.empty(account)


def test_what_a_vm_uses_is_told_to_those_who_may_see_it(lab: Lab, account: Account, tmp_path: Path) -> None:
    cms = Cms(account, tmp_path)
    cms.boot("web")
    try:
        said = cms.run("vm", "stats", "web")
        assert "administrators" in said.stderr
    finally:
        lab.empty(account)


def test_two_regions_are_listed_together_and_each_vm_is_found_in_its_own(lab: Lab, tmp_path: Path) -> None:
    person = lab.account(two=True)
    cms = Cms(person, tmp_path, {"regions": [ONE.name, TWO.name]})
    try:
        cms.boot("near")
        (far,) = cms.boot("far", "--region", TWO.name)
        assert far["region"] == TWO.name
        assert [row["name"] for row in lab.things(person, "server", region=TWO)] == ["far"]
        listed = {row["name"]: row["region"] for row in cms.rows("vm", "list", "--refresh")}
        assert listed == {"near": ONE.name, "far": TWO.name}
        assert {ONE.name, TWO.name} <= {row["region"] or row["name"] for row in cms.rows("location", "list")}
        cms("vm", "stop", "far")
        assert [row["status"] for row in lab.things(person, "server", region=TWO)] == ["SHUTOFF"]
        cms("vm", "ip", "set", "far")
        assert len(lab.things(person, "address", region=TWO)) == 1
        assert [row["name"] for row in cms.rows("volume", "list", "--refresh")] == []
        one_region_is_down(cms, lab)
        cms("vm", "delete", "near", "far", "--yes")
        lab.settle(person, TWO)
        assert lab.things(person, *COSTLY, region=TWO) == []
        assert costly(lab, person) == []
    finally:
        lab.wipe(person, two=True)


def one_region_is_down(cms: Cms, lab: Lab) -> None:
    """A region that is down takes nothing from the other, whose services nobody else uses."""
    with lab.without("nova2"):
        done = cms("vm", "list", "--refresh", "-o", "json", code=12)
        assert {row["name"] for row in json.loads(done.stdout)} == {"near", "far"}
        assert TWO.name in done.stderr
        assert cms.row("vm", "stop", "near")["state"] == "stopped"
    assert {row["state"] for row in cms.rows("vm", "list", "--refresh")} == {"stopped"}
