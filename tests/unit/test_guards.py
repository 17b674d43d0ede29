"""The guards around a cloud: what is tried again, how long, and what never is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms import guards
from cloudms.clock import ManualClock
from cloudms.clouds.base import Cloud, Power, Reach, Setup, Snapshots, all_roles
from cloudms.clouds.fake import FakeCloud
from cloudms.errors import (
    CloudmsError,
    Conflict,
    Denied,
    Exists,
    Interrupted,
    Invalid,
    NoCapacity,
    NotFound,
    NotReady,
    Throttled,
    Timeout,
)
from cloudms.guards import Rules, guard
from cloudms.model import Flavor, Image, Vm, VmSpec

RULES = Rules(attempts=5, read_attempts=3, first=1.0, factor=2.0, longest=30.0, jitter=0.0, deadline=100.0)
CHANGES = """
    create_vm create_vms renew_vm clone_vm delete_vm clean mend start_vm stop_vm reboot_vm suspend_vm resume_vm
    save_vm deallocate_vm
    resize_vm confirm_vm revert_vm rename_vm rebuild_vm tag_vm adopt_vm create_snapshot revert_snapshot delete_snapshot
    create_volume delete_volume attach_volume detach_volume tag_volume resize_volume
    create_volume_snapshot delete_volume_snapshot restore_volume
    set_address remove_address create_address delete_address detach_address
    create_secgroup delete_secgroup add_rule remove_rule
    add_key delete_key delete_image
