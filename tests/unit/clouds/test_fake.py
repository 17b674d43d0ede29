"""The fake cloud over time: states by the clock, quotas, names, console, load, and what its settings change."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import Open, opener, spec

from cloudms.clock import ManualClock
from cloudms.clouds.base import ConfirmResize, ImageBatch, ImageQuery, Snapshots, all_roles, require
from cloudms.clouds.fake import FakeCloud
from cloudms.errors import (
    CloudmsError,
    ConfigError,
    Conflict,
    Exists,
    Invalid,
    NoCapacity,
    NotFound,
    NotReady,
    Unsupported,
)
from cloudms.model import Origin, Vm, VmState

HEAVY = ("libvirt", "yaml", "ruamel", "pycdlib", "rich", "concurrent", "asyncio", "subprocess", "tempfile", "hashlib")


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Open:
    return opener(tmp_path, clock)


def states(cloud: FakeCloud, vm: Vm, clock: ManualClock, seconds: int) -> list[str]:
    """Return the states of `vm` now and after each second."""
    seen = [str(cloud.get_vm(vm).state)]
    for _ in range(seconds):
        clock.sleep(1)
        seen.append(str(cloud.get_vm(vm).state))
    return seen


def test_it_has_every_role_and_says_that_it_is_simulated() -> None:
    assert FakeCloud.roles() == all_roles()
    assert FakeCloud.simulated is True


def test_importing_it_is_cheap() -> None:
    code = f"import sys, cloudms.clouds.fake; print([name for name in {HEAVY!r} if name in sys.modules])"
    source = str(Path(__file__).parents[3] / "src")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_transitions_take_their_time(opened: Open, clock: ManualClock) -> None:
    cloud = opened(boot_seconds=3, stop_seconds=2, change_seconds=2, delete_seconds=2, linger_seconds=2)
    vm = cloud.create_vm(spec())
    assert states(cloud, vm, clock, 4) == ["pending", "pending", "pending", "running", "running"]
    cloud.stop_vm(vm)
    assert states(cloud, vm, clock, 2) == ["stopping", "stopping", "stopped"]
    cloud.start_vm(vm)
    assert states(cloud, vm, clock, 3)[-1] == "running"
    for verb, middle, end in (
        ("reboot_vm", "rebooting", "running"),
        ("suspend_vm", "suspending", "suspended"),
        ("save_vm", "suspending", "saved"),
    ):
        getattr(cloud, verb)(vm)
        assert states(cloud, vm, clock, 2) == [middle, middle, end]
    cloud.resume_vm(vm)
    cloud.rebuild_vm(vm, "debian")
    assert states(cloud, vm, clock, 2) == ["rebuilding", "rebuilding", "running"]
    cloud.delete_vm(vm)
    assert states(cloud, vm, clock, 3) == ["terminating", "terminating", "terminated", "terminated"]
    clock.sleep(1)
    with pytest.raises(NotFound):
        cloud.get_vm(vm)
    assert list(cloud.list_vms()) == []


def test_since_is_when_the_state_began_whoever_looks_when(opened: Open, clock: ManualClock) -> None:
    began = clock.now()
    vm = opened().create_vm(spec())
    clock.sleep(500)
    assert opened().get_vm(vm).since == began + 10
    assert opened().get_vm(vm).created == began


def test_ready_follows_the_clock(opened: Open, clock: ManualClock) -> None:
    cloud = opened(ready_seconds=5)
    vm = cloud.create_vm(spec())
    assert cloud.ready(vm) == "pending: the simulated guest boots"
    clock.sleep(12)
    assert cloud.ready(vm) == "the first-boot work of the simulated guest"
    clock.sleep(3)
    assert cloud.ready(vm) == ""
    cloud.host_restarted(vm)
    assert cloud.detached(vm) is True
    assert "restart" in str(cloud.ready(vm))
    cloud.mend(vm)
    assert (cloud.detached(vm), cloud.ready(vm)) == (False, "")


@pytest.mark.parametrize("call", ["start_vm", "stop_vm", "suspend_vm", "tag_vm", "rebuild_vm"])
def test_what_is_being_deleted_cannot_be_changed(opened: Open, clock: ManualClock, call: str) -> None:
    cloud = opened(boot_seconds=0, delete_seconds=5, linger_seconds=5)
    vm = cloud.create_vm(spec())
    cloud.delete_vm(vm)
    more = ("debian",) if call == "rebuild_vm" else ()
    with pytest.raises(Conflict):
        getattr(cloud, call)(vm, *more)
    clock.sleep(6)
    with pytest.raises(NotFound):
        getattr(cloud, call)(vm, *more)
    assert cloud.get_vm(vm).state is VmState.TERMINATED


def test_a_state_that_does_not_allow_it_is_named(opened: Open) -> None:
    cloud = opened(boot_seconds=0)
    vm = cloud.create_vm(spec())
    cloud.stop_vm(vm)
    with pytest.raises(NotReady, match="stopped: cannot suspend") as refused:
        cloud.suspend_vm(vm)
    assert refused.value.details == {"vm": "web", "state": "stopped"}
    cloud.start_vm(vm)
    with pytest.raises(NotReady, match="cannot rename"):
        cloud.rename_vm(vm, "other")


def test_quota_counts_what_is_alive(opened: Open) -> None:
    cloud = opened(quota_vms=2)
    first = cloud.create_vm(spec("a"))
    cloud.create_vm(spec("b"))
    with pytest.raises(NoCapacity) as refused:
        cloud.create_vm(spec("c"))
    assert refused.value.details["quota"] == 2
    assert cloud.create_vm(spec("a")).id == first.id
    cloud.delete_vm(first)
    cloud.create_vm(spec("c"))


def test_names_are_unique_unless_the_settings_say_otherwise(opened: Open) -> None:
    cloud = opened()
    cloud.create_vm(spec())
    with pytest.raises(Exists) as refused:
        cloud.create_vm(spec(token="another"))
    assert refused.value.details["vm"] == "web"
    lax = opened(unique_names="no")
    assert lax.create_vm(spec(token="another")).name == "web"


def test_a_terminated_vm_has_no_name_left(opened: Open, clock: ManualClock) -> None:
    cloud = opened(delete_seconds=1, linger_seconds=100)
    cloud.delete_vm(cloud.create_vm(spec()))
    with pytest.raises(Exists):
        cloud.create_vm(spec(token="another"))
    clock.sleep(2)
    assert cloud.create_vm(spec(token="another")).name == "web"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"image": "windows"}, NotFound),
        ({"flavor": "huge"}, NotFound),
        ({"region": "moon"}, NotFound),
        ({"key_name": "lost"}, NotFound),
        ({"name": ""}, Invalid),
        ({"disk_gib": -1}, Invalid),
    ],
)
def test_requests_that_cannot_be_met(opened: Open, more: dict[str, Any], error: type[CloudmsError]) -> None:
    with pytest.raises(error) as refused:
        opened().create_vm(spec(**{"name": "web", "token": "t", **more}))
    assert refused.value.hint


def test_regions_zones_flavors_and_image_ids_are_understood(opened: Open) -> None:
    cloud = opened()
    assert cloud.create_vm(spec("a", region="fake-west")).region == "fake-west-1"
    assert cloud.create_vm(spec("b", region="fake-east-2")).region == "fake-east-2"
    assert cloud.create_vm(spec("c", flavor="")).flavor == FakeCloud.default_flavor
    assert cloud.create_vm(spec("d", image="img-0006")).image == "ubuntu-24.04"
    (nano,) = [flavor for flavor in cloud.list_flavors() if flavor.name == "nano"]
    assert nano.price_per_hour == cloud.create_vm(spec("e")).price_per_hour == 0.002


def test_foreign_vms_are_there_from_the_beginning_and_stay_gone_once_deleted(opened: Open) -> None:
    cloud = opened(foreign="theirs, others", boot_seconds=0)
    assert {vm.name: vm.origin for vm in cloud.list_vms()} == {"theirs": Origin.FOREIGN, "others": Origin.FOREIGN}
    theirs = next(vm for vm in cloud.list_vms() if vm.name == "theirs")
    assert (theirs.owner, theirs.token, theirs.state) == ("", "", VmState.RUNNING)
    with pytest.raises(Conflict):
        cloud.delete_vm(theirs)
    cloud.delete_vm(cloud.adopt_vm(theirs.with_(token="mine")))
    assert [vm.name for vm in opened(foreign=["theirs", "others"]).list_vms()] == ["others"]
    with pytest.raises(Exists):
        opened(foreign=["db"]).create_vm(spec("db"))


def test_a_resize_waits_for_confirm_or_does_not(opened: Open, clock: ManualClock) -> None:
    cloud = opened(boot_seconds=0, change_seconds=5)
    vm = cloud.create_vm(spec())
    assert cloud.resize_vm(vm, "medium").state is VmState.RESIZING
    clock.sleep(5)
    seen = cloud.get_vm(vm)
    assert (seen.state, seen.flavor, seen.reason) == (VmState.AWAITING_CONFIRM, "medium", "from nano")
    assert cloud.revert_vm(vm).flavor == "nano"
    at_once = opened(boot_seconds=0, confirm_resize=False)
    assert at_once.resize_vm(vm, "small").reason == "resized now"
    assert at_once.get_vm(vm).state is VmState.RUNNING
    with pytest.raises(Invalid, match="smaller disk"):
        at_once.resize_vm(vm, "nano")


def test_a_rebuild_and_a_clone_have_another_host_key_and_a_revert_brings_the_old_one_back(opened: Open) -> None:
    cloud = opened(boot_seconds=0)
    vm = cloud.create_vm(spec())
    old = host_keys(cloud, vm)[-1]
    cloud.create_snapshot(vm, "before")
    cloud.rebuild_vm(vm, "debian")
    new = host_keys(cloud, vm)[-1]
    copy = cloud.clone_vm(vm, spec("copy"))
    assert len({old, new, host_keys(cloud, copy)[-1]}) == 3
    assert copy.image == "debian"
    assert cloud.revert_snapshot(vm, "before").image == "micro"
    cloud.reboot_vm(vm)
    assert host_keys(cloud, vm)[-1] == old


def host_keys(cloud: FakeCloud, vm: Vm) -> list[str]:
    """Return the host keys on the console in cloud-init's format, each a well-formed public key."""
    lines = cloud.console_log(vm).splitlines()
    found = [lines[n + 1] for n, line in enumerate(lines) if line == "-----BEGIN SSH HOST KEY KEYS-----"]
    for line in found:
        kind, blob, _comment = line.split()
        data = base64.b64decode(blob, validate=True)
        assert kind == "ssh-ed25519"
        assert data.startswith(b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20")
        assert len(data) == 51
    return found


def test_the_console_fills_while_it_boots(opened: Open, clock: ManualClock) -> None:
    cloud = opened()
    vm = cloud.create_vm(spec())
    assert cloud.console_log(vm) == ""
    clock.sleep(5)
    half = cloud.console_log(vm)
    assert "Linux version" in half
    assert "login:" not in half
    clock.sleep(5)
    assert cloud.console_log(vm).startswith(half)
    assert cloud.console_log(vm).rstrip().endswith("web login:")
    cloud.reboot_vm(vm)
    assert cloud.console_log(vm).count("Linux version") == 2


def test_following_the_console_yields_only_what_is_new(opened: Open, clock: ManualClock) -> None:
    cloud = opened()
    vm = cloud.create_vm(spec())
    parts = []
    for part in cloud.follow_console(vm):
        parts.append(part)
        if "login:" in part:
            break
    assert len(parts) > 5
    assert "".join(parts) == cloud.console_log(vm)


def test_load_is_counted_only_while_it_runs_and_can_be_set(opened: Open, clock: ManualClock) -> None:
    cloud = opened(boot_seconds=0)
    vm = cloud.create_vm(spec(flavor="medium"))
    cloud.set_load(vm, 0.5)
    clock.sleep(100)
    assert use(cloud, vm) == pytest.approx(100.0)
    cloud.stop_vm(vm)
    clock.sleep(1000)
    assert use(cloud, vm) == pytest.approx(100.0)
    cloud.start_vm(vm)
    cloud.set_load(vm, 0.0)
    clock.sleep(100)
    assert use(cloud, vm) == pytest.approx(100.0)
    cloud.set_load(vm, None)
    clock.sleep(300)
    wave = use(cloud, vm) - 100.0
    assert 0 < wave < 600
    clock.sleep(300)
    assert use(cloud, vm) - 100.0 == pytest.approx(2 * wave)


def use(cloud: FakeCloud, vm: Vm) -> float:
    """Return the CPU seconds of `vm` so far."""
    return cloud.metrics([vm])[vm.key]["cpu_seconds"]


def test_addresses_are_loopback_and_differ(opened: Open) -> None:
    cloud = opened(boot_seconds=0)
    made = [cloud.create_vm(spec(f"vm{n}")) for n in range(120)]
    addresses = {vm.private_ips[0] for vm in made}
    assert len(addresses) == 120
    assert all(address.startswith("127.") for address in addresses)
    assert all(vm.ssh_host == vm.private_ips[0] for vm in made)


def test_a_public_address_is_taken_from_a_pool(opened: Open) -> None:
    cloud = opened(boot_seconds=0, addresses=2)
    one, two, three = (cloud.create_vm(spec(name)) for name in "abc")
    first = cloud.set_address(one, ports={"8080": 80})
    assert first.ssh_host == first.public_ips[0]
    assert cloud.set_address(one).public_ips == first.public_ips
    cloud.set_address(two)
    with pytest.raises(NoCapacity):
        cloud.set_address(three)
    with pytest.raises(Exists):
        cloud.set_address(three, first.public_ips[0])
    cloud.delete_vm(one)
    assert cloud.set_address(three).public_ips == first.public_ips


def test_settings_that_make_no_sense_are_named() -> None:
    for options in ({"boot_seconds": "soon"}, {"quota_vms": -1}, {"unique_names": "perhaps"}):
        (name,) = options
        with pytest.raises(ConfigError, match=name):
            opener(Path("/nowhere"), ManualClock())(**options)


def test_a_role_can_be_refused_by_the_settings(opened: Open) -> None:
    cloud = opened(refuse={"snapshots": "the disks are local"})
    assert cloud.supports(Snapshots) == "the disks are local"
    assert cloud.supports(ConfirmResize) == ""
    with pytest.raises(Unsupported, match="the disks are local"):
        require(cloud, Snapshots)


def test_first_boot_data_is_kept_by_the_cloud_and_not_shown(opened: Open, tmp_path: Path) -> None:
    cloud = opened()
    vm = cloud.create_vm(spec(user_data="password: hunter2"))
    assert "hunter2" in (tmp_path / "state.json").read_text()
    assert "hunter2" not in json.dumps(vm.to_document())
    assert "hunter2" not in json.dumps(cloud.calls())


def test_an_image_is_staged_by_its_first_vm_and_not_deleted_under_one(opened: Open) -> None:
    cloud = opened()
    (image,) = [image for image in cloud.list_images() if image.name == "micro"]
    assert image.state == "available"
    vm = cloud.create_vm(spec())
    assert [each.state for each in cloud.list_images() if each.name == "micro"] == ["staged"]
    with pytest.raises(Conflict, match="web"):
        cloud.delete_image(image)
    cloud.delete_vm(vm)
    cloud.delete_image(image)
    assert [each.state for each in cloud.list_images() if each.name == "micro"] == ["available"]


def test_a_walk_of_images_that_breaks_off_says_what_is_left(opened: Open) -> None:
    cloud = opened(faults=[{"call": "walk_images", "fault": "partial_list", "after": 3}])
    batches: list[ImageBatch] = []
    (query,) = cloud.image_queries()
    walk = cloud.walk_images(query)
    with pytest.raises(NotReady):
        batches.extend(iter(lambda: next(walk), None))
    came = [image.id for batch in batches for image in batch.images]
    assert [len(batch.images) for batch in batches] == [2, 1]
    *rest, end = cloud.walk_images(query, batches[-1].left)
    left = [image.id for batch in (*rest, end) for image in batch.images]
    assert end.last
    assert (len(came), sorted(came + left)) == (3, [image.id for image in cloud.list_images()])


def test_a_query_narrows_a_walk_of_images(opened: Open) -> None:
    cloud = opened()

    def names(**narrow: Any) -> list[str]:
        return [image.name for batch in cloud.walk_images(ImageQuery(**narrow)) for image in batch.images]

    assert names(text="ubuntu") == ["ubuntu-22.04", "ubuntu-24.04"]
    assert names(arch="x86_64", text="micro") == ["micro"]
    assert names(arch="arm64") == names(owners=("canonical",)) == []


def test_volumes_have_a_quota_and_snapshots_a_parent(opened: Open) -> None:
    cloud = opened(boot_seconds=0, max_volume_gib=10)
    cloud.create_volume("a", 6, "t1", {})
    with pytest.raises(NoCapacity, match="4 GiB left"):
        cloud.create_volume("b", 5, "t2", {})
    with pytest.raises(Invalid):
        cloud.create_volume("c", 0, "t3", {})
    vm = cloud.create_vm(spec())
    kept = [cloud.create_snapshot(vm, name) for name in ("one", "two")]
    assert [(each.name, each.parent, each.memory) for each in kept] == [("one", "", True), ("two", "one", True)]
