"""One state file and many processes: nothing is lost, doubled or torn, whoever dies when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import Open, opener, spec

from cloudms.clock import ManualClock
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.errors import Invalid
from cloudms.model import VmState

SRC = str(Path(__file__).parents[3] / "src")

MAKE = """
import sys
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.model import VmSpec
state, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cloud = FakeCloud(Setup(name="fake", owner="ada", options={"state": state, "boot_seconds": 0}))
for number in range(first, last):
    vm = cloud.create_vm(VmSpec(name=f"vm-{number}", token=f"t-{number}", image="micro", flavor="nano", owner="ada"))
    print(vm.id, vm.private_ips[0], flush=True)
"""


def program(state: Path, first: int, last: int, **environment: str) -> subprocess.Popen[str]:
    """Start a process that makes the VMs of these numbers."""
    env = {**os.environ, "PYTHONPATH": SRC, **environment}
    argv = [sys.executable, "-c", MAKE, str(state), str(first), str(last)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Open:
    return opener(tmp_path, clock)


def test_twenty_processes_make_vms_at_once(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    children = [program(state, start, start + 3) for start in range(0, 60, 3)]
    lines = [line for child in children for line in child.communicate(timeout=120)[0].splitlines()]
    assert {child.returncode for child in children} == {0}
    ids, addresses = zip(*(line.split() for line in lines), strict=True)
    assert len(set(ids)) == len(set(addresses)) == 60
    cloud = FakeCloud(Setup(name="fake", owner="ada", options={"state": str(state)}))
    assert {vm.name for vm in cloud.list_vms()} == {f"vm-{number}" for number in range(60)}
    assert len(cloud.calls("create_vm")) == 60


def test_processes_that_want_the_same_get_the_same(tmp_path: Path) -> None:
    children = [program(tmp_path / "state.json", 0, 2) for _ in range(6)]
    outputs = {child.communicate(timeout=120)[0] for child in children}
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("fault", "vms", "left"), [("dies_before", 0, 0), ("dies_midway", 0, 1), ("dies_after_accepting", 1, 0)]
)
def test_a_process_dies_at_the_worst_moment(opened: Open, tmp_path: Path, fault: str, vms: int, left: int) -> None:
    faults = f'[{{"fault": "{fault}", "call": "create_vm"}}]'
    child = program(tmp_path / "state.json", 0, 1, CLOUDMS_FAKE_FAULTS=faults)
    assert child.communicate(timeout=60)[0] == ""
    assert child.returncode == 137
    cloud = opened()
    assert len(list(cloud.list_vms())) == vms
    orphans = list(cloud.leftovers(frozenset()))
    assert [(orphan.kind, orphan.token) for orphan in orphans] == [("disk", "t-0")] * left
    assert list(cloud.leftovers(frozenset({"t-0"}))) == []
    again = program(tmp_path / "state.json", 0, 1, CLOUDMS_FAKE_FAULTS=faults)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert [vm.token for vm in cloud.list_vms()] == ["t-0"]
    assert list(cloud.leftovers(frozenset())) == []


def test_a_process_dies_between_making_and_starting(opened: Open, tmp_path: Path, clock: ManualClock) -> None:
    faults = '{"fault": "dies_half_made", "call": "create_vm"}'
    child = program(tmp_path / "state.json", 0, 1, CLOUDMS_FAKE_FAULTS=faults)
    child.communicate(timeout=60)
    assert child.returncode == 137
    cloud = opened()
    (vm,) = cloud.list_vms()
    assert (vm.state, vm.reason) == (VmState.PENDING, "its creation was begun and has not ended")
    assert cloud.half_made(vm) is True
    assert cloud.console_log(vm) == ""
    assert cloud.create_vm(spec("vm-0", token="t-0")).id == vm.id
    assert cloud.half_made(vm) is False
    clock.time = (cloud.get_vm(vm).since or 0) + 10
    assert cloud.get_vm(vm).state is VmState.RUNNING


def test_a_leftover_is_cleaned_once(opened: Open, tmp_path: Path) -> None:
    child = program(tmp_path / "state.json", 0, 1, CLOUDMS_FAKE_FAULTS='{"fault": "dies_midway"}')
    child.communicate(timeout=60)
    cloud = opened()
    (orphan,) = cloud.leftovers(frozenset())
    assert orphan.size == 1 << 30
    assert orphan.reason
    assert list(opened(owner="grace").leftovers(frozenset())) == []
    cloud.clean(orphan)
    cloud.clean(orphan)
    assert list(cloud.leftovers(frozenset())) == []
    with pytest.raises(Invalid):
        cloud.clean(orphan.with_(kind="address"))


@pytest.mark.parametrize("pause", [0.05, 0.1, 0.2, 0.3])
def test_kill_at_any_moment_leaves_a_whole_state(opened: Open, tmp_path: Path, pause: float) -> None:
    child = program(tmp_path / "state.json", 0, 100_000)
    assert child.stdout is not None
    os.read(child.stdout.fileno(), 1)  # it has made the first one
    try:
        child.wait(timeout=pause)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    told = child.communicate(timeout=60)[0].count("\n")
    cloud = opened()
    names = [vm.name for vm in cloud.list_vms()]
    assert names == [f"vm-{number}" for number in range(len(names))]
    assert told <= len(names) <= told + 1
    assert cloud.create_vm(spec("after")).name == "after"


def test_a_change_is_seen_by_connections_that_have_read_before(opened: Open) -> None:
    one, two = opened(boot_seconds=0), opened(boot_seconds=0)
    vm = one.create_vm(spec())
    assert two.get_vm(vm).state is VmState.RUNNING
    one.stop_vm(vm)
    assert two.get_vm(vm).state is VmState.STOPPED
    two.delete_vm(vm)
    assert list(one.list_vms()) == []


def test_a_change_that_fails_leaves_nothing(opened: Open, tmp_path: Path) -> None:
    cloud = opened(boot_seconds=0, quota_vms=1)
    cloud.create_vm(spec())
    before = (tmp_path / "state.json").read_bytes()
    with pytest.raises(Invalid):
        cloud.create_vm(spec("", token="other"))
    assert (tmp_path / "state.json").read_bytes() == before


def test_a_state_that_is_no_state_is_named(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[1, 2")
    with pytest.raises(Invalid, match=r"state\.json") as refused:
        opened().reach()
    assert refused.value.hint.startswith("delete it")


def test_files_are_private_and_stand_in_the_home_by_default(own_home: Path) -> None:
    cloud = FakeCloud(Setup(name="pretend", owner="ada"))
    cloud.create_vm(spec())
    cloud.add_fault("denied", "never")
    files = sorted((own_home / ".cloudmesh" / "fake").iterdir())
    assert [file.name for file in files] == [f"pretend.json{end}" for end in ("", ".calls", ".faults.json", ".lock")]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_calls_are_recorded_with_name_and_digest_of_arguments(opened: Open) -> None:
    cloud = opened()
    vm = cloud.create_vm(spec())
    cloud.create_vm(spec())
    cloud.stop_vm(vm, force=True)
    cloud.stop_vm(vm)
    assert [each["call"] for each in cloud.calls()] == ["create_vm", "create_vm", "stop_vm", "stop_vm"]
    assert {each["name"] for each in cloud.calls()} == {"web"}
    first, second = cloud.calls("create_vm")
    assert first["args"] == second["args"]
    assert len({each["args"] for each in cloud.calls("stop_vm")}) == 2
    opened(calls=False).reach()
    assert cloud.calls("reach") == []


def test_the_journal_does_not_grow_without_end(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.clouds.fake.store.JOURNAL_BYTES", 500)
    cloud = opened()
    for _ in range(50):
        cloud.reach()
    assert (tmp_path / "state.json.calls").stat().st_size < 700
    assert cloud.calls("reach")
