"""Leases on libvirt's pretended hypervisor: tag, seed, agent, and what is said when the guest cannot be told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.libvirt import describe, guest, seed
from cloudms.clouds.libvirt.driver import LibvirtCloud
from cloudms.errors import Conflict, NotFound, NotReady, Unsupported
from cloudms.model import Vm, VmState

Define = Callable[..., Vm]
TOKEN = "abcd1234"


class Seeds:
    """What stands in the pool."""

    def __init__(self, cloud: LibvirtCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, bytes] = {}
        monkeypatch.setattr(cloud.pool, "get", self.get)
        monkeypatch.setattr(cloud.pool, "replace", self.files.__setitem__)

    def get(self, name: str) -> bytes:
        """Return a file. Raises: NotFound."""
        if name not in self.files:
            raise NotFound(name)
        return self.files[name]


@pytest.fixture
def seeds(cloud: LibvirtCloud, monkeypatch: pytest.MonkeyPatch) -> Seeds:
    """Return a pool that has the seed of the VM."""
    made = Seeds(cloud, monkeypatch)
    made.files[f"cms-{TOKEN}-seed.iso"] = seed.iso(seed.files(instance="i", hostname="h", keys=["k"]))
    return made


def test_a_vm_that_is_off_has_the_new_end_on_the_domain_and_in_its_seed(
    cloud: LibvirtCloud,
    define: Define,
    seeds: Seeds,
    clock: ManualClock,
) -> None:
    vm = define(expires=clock.now() + 10)
    assert cloud.renew_vm(vm.with_(expires=2e9)).expires == 2e9
    assert cloud.get_vm(vm).expires == 2e9
    (content,) = seeds.files.values()
    written = seed.extract(content)
    assert f"cms-lease set 2000000000 {int(clock.now())}\n".encode() in written["vendor-data"]
    assert b"instance-id: i\n" in written["meta-data"]
    cloud.renew_vm(vm.with_(expires=2e9, protected=True))
    assert b"cms-lease set 0 " in seed.extract(*seeds.files.values())["vendor-data"]


def test_without_a_seed_of_ours_a_vm_that_is_off_cannot_be_told(
    cloud: LibvirtCloud,
    define: Define,
    seeds: Seeds,
) -> None:
    seeds.files.clear()
    vm = define()
    with pytest.raises(Unsupported, match="without a timer"):
        cloud.renew_vm(vm.with_(expires=2e9))
    assert cloud.get_vm(vm).expires == 2e9


def test_a_running_guest_is_told_by_its_agent_or_not_at_all(
    cloud: LibvirtCloud,
    define: Define,
    seeds: Seeds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vm = cloud.start_vm(define())
    with pytest.raises(NotReady, match="agent") as caught:
        cloud.renew_vm(vm.with_(expires=2e9))
    assert caught.value.details["retry"] is False
    assert cloud.get_vm(vm).expires == 2e9
    assert b"set 2000000000" in seed.extract(*seeds.files.values())["vendor-data"]
    told: list[str] = []
    monkeypatch.setattr(describe, "agent_answers", lambda _root: True)

    def run_script(_domain: object, script: str, _clock: object) -> bool:
        told.append(script)
        return True

    monkeypatch.setattr(guest, "run_script", run_script)
    assert cloud.renew_vm(vm.with_(expires=None)).expires is None
    assert "cms-lease set 0 " in told[0]
    cloud.suspend_vm(vm)
    with pytest.raises(NotReady):
        cloud.renew_vm(vm.with_(expires=2e9))


def test_a_vm_of_others_is_not_renewed(cloud: LibvirtCloud, define: Define) -> None:
    with pytest.raises(Conflict):
        cloud.renew_vm(define(owner="grace@lab").with_(expires=2e9))


def test_a_vm_whose_lease_has_ended_says_so_when_it_is_off(
    cloud: LibvirtCloud,
    define: Define,
    clock: ManualClock,
) -> None:
    vm = define(expires=clock.now() + 10)
    assert cloud.get_vm(vm).reason == ""
    clock.sleep(9)  # a guest counts whole seconds, and by a clock of its own
    assert cloud.get_vm(vm).reason == "its lease has ended"
    clock.sleep(11)
    assert (cloud.get_vm(vm).state, cloud.get_vm(vm).reason) == (VmState.STOPPED, "its lease has ended")
    assert define("kept", token="beef4321", expires=1.0, protected=True).reason == ""


class Agent:
    """Answers what is sent to a guest's agent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", self.command)

    def agentSetResponseTimeout(self, _seconds: int, _flags: int) -> None:  # noqa: N802 (libvirt's name)
        """Take the limit."""

    def command(self, _domain: object, text: str, _seconds: int, _flags: int) -> str:
        """Answer one command."""
        self.asked.append(json.loads(text))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"return": answer})


def test_a_script_is_run_by_the_agent_and_waited_for(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    agent = Agent(monkeypatch, {"pid": 7}, {"exited": False}, {"exited": True, "exitcode": 0})
    assert guest.run_script(agent, "echo hi\n", clock)
    assert agent.asked[0]["execute"] == "guest-exec"
    assert base64.b64decode(agent.asked[0]["arguments"]["input-data"]) == b"echo hi\n"
    assert agent.asked[1]["arguments"] == {"pid": 7}


@pytest.mark.parametrize(
    "answers",
    [
        [libvirt.libvirtError("no agent")],
        [{"pid": 7}, {"exited": True, "exitcode": 1}],
        [{"pid": 7}, libvirt.libvirtError("gone")],
        [{"pid": 7}, *[{"exited": False}] * 200],
    ],
    ids=["absent", "failed", "lost", "too slow"],
)
def test_a_script_that_does_not_succeed_is_said_so(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock, answers: list[Any]
) -> None:
    assert not guest.run_script(Agent(monkeypatch, *answers), "x", clock)
