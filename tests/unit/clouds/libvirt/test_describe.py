"""A domain as a Vm: its states, whose it is, how it is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.clouds.libvirt import describe
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.view import View, origin_of
from cloudms.model import Origin, VmState

CASES = Path(__file__).parents[3] / "cases" / "libvirt"
VIEW = View(cloud="local", owner="ada@lab", now=1000.0)
OWN = Tags(token="abcd1234", owner="ada@lab")


def seen(tags: Tags | None = OWN, *, state: int = describe.RUNNING, reason: int = 1, saved: bool = False) -> Seen:
    return Seen(uuid="u", name="n", xml="", root=describe.parse(""), tags=tags, state=state, reason=reason, saved=saved)


def live() -> Seen:
    xml = (CASES / "live.xml").read_text()
    root = describe.parse(xml)
    return Seen(uuid="u-1", name="web-1", xml=xml, root=root, tags=describe.tags_of(root), state=1, reason=5)


def test_a_running_vm_of_libvirt_9() -> None:
    vm = describe.vm(live(), VIEW.with_(owner="lv@test"))
    assert (vm.name, vm.id, vm.cloud, vm.state, vm.origin) == ("web-1", "u-1", "local", VmState.RUNNING, Origin.OWN)
    assert (vm.image, vm.flavor, vm.login, vm.group, vm.labels) == ("micro", "tiny", "cms", "g", {"role": "web"})
    assert (vm.ssh_host, vm.ssh_port, vm.public_ips) == ("127.77.117.73", 2222, ("127.77.117.73", "127.77.0.6"))
    assert vm.private_ips == ("10.77.117.73",)
    assert vm.created == 1795171430.5 and vm.fetched == 1000.0
    assert vm.raw == {"xml": (CASES / "live.xml").read_text(), "state": 1, "reason": 5}


def test_what_the_parts_need_of_a_running_domain() -> None:
    root = live().root
    assert describe.netdev(root) == "hostnet0"
    assert describe.source_of(root) == "user"
    assert describe.machine_of(root) == "pc-q35-7.2"
    assert describe.firmware_of(root) == "bios"
    assert describe.agent_answers(root)
    assert describe.console_path(root) == "/pool/cms-abcd1234.console"
    assert describe.disk_targets(root) == {
        "vda": "/pool/cms-abcd1234.qcow2", "vdb": "/pool/cms-abcd1234-seed.iso", "vdc": "/pool/cms-vol-data.cafe.qcow2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (0, 0, VmState.UNKNOWN), (1, 1, VmState.RUNNING), (2, 0, VmState.RUNNING), (3, 1, VmState.SUSPENDED),
        (3, 5, VmState.ERROR), (3, 11, VmState.PENDING), (3, 3, VmState.SUSPENDING), (4, 1, VmState.STOPPING),
        (5, 1, VmState.STOPPED), (5, 3, VmState.ERROR), (5, 6, VmState.ERROR), (6, 0, VmState.ERROR),
        (7, 0, VmState.SUSPENDED), (-1, 0, VmState.UNKNOWN), (99, 0, VmState.UNKNOWN),
    ],
)  # fmt: skip
def test_states(state: int, reason: int, expected: VmState) -> None:
    found, why = describe.state_of(seen(state=state, reason=reason), 0.0)
    assert found is expected
    assert why or expected in (VmState.RUNNING, VmState.SUSPENDED, VmState.STOPPED, VmState.STOPPING)


@pytest.mark.parametrize(
    ("intent", "state", "saved", "expected"),
    [
        ("create", describe.SHUTOFF, False, VmState.PENDING), ("create", describe.RUNNING, False, VmState.RUNNING),
        ("delete", describe.RUNNING, False, VmState.TERMINATING),
        ("rebuild", describe.SHUTOFF, False, VmState.REBUILDING),
        ("copy", describe.PAUSED, False, VmState.SUSPENDED), ("", describe.SHUTOFF, True, VmState.SAVED),
        ("stop", describe.SHUTOFF, False, VmState.STOPPED),
    ],
)  # fmt: skip
def test_intents(intent: str, state: int, saved: bool, expected: VmState) -> None:
    assert describe.state_of(seen(OWN.with_(intent=intent), state=state, saved=saved), 0.0)[0] is expected


def test_a_stop_has_a_deadline() -> None:
    stopping = seen(OWN.with_(intent="stop", intent_at=100.0))
    assert describe.state_of(stopping, 150.0) == (VmState.STOPPING, "the guest was asked to shut down")
    assert describe.state_of(stopping, 700.0) == (
        VmState.RUNNING,
        "the guest was asked 10m ago to shut down and did not",
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (None, Origin.FOREIGN), (Tags(), Origin.FOREIGN), (OWN, Origin.OWN), (OWN.with_(owner="x"), Origin.FOREIGN),
        (OWN.with_(adopted=True), Origin.ADOPTED),
    ],
)  # fmt: skip
def test_origin(tags: Tags | None, expected: Origin) -> None:
    assert origin_of(tags, "ada@lab") is expected


def test_ssh_is_where_port_22_is_forwarded_from_else_the_own_address() -> None:
    tags = Tags(forwards={"127.0.0.9": {8080: 80}, "127.0.0.10": {2022: 22}})
    assert describe.ssh_of(tags, ("192.168.1.2",)) == ("127.0.0.10", 2022)
    assert describe.ssh_of(Tags(), ("192.168.1.2",)) == ("192.168.1.2", 22)
    assert describe.ssh_of(Tags(), ()) == ("", 22)


@pytest.mark.parametrize("xml", ["", "<not", "<domain/>", "<domain><vcpu/><currentMemory>x</currentMemory></domain>"])
def test_an_odd_domain_is_still_a_vm(xml: str) -> None:
    root = describe.parse(xml)
    odd = Seen(uuid="u", name="n", xml=xml, root=root, tags=describe.tags_of(root), state=5, reason=0)
    assert describe.vm(odd, VIEW).state is VmState.STOPPED
    assert (describe.netdev(root), describe.console_path(root), describe.disk_targets(root)) == ("", "", {})
    assert not describe.agent_answers(root)


def test_size_of_a_foreign_domain() -> None:
    xml = "<domain><vcpu current='2'>4</vcpu><memory unit='KiB'>2097152</memory></domain>"
    assert describe.size_of(describe.parse(xml)) == "2x2048"
