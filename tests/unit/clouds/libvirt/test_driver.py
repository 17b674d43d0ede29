"""The whole cloud on libvirt's own pretended hypervisor (test:///default): no guest, no agent, no monitor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.base import CloneVm, PrivateNetwork, Rebuild, Setup, Snapshots
from cloudms.clouds.libvirt.core import uuid_of
from cloudms.clouds.libvirt.driver import LibvirtCloud
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.libvirt.watching import figures
from cloudms.errors import Conflict, Invalid, MissingExtra, NotFound, NotReady
from cloudms.model import Origin, Vm, VmState

OWNER = "ada@lab"
TOKEN = "abcd1234"


def test_reach_names_the_hypervisor(cloud: LibvirtCloud) -> None:
    reached = cloud.reach()
    assert reached.account == "test:///default" and reached.details["hypervisor"] == "TEST"
    (location,) = cloud.list_locations()
    assert location.name == reached.details["host"]


def test_others_domains_are_listed_and_left_alone(cloud: LibvirtCloud) -> None:
    (found,) = cloud.list_vms()
    assert (found.name, found.origin, found.state, found.token) == ("test", Origin.FOREIGN, VmState.RUNNING, "")
    assert "made elsewhere" in cloud.supports(Snapshots, found)
    for refused in (
        lambda: cloud.delete_vm(found), lambda: cloud.rename_vm(found, "x"), lambda: cloud.resize_vm(found, "tiny"),
        lambda: cloud.tag_vm(found), lambda: cloud.create_snapshot(found, "x"),
    ):  # fmt: skip
        with pytest.raises(Conflict, match="made elsewhere"):
            refused()


def test_power(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    assert (vm.state, vm.origin, vm.key) == (VmState.STOPPED, Origin.OWN, TOKEN)
    steps: list[tuple[Callable[[Vm], Vm], VmState]] = [
        (cloud.stop_vm, VmState.STOPPED), (cloud.start_vm, VmState.RUNNING), (cloud.start_vm, VmState.RUNNING),
        (cloud.resume_vm, VmState.RUNNING),
        (cloud.suspend_vm, VmState.SUSPENDED), (cloud.suspend_vm, VmState.SUSPENDED),
        (cloud.start_vm, VmState.RUNNING), (cloud.suspend_vm, VmState.SUSPENDED), (cloud.resume_vm, VmState.RUNNING),
        (cloud.save_vm, VmState.SAVED), (cloud.save_vm, VmState.SAVED), (cloud.resume_vm, VmState.RUNNING),
        (cloud.reboot_vm, VmState.REBOOTING), (cloud.mend, VmState.RUNNING), (cloud.stop_vm, VmState.STOPPING),
        (cloud.get_vm, VmState.STOPPED),
    ]  # fmt: skip
    for number, (step, expected) in enumerate(steps):
        assert step(vm).state is expected, f"step {number}"
    assert cloud.stop_vm(vm, force=True).state is VmState.STOPPED
    for action in (cloud.suspend_vm, cloud.resume_vm, cloud.save_vm, cloud.reboot_vm):
        with pytest.raises(NotReady, match="is stopped: cannot") as error:
            action(vm)
        assert error.value.details == {"vm": "own", "state": "stopped"}


def test_a_saved_vm_can_be_switched_off_for_good(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    cloud.start_vm(vm)
    cloud.save_vm(vm)
    assert cloud.stop_vm(vm).state is VmState.SAVED
    with pytest.raises(NotReady, match="saved and cannot be renamed"):
        cloud.rename_vm(vm, "new")
    assert cloud.stop_vm(vm, force=True).state is VmState.STOPPED


def test_a_vm_is_found_by_id_and_by_token(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    assert cloud.get_vm(Vm(name="", id=vm.id)).name == "own"
    assert cloud.get_vm(Vm(name="", token=TOKEN)).name == "own"
    for missing in (Vm(name="x", id="not-a-uuid"), Vm(name="x", token="ffff0000"), Vm(name="own")):
        with pytest.raises(NotFound):
            cloud.get_vm(missing)


def test_labels_lease_and_protection(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define(labels={"old": "1"})
    for _twice in range(2):
        cloud.tag_vm(vm.with_(labels={"a": "b"}, group="g", expires=5.0, protected=True, keep_stopped=True))
    found = cloud.get_vm(vm)
    assert (found.labels, found.group, found.expires, found.protected, found.keep_stopped) == (
        {"a": "b"}, "g", 5.0, True, True,
    )  # fmt: skip
    assert (found.image, found.flavor, found.token) == ("micro", "tiny", TOKEN)


def test_adoption_and_what_others_see(cloud: LibvirtCloud, define: Callable[..., Vm], clock: ManualClock) -> None:
    vm = define("theirs", owner="bob@desk", image="")
    assert cloud.get_vm(vm).origin is Origin.FOREIGN
    with pytest.raises(Conflict, match="belongs to bob@desk"):
        cloud.delete_vm(vm)
    with pytest.raises(Invalid, match="no token"):
        cloud.adopt_vm(vm.with_(token=""))
    mine = cloud.adopt_vm(vm.with_(token="eeee0000", owner=""))
    assert (mine.origin, mine.token, mine.owner) == (Origin.ADOPTED, "eeee0000", OWNER)
    assert cloud.adopt_vm(mine.with_(token="dddd0000")).token == "eeee0000"
    assert cloud.get_vm(Vm(name="", token="eeee0000")).id == vm.id
    assert cloud.find(mine)[1].tags == Tags(token="eeee0000", files=TOKEN, owner=OWNER, flavor="tiny", adopted=True)
    assert "not touched" in cloud.supports(Rebuild, mine.with_(image=""))
    assert cloud.supports(CloneVm, mine.with_(image="micro")) == cloud.supports(PrivateNetwork) == ""
    bob = LibvirtCloud(Setup(name="pretend", owner="bob@desk", options={"uri": "test:///default"}, clock=clock))
    assert bob.get_vm(vm).origin is Origin.FOREIGN


def test_rename(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    cloud.start_vm(vm)
    with pytest.raises(NotReady):
        cloud.rename_vm(vm, "new")
    cloud.stop_vm(vm, force=True)
    for _twice in range(2):
        assert cloud.rename_vm(vm, "new").name == "new"
    assert cloud.get_vm(vm).name == "new"


def test_snapshots(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    cloud.start_vm(vm)
    made = cloud.create_snapshot(vm, "one")
    assert (made.name, made.vm, made.cloud, made.state) == ("one", "own", "pretend", "running")
    cloud.tag_vm(vm.with_(labels={"after": "yes"}))
    assert cloud.revert_snapshot(vm, "one").labels == {"after": "yes"}
    assert [each.name for each in cloud.list_snapshots()] == ["one"]
    cloud.stop_vm(vm, force=True)
    with pytest.raises(Conflict, match="has snapshots"):
        cloud.rename_vm(vm, "new")
    for _twice in range(2):
        cloud.delete_snapshot(vm, "one")
    cloud.delete_snapshot(Vm(name="gone", id=uuid_of("gone")), "one")
    with pytest.raises(NotFound):
        cloud.revert_snapshot(vm, "one")
    for odd in ("", "a/b", ".x"):
        with pytest.raises(Invalid):
            cloud.create_snapshot(vm, odd)


def test_addresses_of_a_vm_that_is_off_are_kept_for_its_start(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    define(forwards={"127.77.1.1": {2222: 22}})
    assert [(each.name, each.vm, each.ports) for each in cloud.list_addresses()] == [
        ("127.77.1.1", "own", {"2222": 22})
    ]
    assert cloud.taken() == {("127.77.1.1", 2222)}
    assert cloud.taken(but=uuid_of(TOKEN)) == set()


def test_intents_that_have_ended_are_forgotten(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define(intent="create", intent_at=1.0)
    assert (vm.state, cloud.mend(vm).state) == (VmState.PENDING, VmState.PENDING)
    domain, _seen = cloud.find(vm)
    domain.create()
    assert cloud.mend(vm).state is VmState.RUNNING
    assert cloud.find(vm)[1].tags.intent == ""  # type: ignore[union-attr]
    cloud.stop_vm(vm)
    assert cloud.find(vm)[1].tags.intent == "stop"  # type: ignore[union-attr]
    cloud.mend(vm)
    assert cloud.find(vm)[1].tags.intent == ""  # type: ignore[union-attr]


def test_a_paused_source_of_a_copy_goes_on(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    cloud.start_vm(vm)
    domain, seen = cloud.find(vm)
    cloud.intend(domain, seen.tags or Tags(), "copy")
    domain.suspend()
    assert cloud.get_vm(vm).reason == "paused while its disk is copied"
    assert cloud.mend(vm).state is VmState.RUNNING
    assert cloud.suspend_vm(vm).state is VmState.SUSPENDED
    assert cloud.mend(vm).state is VmState.SUSPENDED


def test_one_broken_domain_does_not_break_the_list(
    cloud: LibvirtCloud, define: Callable[..., Vm], monkeypatch: pytest.MonkeyPatch
) -> None:
    define()
    read = cloud.read

    def broken(domain: Any) -> Any:
        if domain.name() == "own":
            raise libvirt.libvirtError("unreadable")
        return read(domain)

    monkeypatch.setattr(cloud, "read", broken)
    assert {vm.name: vm.state for vm in cloud.list_vms()} == {"own": VmState.UNKNOWN, "test": VmState.RUNNING}


def test_following_a_console_survives_its_rotation_and_ends_with_it(
    cloud: LibvirtCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    log = tmp_path / "cms-x.console"
    log.write_bytes(b"old" * 30_000 + b"boot\r\n")
    steps = iter((lambda: log.write_bytes(log.read_bytes() + b"login: "), lambda: log.write_bytes(b""),
                  lambda: log.write_bytes(b"again"), log.unlink))  # fmt: skip
    monkeypatch.setattr(clock, "sleep", lambda _seconds: next(steps)())
    monkeypatch.setattr(cloud.link, "local", True)
    monkeypatch.setattr(cloud, "_console_of", lambda _vm: str(log))
    first, *rest = cloud.follow_console(Vm(name="x"))
    assert len(first) == 65535 and first.endswith("boot\n")
    assert [text for text in rest if text] == ["login: ", "again"]


def test_metrics(cloud: LibvirtCloud, define: Callable[..., Vm]) -> None:
    vm = define()
    assert cloud.metrics([vm]) == {}
    cloud.start_vm(vm)
    assert set(cloud.metrics([vm, Vm(name="gone", id="x")])) == {TOKEN}


def test_figures() -> None:
    stats = {
        "cpu.time": 2_500_000_000, "balloon.current": 262144, "balloon.available": 200000, "balloon.usable": 97600,
        "balloon.rss": 999999, "block.count": 2, "block.0.rd.bytes": 10, "block.1.rd.bytes": 5, "block.0.wr.bytes": 7,
        "net.count": 1, "vcpu.0.delay": 250_000_000, "vcpu.1.delay": 500_000_000, "vcpu.1.wait": 9,
    }  # fmt: skip
    assert figures(stats) == {
        "cpu_seconds": 2.5, "cpu_denied_seconds": 0.75, "memory_mib": 256.0, "memory_used_mib": 100.0,
        "disk_read_bytes": 15.0, "disk_write_bytes": 7.0,
    }  # fmt: skip
    assert figures({"balloon.rss": 2048}) == {"memory_used_mib": 2.0}
    assert figures({}) == {}


def test_without_libvirt_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    cloud = LibvirtCloud(Setup(name="local", options={"uri": "qemu:///session"}))
    for call in (cloud.reach, cloud.list_vms, cloud.list_volumes):
        with pytest.raises(MissingExtra) as error:
            call()
        assert error.value.hint == 'pip install "cloudms[libvirt]"'
    assert [flavor.name for flavor in cloud.list_flavors()][:2] == ["tiny", "small"]
