"""What stands beside the VMs of a real OpenStack: made once though answers get lost, shared by nobody, bounded."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from cloudms.clouds.base import Setup
from cloudms.clouds.openstack.driver import OpenStackCloud
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, NoCapacity, NotReady, Unsupported
from cloudms.model import Rule, Vm, VmSpec, VmState
from tests.live.openstack.accounts import IMAGE, Account
from tests.live.openstack.lab import Lab, borrowed, calm, session_of
from tests.live.openstack.places import ONE

pytestmark = [pytest.mark.live, pytest.mark.services]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"
PATIENCE_S = 120.0


class Cloud(OpenStackCloud):
    """The cloud, and how long to wait for what it does."""

    def boot(self, name: str, **options: Any) -> Vm:
        """Return a new VM that runs."""
        wanted = {"image": IMAGE, "flavor": "m1.tiny", "owner": "ada", "keys": (KEY,), **options}
        spec = VmSpec(name=name, token=uuid.uuid4().hex, **wanted)
        return self.settled(self.create_vm(spec))

    def settled(self, vm: Vm, *states: VmState) -> Vm:
        """Return a VM when it runs, or is in one of `states`."""
        wanted = states or (VmState.RUNNING,)
        seen = self.until(lambda: self.get_vm(vm), lambda each: each.state in wanted, PATIENCE_S)
        assert seen.state in wanted, seen.reason
        return seen

    @contextmanager
    def deaf(self, request: str) -> Iterator[list[str]]:
        """Lose the answer to the first request that matches `METHOD PATH`; what was lost is noted."""
        link: Any = self.link
        hear, lost = link._answer, list[str]()

        def answer(method: str, url: str, *rest: Any, **more: Any) -> Any:
            told = hear(method, url, *rest, **more)
            if not lost and re.search(request, said := f"{method} {urlsplit(url).path}"):
                lost.append(said)
                raise NotReady("the answer was lost", details={"status": 0})
            return told

        link._answer = answer
        try:
            yield lost
        finally:
            del link._answer


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with borrowed() as lab, calm():
        yield lab


def opened(account: Account, owner: str = "ada", **options: Any) -> Cloud:
    settings = {"region": ONE.name, **options}
    return Cloud(Setup(name="lab", options=settings, credentials=lambda: account.login, owner=owner))


@pytest.fixture
def cloud(lab: Lab, account: Account) -> Iterator[Cloud]:
    """Return a connection; what a test has made is taken away."""
    made = opened(account)
    yield made
    made.close()
    lab.empty(account)


def test_lost_answers_double_nothing(cloud: Cloud, lab: Lab, account: Account) -> None:
    token = uuid.uuid4().hex
    with cloud.deaf("POST .*/volumes$") as lost:
        volume = cloud.create_volume("data", 1, token, {"a": "b"})
    cloud.until(lambda: list(cloud.list_volumes()), lambda rows: all(row.state == "available" for row in rows))
    with cloud.deaf("POST .*/snapshots$") as lost_too:
        kept = cloud.create_volume_snapshot(volume, "monday", f"{token}1")
    with cloud.deaf("POST .*/volumes$"):
        assert cloud.restore_volume(kept, "again", f"{token}2", {}).size_gib == 1
    with cloud.deaf("POST .*/floatingips$"):
        address = cloud.create_address(f"{token}3")
    with cloud.deaf("POST .*/security-groups$"):
        group = cloud.create_secgroup("web", "", f"{token}4")
    with cloud.deaf("POST .*/os-keypairs$"):
        assert cloud.add_key("ada", KEY).public == KEY
    assert (len(lost), len(lost_too)) == (1, 1)
    assert (volume.token, kept.token, address.token, group.token) == (token, f"{token}1", f"{token}3", f"{token}4")
    found = [thing["kind"] for thing in lab.things(account)]
    assert sorted(found) == ["address", "key", "secgroup", "snapshot", "volume", "volume"]


def test_lost_answers_about_a_vm_double_nothing(cloud: Cloud, lab: Lab, account: Account) -> None:
    vm = cloud.boot("web")
    with cloud.deaf("POST .*/floatingips$") as lost:
        (address,) = cloud.set_address(vm).public_ips
    volume = cloud.create_volume("data", 1, uuid.uuid4().hex, {})
    with cloud.deaf("POST .*/os-volume_attachments$") as lost_too:
        assert cloud.attach_volume(volume, vm).vm == "web"
    cloud.detach_volume(volume)
    with cloud.deaf("POST .*/action$") as snapshots:
        assert cloud.create_snapshot(vm, "before").vm == "web"
    assert (len(lost), len(lost_too), len(snapshots)) == (1, 1, 1)
    assert [row["name"] for row in lab.things(account, "address")] == [address]
    assert [each.name for each in cloud.list_snapshots(vm)] == ["before"]
    cloud.delete_vm(vm)
    cloud.until(lambda: lab.things(account, "server"), lambda rows: not rows, PATIENCE_S)
    assert lab.things(account, "address") == []
    assert list(cloud.list_snapshots()) == []
    assert {each.kind for each in cloud.leftovers(frozenset((volume.token,)))} == set()


def test_two_that_want_one_address_do_not_both_get_it(cloud: Cloud, account: Account) -> None:
    """Neutron itself may tell both that they have it, which a second look makes rare and cannot exclude."""
    first, second = cloud.boot("web-1"), cloud.boot("web-2")
    address = cloud.create_address(uuid.uuid4().hex).name

    def take(vm: Vm) -> str:
        try:
            return cloud.set_address(vm, address).name
        except (Exists, CloudmsError) as error:
            assert isinstance(error, Exists), error
            return ""

    both = 0
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            names = sorted(pool.map(take, (first, second)))
        both += names[0] != ""
        assert next(row.vm for row in cloud.list_addresses() if row.name == address) in set(names) - {""}
        for vm in (first, second):
            cloud.detach_address(vm, address)
    assert both <= 1
    assert opened(account).list_addresses()


def test_quotas_say_that_they_are_used_up(lab: Lab) -> None:
    account = lab.account(floatingip=1, volumes=1, gigabytes=2, security_group=2)
    try:
        cloud = opened(account)
        cloud.create_address(uuid.uuid4().hex)
        cloud.create_volume("data", 1, uuid.uuid4().hex, {})
        cloud.create_secgroup("web", "", uuid.uuid4().hex)
        asks: tuple[Callable[[], object], ...] = (
            lambda: cloud.create_address(uuid.uuid4().hex),
            lambda: cloud.create_volume("more", 1, uuid.uuid4().hex, {}),
            lambda: cloud.create_secgroup("more", "", uuid.uuid4().hex),
        )
        for ask in asks:
            with pytest.raises(NoCapacity, match=r"(?i)quota|exceed") as caught:
                ask()
            assert caught.value.hint
        known = {each.name: (each.used, each.limit) for each in cloud.list_quotas()}
        assert (known["floating ips"], known["volumes"], known["volume gigabytes"]) == ((1, 1), (1, 1), (1, 2))
    finally:
        lab.wipe(account)


def test_a_vm_whose_disk_is_a_volume_is_kept_and_made_anew(cloud: Cloud, lab: Lab, account: Account) -> None:
    on_volume = opened(account, boot_from_volume=True)
    vm = on_volume.boot("db")
    assert list(on_volume.list_volumes()) == []
    kept = on_volume.create_snapshot(vm, "before")
    assert (kept.name, kept.state) == ("before", "active")
    assert [each.name for each in on_volume.list_snapshots(vm)] == ["before"]
    assert len(lab.things(account, "snapshot")) == 1
    assert list(on_volume.list_volume_snapshots()) == []
    with pytest.raises(Unsupported, match="is a volume"):
        on_volume.revert_snapshot(vm, "before")
    copy = cloud.boot("db-2", image="db before")
    cloud.delete_vm(copy)
    cloud.until(lambda: lab.things(account, "server"), lambda rows: len(rows) == 1, PATIENCE_S)
    on_volume.delete_vm(vm)
    cloud.until(lambda: lab.things(account, "server", "snapshot"), lambda rows: not rows, PATIENCE_S)
    assert lab.things(account, "server", "snapshot") == []


def test_a_network_without_a_way_out_has_no_addresses(cloud: Cloud, lab: Lab, account: Account) -> None:
    session = session_of(account)
    inside = session("POST", "neutron", "networks", {"network": {"name": "cellar"}})["network"]["id"]
    subnet = {"network_id": inside, "ip_version": 4, "cidr": "10.9.0.0/24"}
    session("POST", "neutron", "subnets", {"subnet": subnet})
    vm = cloud.boot("web", network="cellar")
    with pytest.raises(Invalid, match="no router") as caught:
        cloud.set_address(vm)
    assert "floating_pool" in caught.value.hint
    with pytest.raises(Exception, match="no public network 'nowhere'"):
        opened(account, floating_pool="nowhere").set_address(vm)
    lab.empty(account)
    session("DELETE", "neutron", f"networks/{inside}")


def test_clouds_that_speak_old_versions_are_served_as_well(cloud: Cloud) -> None:
    cloud.link._versions = {("compute", ONE.name): (2, 1), ("volume", ONE.name): (3, 0)}
    vm = cloud.boot("old")
    volume = cloud.create_volume("data", 1, uuid.uuid4().hex, {"use": "test"})
    assert cloud.attach_volume(volume, vm).device
    with pytest.raises(NotReady, match="enlarges only those"):
        cloud.resize_volume(volume, 2)
    kept = cloud.create_volume_snapshot(volume, "monday", uuid.uuid4().hex)
    assert cloud.restore_volume(kept, "again", uuid.uuid4().hex, {}).size_gib == 1
    assert cloud.detach_volume(volume).vm == ""
    assert cloud.resize_volume(volume, 2).size_gib == 2
    assert cloud.add_key("ada", KEY).public == KEY
    assert KEY in [key.public for key in cloud.list_keys()]
    assert cloud.create_snapshot(vm, "before").id
    assert [each.vm for each in cloud.list_snapshots()] == ["old"]
    assert cloud.revert_snapshot(vm, "before").id == vm.id
    assert {each.name for each in cloud.list_flavors()} >= {"m1.tiny"}
    assert cloud.set_address(cloud.settled(vm)).public_ips


def test_an_administrator_sees_only_what_is_of_the_project(cloud: Cloud, lab: Lab, account: Account) -> None:
    cloud.create_secgroup("web", "", uuid.uuid4().hex)
    cloud.create_address(uuid.uuid4().hex)
    volume = cloud.create_volume("data", 1, uuid.uuid4().hex, {})
    chief = opened(Account("admin", "", ""))
    assert "web" not in [group.name for group in chief.list_secgroups()]
    assert not {row.name for row in chief.list_addresses()} & {row.name for row in cloud.list_addresses()}
    assert volume.id not in [row.id for row in chief.list_volumes()]


def test_what_is_used_is_not_taken_away(cloud: Cloud) -> None:
    group = cloud.create_secgroup("web", "", uuid.uuid4().hex)
    assert "in tcp 80" in [rule.text for rule in cloud.add_rule(group, Rule(first=80, last=80)).rules]
    vm = cloud.boot("web", options={"secgroups": ["web"]})
    volume = cloud.create_volume("data", 1, uuid.uuid4().hex, {})
    cloud.create_volume_snapshot(volume, "monday", uuid.uuid4().hex)
    cloud.create_snapshot(vm, "before")
    cloud.revert_snapshot(vm, "before")
    cloud.settled(vm)
    for refused in (
        lambda: cloud.delete_secgroup(group),
        lambda: cloud.delete_volume(volume),
        lambda: cloud.delete_image(cloud.find_image("web before")),
    ):
        with pytest.raises(Conflict) as caught:
            refused()
        assert caught.value.hint