"""
VM = Vm(name="web", cloud="c", id="1")


class Scripted(Cloud, Power):
    """A cloud whose calls raise or return what a script says."""

    kind = "scripted"

    def __init__(self, *script: object, clock: ManualClock | None = None, **options: object) -> None:
        super().__init__(Setup(name="c", clock=clock or ManualClock(), options=options))
        self.script = list(script)
        self.asked: list[str] = []

    def _next(self, name: str) -> object:
        self.asked.append(name)
        step = self.script.pop(0) if self.script else VM
        if isinstance(step, Exception):
            raise step
        return step

    def reach(self) -> Reach:
        return self._next("reach")  # type: ignore[return-value]

    def list_vms(self) -> Iterator[Vm]:
        for row in self._next("list_vms"):  # type: ignore[attr-defined]
            if isinstance(row, Exception):
                raise row
            yield row

    def get_vm(self, vm: Vm) -> Vm:
        return self._next("get_vm")  # type: ignore[return-value]

    def create_vm(self, spec: VmSpec, report: object = None) -> Vm:
        return self._next("create_vm")  # type: ignore[return-value]

    def delete_vm(self, vm: Vm) -> None:
        self._next("delete_vm")

    def list_images(self) -> Iterator[Image]:
        yield from ()

    def list_flavors(self) -> Iterator[Flavor]:
        yield from ()

    def start_vm(self, vm: Vm) -> Vm:
        return self._next("start_vm")  # type: ignore[return-value]

    def stop_vm(self, vm: Vm, *, force: bool = False) -> Vm:
        return self._next(f"stop_vm force={force}")  # type: ignore[return-value]


def named(name: str) -> Vm:
    return Vm(name=name, cloud="c", id=name)


def test_a_change_is_tried_again_with_growing_pauses_until_it_succeeds() -> None:
    said: list[str] = []
    cloud = Scripted(NotReady("no line"), NotReady("no line"), NotReady("no line"), VM)
    assert guard(cloud, rules=RULES, report=said.append).start_vm(VM) is VM
    assert cloud.clock.slept == [1.0, 2.0, 4.0]
    assert said[0] == "no line; trying again in 1.0 s (2 of 5)"
    assert len(said) == 3


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    cloud = Scripted(*[NotReady(f"try {i}") for i in range(9)])
    with pytest.raises(NotReady, match="try 4"):
        guard(cloud, rules=RULES).start_vm(VM)
    assert len(cloud.asked) == 5


def test_a_read_is_tried_less_often_and_reach_once() -> None:
    cloud = Scripted(*[NotReady("no line") for _ in range(9)])
    guarded = guard(cloud, rules=RULES)
    for call, tries in ((lambda: guarded.get_vm(VM), 3), (guarded.reach, 1)):
        cloud.asked.clear()
        with pytest.raises(NotReady):
            call()
        assert len(cloud.asked) == tries


@pytest.mark.parametrize("kind", [Denied, Invalid, NotFound, Exists, NoCapacity, Conflict, Timeout, Interrupted])
def test_errors_that_waiting_does_not_change_are_raised_at_once(kind: type[Exception]) -> None:
    cloud = Scripted(kind("no"), VM)
    with pytest.raises(kind):
        guard(cloud, rules=RULES).create_vm(VmSpec(name="a", token="t", image="i", flavor="f"))
    assert cloud.asked == ["create_vm"]
    assert cloud.clock.slept == []


def test_an_error_from_outside_of_the_house_is_a_bug_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "is_ours", lambda _: True)
    cloud = Scripted(KeyError("bug"), VM)
    with pytest.raises(KeyError):
        guard(cloud, rules=RULES).start_vm(VM)
    assert cloud.asked == ["start_vm"]


def test_a_bug_in_the_cloud_of_a_plug_in_is_an_error_of_that_cloud() -> None:
    cloud = Scripted(KeyError("bug"), VM)
    with pytest.raises(CloudmsError, match=r"cloud 'c' has a bug in tests.unit.test_guards, start_vm: KeyError"):
        guard(cloud, rules=RULES).start_vm(VM)
    assert cloud.asked == ["start_vm"]


@pytest.mark.parametrize(
    ("details", "again"),
    [
        ({}, True),
        ({"state": "stopping"}, True),
        ({"state": "stopped"}, False),
        ({"state": "a state nobody knows"}, True),
        ({"retry": False}, False),
    ],
)
def test_not_ready_is_tried_again_only_when_waiting_can_help(details: dict[str, object], again: bool) -> None:
    assert guards.worth_another(NotReady("not now", details=details)) is again


def test_throttled_waits_as_long_as_the_cloud_asks() -> None:
    cloud = Scripted(Throttled("slowly", details={"retry_after": "17"}), VM)
    assert guard(cloud, rules=RULES).start_vm(VM) is VM
    assert sum(cloud.clock.slept) == 17.0


def test_throttled_holds_back_the_calls_of_other_threads_too() -> None:
    cloud = Scripted(*[Throttled("slowly", details={"retry_after": 40.0})] * 5, VM)
    guarded = guard(cloud, rules=RULES.with_(attempts=1))
    began = cloud.clock.now()
    with pytest.raises(Throttled):
        guarded.start_vm(VM)
    assert cloud.clock.now() == began
    cloud.script.clear()
    assert guarded.get_vm(VM) is VM
    assert cloud.clock.now() - began == 40.0


def test_a_pause_beyond_the_deadline_is_not_waited_for() -> None:
    cloud = Scripted(Throttled("slowly", details={"retry_after": 1000}))
    guarded = guard(cloud, rules=RULES)
    with pytest.raises(Throttled, match="slowly"):
        guarded.start_vm(VM)
    with pytest.raises(Throttled) as refused:
        guarded.start_vm(VM)
    assert refused.value.details["retry_after"] == pytest.approx(1000)
    assert cloud.asked == ["start_vm"]
    assert cloud.clock.slept == []


def test_no_attempt_begins_after_the_deadline() -> None:
    cloud = Scripted(*[NotReady("no line") for _ in range(99)])
    rules = RULES.with_(attempts=99, deadline=20.0)
    with pytest.raises(NotReady):
        guard(cloud, rules=rules).start_vm(VM)
    assert sum(cloud.clock.slept) == 1 + 2 + 4 + 8


def test_pauses_end_at_the_longest_and_jitter_shortens_them() -> None:
    rules = Rules(first=1.0, factor=10.0, longest=30.0, jitter=0.5)
    assert [rules.pause(n, 0.0) for n in (1, 2, 3)] == [1.0, 10.0, 30.0]
    assert [rules.pause(2, dice) for dice in (0.0, 0.5, 1.0)] == [10.0, 7.5, 5.0]


def test_the_default_dice_fall_differently() -> None:
    pauses = set()
    for _ in range(20):
        cloud = Scripted(NotReady("no line"), VM)
        guard(cloud).start_vm(VM)
        pauses.add(cloud.clock.slept[0])
    assert len(pauses) > 10
    assert all(0.25 <= pause <= 0.5 for pause in pauses)


def test_arguments_reach_the_cloud() -> None:
    cloud = Scripted()
    guard(cloud, rules=RULES).stop_vm(VM, force=True)
    assert cloud.asked == ["stop_vm force=True"]


def test_a_list_that_breaks_off_goes_on_with_the_rows_that_are_missing() -> None:
    a, b, c = named("a"), named("b"), named("c")
    cloud = Scripted([a, NotReady("broken")], [b, a, NotReady("broken")], [a, b, c])
    assert [vm.name for vm in guard(cloud, rules=RULES).list_vms()] == ["a", "b", "c"]
    assert cloud.clock.slept == [1.0, 2.0]


def test_a_list_hands_out_rows_as_they_come_and_repeats_none_that_the_cloud_does_not() -> None:
    a = named("a")
    rows = iter(guard(Scripted([a, a, Denied("no")]), rules=RULES).list_vms())
    assert next(rows) is a
    assert next(rows) is a
    with pytest.raises(Denied):
        next(rows)


def test_a_list_gives_up_in_the_end() -> None:
    cloud = Scripted(*[[named(str(i)), NotReady("broken")] for i in range(9)])
    rows = iter(guard(cloud, rules=RULES).list_vms())
    with pytest.raises(NotReady):
        list(rows)
    assert len(cloud.asked) == 3


def test_a_dry_run_reads_but_changes_nothing() -> None:
    cloud = Scripted([VM])
    guarded = guard(cloud, rules=RULES, dry_run=True)
    assert list(guarded.list_vms()) == [VM]
    with pytest.raises(Invalid) as refused:
        guarded.delete_vm(VM)
    assert refused.value.details == {"cloud": "c", "call": "delete_vm", "dry_run": True}
    assert cloud.asked == ["list_vms"]


def test_every_call_of_the_contract_is_guarded_and_every_change_is_refused_by_a_dry_run() -> None:
    calls = guards.contract_calls()
    assert calls >= guards.READS
    for role in all_roles():
        assert set(role.__abstractmethods__ if hasattr(role, "__abstractmethods__") else ()) <= calls
    assert sorted(calls - guards.READS) == sorted(CHANGES.split())


def test_the_rate_limit_lets_a_burst_pass_and_then_spreads_the_calls() -> None:
    clock = ManualClock()
    guarded = guard(Scripted(clock=clock), rules=RULES.with_(rate=2.0, burst=3))
    began = clock.now()
    for _ in range(7):
        guarded.get_vm(VM)
    assert clock.now() - began == pytest.approx(2.0)


def test_the_rate_comes_from_the_settings_of_the_cloud() -> None:
    clock = ManualClock()
    guarded = guard(Scripted(clock=clock, calls_per_second="5"))
    began = clock.now()
    for _ in range(20):
        guarded.get_vm(VM)
    assert clock.now() - began == pytest.approx(2.0)


def test_the_pause_can_be_handed_in_so_that_a_wait_can_be_interrupted() -> None:
    def stop(_seconds: float) -> None:
        raise Interrupted("stopped on request")

    with pytest.raises(Interrupted):
        guard(Scripted(NotReady("no line")), rules=RULES, pause=stop).start_vm(VM)


def test_what_each_call_cost_is_recorded() -> None:
    clock = ManualClock()

    class Slow(Scripted):
        def get_vm(self, vm: Vm) -> Vm:
            clock.sleep(3.0)
            return super().get_vm(vm)

    guarded = guard(Slow(VM, NotReady("no line"), VM, [VM], clock=clock), rules=RULES)
    guarded.get_vm(VM)
    guarded.get_vm(VM)
    list(guarded.list_vms())
    cost = guards.timings(guarded)
    assert cost["get_vm"] == guards.Timing(tries=3, failures=1, seconds=9.0, longest=3.0)
    assert cost["list_vms"] == guards.Timing(tries=1, failures=0, seconds=0.0, longest=0.0)


def test_the_stand_in_passes_for_the_cloud() -> None:
    cloud = Scripted()
    guarded = guard(cloud)
    assert isinstance(guarded, Power)
    assert isinstance(guarded, Cloud)
    assert not isinstance(guarded, Snapshots)
    assert guarded.supports(Power) == ""
    assert guarded.supports(Snapshots) == "scripted has no snapshots"
    assert (guarded.name, guarded.kind, guarded.width) == ("c", "scripted", 8)
    assert guards.unguarded(guarded) is cloud
    assert guards.unguarded(cloud) is cloud
    assert guards.timings(cloud) == {}
    assert guards.unguarded(guard(guarded)) is cloud


def test_a_missing_method_stays_missing() -> None:
    with pytest.raises(AttributeError):
        guard(Scripted()).create_snapshot(VM, "s")  # type: ignore[attr-defined]


def test_the_guarded_fake_cloud_survives_its_faults(tmp_path: Path) -> None:
    clock = ManualClock()
    fake = FakeCloud(Setup(name="fake", owner="me", options={"state": str(tmp_path / "s.json")}, clock=clock))
    guarded = guard(fake)
    guarded.add_fault("unreachable", "create_vm", times=2)
    guarded.add_fault("loses_reply", "create_vm", times=1)
    made = guarded.create_vm(VmSpec(name="a", token="t", image="micro", flavor="nano", owner="me"))
    guarded.create_vm(VmSpec(name="b", token="u", image="micro", flavor="nano", owner="me"))
    guarded.add_fault("partial_list", "list_vms", after=1)
    assert [vm.name for vm in guarded.list_vms()] == ["a", "b"]
    assert made.token == "t"
    assert len(fake.calls("create_vm")) == 5


def test_threads_share_one_guard() -> None:
    guarded = guard(Scripted(), rules=RULES.with_(rate=1000.0))
    threads = [threading.Thread(target=lambda: [guarded.get_vm(VM) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guards.timings(guarded)["get_vm"].tries == 400
