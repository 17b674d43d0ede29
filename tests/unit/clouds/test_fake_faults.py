"""Faults on demand: where they come from, whom they strike, how often, and what each of them does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Open, opener, spec

from cloudms.clock import ManualClock
from cloudms.clouds.fake import KINDS
from cloudms.errors import CloudmsError, ConfigError, Denied, NoCapacity, NotReady, Throttled, Timeout
from cloudms.model import VmState


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Open:
    return opener(tmp_path, clock)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Throttled),
        ("denied", Denied),
        ("no_capacity", NoCapacity),
        ("unreachable", NotReady),
        ("timeout", Timeout),
        ("malformed", NotReady),
    ],
)
def test_a_refusal_comes_before_anything_is_done(opened: Open, fault: str, error: type[CloudmsError]) -> None:
    cloud = opened()
    cloud.add_fault(fault, "create_vm", seconds=7)
    with pytest.raises(error) as refused:
        cloud.create_vm(spec())
    assert refused.value.details["simulated"] is True
    assert refused.value.hint
    assert list(cloud.list_vms()) == []
    assert cloud.create_vm(spec()).name == "web"


def test_throttled_says_how_long_to_wait_and_a_reason_can_be_given(opened: Open) -> None:
    cloud = opened()
    cloud.add_fault("throttled", "reach", seconds=7, reason="the quota of calls is used up")
    with pytest.raises(Throttled, match="the quota of calls is used up") as refused:
        cloud.reach()
    assert refused.value.details["retry_after"] == 7.0


def test_slow_takes_longer_and_works(opened: Open, clock: ManualClock) -> None:
    cloud = opened()
    cloud.add_fault("slow", "create_vm", seconds=33)
    assert cloud.create_vm(spec()).name == "web"
    assert clock.slept == [33.0]


@pytest.mark.parametrize(("error", "kind"), [("", NotReady), ("timeout", Timeout)])
def test_a_lost_reply_is_found_by_asking_again(opened: Open, error: str, kind: type[CloudmsError]) -> None:
    cloud = opened()
    cloud.add_fault("loses_reply", "create_vm", error=error)
    with pytest.raises(kind):
        cloud.create_vm(spec())
    (made,) = cloud.list_vms()
    assert cloud.create_vm(spec()).id == made.id
    assert len(list(cloud.list_vms())) == 1


@pytest.mark.parametrize("call", ["delete_vm", "stop_vm", "tag_vm"])
def test_a_lost_reply_leaves_what_was_done(opened: Open, call: str) -> None:
    cloud = opened(boot_seconds=0)
    vm = cloud.create_vm(spec())
    cloud.add_fault("loses_reply", call)
    with pytest.raises(NotReady):
        getattr(cloud, call)(vm.with_(group="g"))
    seen = list(cloud.list_vms())
    assert {"delete_vm": seen == [], "stop_vm": bool(seen) and seen[0].state is VmState.STOPPED}.get(
        call, bool(seen) and seen[0].group == "g"
    )


def test_never_ready_stays_pending(opened: Open, clock: ManualClock) -> None:
    cloud = opened()
    cloud.add_fault("never_ready", "create_vm", reason="no host has room")
    vm = cloud.create_vm(spec())
    clock.sleep(10_000)
    seen = cloud.get_vm(vm)
    assert (seen.state, seen.reason) == (VmState.PENDING, "no host has room")
    assert cloud.ready(vm) == "pending: no host has room"
    cloud.delete_vm(vm)
    assert list(cloud.list_vms()) == []


def test_error_state_says_why_and_a_start_leaves_it(opened: Open, clock: ManualClock) -> None:
    cloud = opened()
    cloud.add_fault("error_state", "create_vm", reason="the host burns")
    vm = cloud.create_vm(spec())
    assert vm.state is VmState.PENDING
    clock.sleep(10)
    seen = cloud.get_vm(vm)
    assert (seen.state, seen.reason) == (VmState.ERROR, "the host burns")
    assert "the host burns" in str(cloud.ready(vm))
    cloud.start_vm(vm)
    clock.sleep(10)
    assert cloud.get_vm(vm).state is VmState.RUNNING


def test_never_stops_ignores_the_request_and_yields_to_force(opened: Open, clock: ManualClock) -> None:
    cloud = opened(boot_seconds=0)
    vm = cloud.create_vm(spec())
    cloud.add_fault("never_stops", "stop_vm", times=0)
    assert cloud.stop_vm(vm).state is VmState.STOPPING
    clock.sleep(10_000)
    assert cloud.get_vm(vm).reason == "the guest ignores the request"
    assert cloud.stop_vm(vm).state is VmState.STOPPING
    assert cloud.stop_vm(vm, force=True).state is VmState.STOPPED


def test_a_partial_list_raises_after_some_rows(opened: Open) -> None:
    cloud = opened()
    for name in "abc":
        cloud.create_vm(spec(name))
    cloud.add_fault("partial_list", "list_vms", after=2)
    rows = iter(cloud.list_vms())
    assert [next(rows).name, next(rows).name] == ["a", "b"]
    with pytest.raises(NotReady, match="middle of a list"):
        next(rows)
    assert len(list(cloud.list_vms())) == 3


def test_call_and_name_are_patterns(opened: Open) -> None:
    cloud = opened()
    cloud.add_fault("denied", "st*_vm", times=0, name="web-?")
    first, second = cloud.create_vm(spec("web-1")), cloud.create_vm(spec("db"))
    for call in (cloud.start_vm, cloud.stop_vm):
        with pytest.raises(Denied):
            call(first)
        call(second)
    cloud.reboot_vm(first)


@pytest.mark.parametrize(("times", "strikes"), [(1, 1), (3, 3), (0, 5)])
def test_times_counts_across_connections(opened: Open, times: int, strikes: int) -> None:
    opened().add_fault("denied", "reach", times=times)
    failed = 0
    for _ in range(5):
        try:
            opened().reach()
        except Denied:
            failed += 1
    assert failed == strikes


def test_faults_strike_one_after_the_other_and_can_be_cleared(opened: Open) -> None:
    cloud = opened()
    cloud.add_fault("denied", "reach")
    cloud.add_fault("timeout", "reach")
    for kind in (Denied, Timeout):
        with pytest.raises(kind):
            cloud.reach()
    cloud.reach()
    cloud.add_fault("denied", "*", times=0)
    cloud.clear_faults()
    cloud.reach()


def test_faults_come_from_settings_file_and_environment(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = opened(faults=[{"fault": "denied", "call": "reach"}])
    (tmp_path / "state.json.faults.json").write_text(json.dumps([{"fault": "timeout", "call": "reach"}]))
    monkeypatch.setenv("CLOUDMS_FAKE_FAULTS", json.dumps({"fault": "throttled", "call": "reach"}))
    raised = []
    for _ in range(4):
        try:
            cloud.reach()
        except CloudmsError as error:
            raised.append(type(error))
    assert raised == [Denied, Throttled, Timeout]


def test_clearing_lets_a_fault_of_the_settings_strike_again(opened: Open) -> None:
    cloud = opened(faults=[{"fault": "denied", "call": "reach"}])
    for _ in range(2):
        with pytest.raises(Denied):
            cloud.reach()
        cloud.reach()
        cloud.clear_faults()


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "explodes"},
        {"fault": "slow", "seconds": "long"},
        {"fault": "slow", "colour": "red"},
        {"call": "reach"},
    ],
)
def test_a_fault_that_makes_no_sense_is_a_mistake_in_the_configuration(opened: Open, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        opened(faults=[wrong]).reach()


def test_text_that_is_no_json_is_named(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMS_FAKE_FAULTS", "[{")
    with pytest.raises(ConfigError, match="CLOUDMS_FAKE_FAULTS"):
        opened().reach()
    monkeypatch.delenv("CLOUDMS_FAKE_FAULTS")
    (tmp_path / "state.json.faults.json").write_text("oops")
    with pytest.raises(ConfigError, match=r"state\.json\.faults\.json"):
        opened().reach()


def test_every_kind_of_fault_is_tested_here() -> None:
    folder = Path(__file__).parent
    text = "".join((folder / name).read_text() for name in ("test_fake_faults.py", "test_fake_processes.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
