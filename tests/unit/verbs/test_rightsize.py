"""Suggestions out of a cloud's history or of looking now, and their plan: what is resized, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.base import Metrics, MetricsHistory, Resize
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import Plan
from cloudms.engine.sizes import ALTOGETHER, PER_VM
from cloudms.errors import ConfigError, Interrupted, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Flavor, Vm
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import asked, fake

WEEK = 7 * 86400
IDLE, BUSY = 3.0, 97.0


def boot(ctx: Context, call: Call, name: str, cloud: str = "one", flavor: str = "medium") -> Vm:
    call("vm boot", "micro", name=name, cloud=cloud, flavor=flavor, wait="running")
    (vm,) = [vm for vm in call("vm list", cloud=cloud).items if vm.name == name]
    assert isinstance(vm, Vm)
    return vm


def week(clock: ManualClock, cpu: float, memory: float | None = 300.0, begin: float = -WEEK) -> list[dict[str, float]]:
    """Return a sample for every hour since `begin`, seconds from now."""
    hours = range(int(-begin // 3600))
    more = {} if memory is None else {"memory_used_mib": memory}
    return [{"at": clock.now() + begin + hour * 3600, "cpu_percent": cpu, **more} for hour in hours]


def without_history(ctx: Context, *clouds: str) -> None:
    for name in clouds:
        fake(ctx, name).options.__dict__["refuse"] = {MetricsHistory.name: "it forgets at once"}


def rows(listing: Any) -> dict[str, Any]:
    return {row.name: row for row in listing.items}


def test_history_is_asked_once_for_all_and_judged(ctx: Context, call: Call, clock: ManualClock) -> None:
    for name, load in (("idle", IDLE), ("busy", BUSY)):
        fake(ctx, "one").set_history(boot(ctx, call, name), week(clock, load))
    before = clock.now()
    found = rows(call("vm rightsize"))
    assert clock.now() == before
    assert asked(ctx, "one", "history") == 1
    idle, busy = found["idle"], found["busy"]
    assert (idle.suggestion, idle.saving_per_hour, idle.saving_per_month) == ("lean", 0.02, 14.6)
    assert (idle.currency, idle.risk, idle.held) == ("USD", "low", "")
    assert idle.price_fetched == before
    assert (busy.suggestion, busy.change, busy.saving_per_hour) == ("large", "larger", -0.04)
    assert "300 of 4096 MiB" in idle.reason
    assert any("together this saves -0.02 USD per hour, -14.60 per month" in note for note in ctx.notes)


def test_a_cloud_that_keeps_no_history_is_looked_at_now(ctx: Context, call: Call, clock: ManualClock) -> None:
    heard: list[tuple[str, str]] = []
    vm = boot(ctx, call, "idle", "two")
    fake(ctx, "two").set_load(vm, 0.02)
    without_history(ctx, "two")
    ctx.progress = lambda target, text: heard.append((target, text))
    begun = clock.now()
    (row,) = call("vm rightsize", ["idle"]).items
    assert clock.now() - begun == 60
    assert (row.samples, row.coverage, row.window, row.cpu_p95) == (30, 1.0, 60, 2.0)
    assert (row.suggestion, row.risk) == ("lean", "high")
    assert "1m only" in row.caution
    assert heard == [("two", "measuring 1 VM for 1m, every 2 s")]
    assert asked(ctx, "two", "metrics") == 31
    begun = clock.now()
    (row,) = call("vm rightsize", ["idle"], window="5", interval=0.25).items
    assert (row.samples, clock.now() - begun) == (20, 5)


def test_both_ways_in_one_command(ctx: Context, call: Call, clock: ManualClock) -> None:
    fake(ctx, "one").set_history(boot(ctx, call, "past"), week(clock, IDLE))
    fake(ctx, "two").set_load(boot(ctx, call, "now", "two"), 0.02)
    without_history(ctx, "two")
    found = rows(call("vm rightsize"))
    assert (found["past"].window, found["now"].window) == (WEEK, 60)
    assert {row.suggestion for row in found.values()} == {"lean"}


def test_a_young_vm_is_kept_since_no_number_is_no_load(ctx: Context, call: Call) -> None:
    boot(ctx, call, "young")
    (row,) = call("vm rightsize", ["young"]).items
    assert (row.suggestion, row.samples) == ("keep", 0)
    assert "no number is no load" in row.reason
    assert asked(ctx, "one", "price") == 1  # of its boot: none is asked where nothing can be suggested


def test_what_was_measured_before_a_resize_does_not_count(ctx: Context, call: Call, clock: ManualClock) -> None:
    vm = boot(ctx, call, "web", flavor="medium")
    fake(ctx, "one").options.__dict__["confirm_resize"] = False
    call("vm resize", "web", "large")
    clock.sleep(86400)
    fake(ctx, "one").set_history(vm, week(clock, IDLE))
    (row,) = call("vm rightsize", ["web"]).items
    assert (row.suggestion, row.samples) == ("keep", 24)
    assert "14 % of 7d" in row.reason
    assert "when it was resized, does not count" in row.reason
    (row,) = call("vm rightsize", ["web"], window="1d").items
    assert row.samples == 24
    assert "resized" not in row.reason


def test_applied_through_the_action_of_resize_and_reverted(ctx: Context, call: Call, clock: ManualClock) -> None:
    fake(ctx, "one").set_history(boot(ctx, call, "idle"), week(clock, IDLE))
    fake(ctx, "one").set_history(boot(ctx, call, "fine"), week(clock, 60.0, 3000.0))
    plan = call("vm rightsize", apply=True, dry_run=True)
    assert isinstance(plan, Plan)
    assert [(step.action, step.target, step.params["flavor"]) for step in plan.steps] == [("vm.resize", "idle", "lean")]
    assert plan.question.startswith("Resize 1 VM?")
    assert any(note.startswith("idle from medium to lean, risk low: ") for note in plan.notes)
    assert any(note.startswith("fine is left as it is: ") for note in plan.notes)
    assert asked(ctx, "one", "resize_vm") == 0
    done = call("vm rightsize", apply=True)
    assert (done.verb, done.state) == ("vm rightsize", "done")
    (vm,) = call("vm list", ["idle"]).items
    assert (vm.flavor, vm.resized_from) == ("lean", "medium")
    call("vm revert", ["idle"])
    assert [vm.flavor for vm in call("vm list", ["idle"]).items] == ["medium"]


def test_protected_and_stopped_vms_are_left_alone_with_the_reason(ctx: Context, call: Call, clock: ManualClock) -> None:
    for name in ("held", "off"):
        fake(ctx, "one").set_history(boot(ctx, call, name), week(clock, IDLE))
    call("vm protect", ["held"])
    call("vm stop", ["off"])
    found = rows(call("vm rightsize"))
    assert (found["held"].suggestion, found["off"].suggestion) == ("lean", "keep")
    assert found["held"].held == "it is protected (cms vm unprotect held)"
    assert found["held"].reason.endswith("--apply leaves it alone, since it is protected (cms vm unprotect held)")
    assert found["off"].reason == "it is stopped: only what runs is measured"
    plan = call("vm rightsize", apply=True, dry_run=True)
    assert plan.steps == ()
    assert plan.question == ""
    assert len(plan.notes) == 2


def test_vms_of_others_are_looked_at_by_name_only_and_never_resized(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    fake(ctx, "one").options.__dict__["foreign"] = ["theirs"]
    (vm,) = call("vm list", ["theirs"], cloud="one").items
    fake(ctx, "one").set_history(vm, week(clock, 0.5, 50.0))
    assert call("vm rightsize", cloud="one").items == ()
    assert ctx.notes == ["1 VM of others left out: name what is to be looked at"]
    (row,) = call("vm rightsize", ["theirs"]).items
    assert "it was not made by cloudms" in row.held or row.suggestion == "keep"
    assert call("vm rightsize", ["theirs"], apply=True, dry_run=True).steps == ()


def test_what_cannot_be_resized_is_said(ctx: Context, call: Call, clock: ManualClock) -> None:
    fake(ctx, "one").set_history(boot(ctx, call, "idle"), week(clock, IDLE))
    fake(ctx, "one").options.__dict__["refuse"] = {Resize.name: "its legs are short"}
    (row,) = call("vm rightsize", ["idle"]).items
    assert (row.suggestion, row.held) == ("lean", "its legs are short")
    assert call("vm rightsize", apply=True, dry_run=True).steps == ()


def test_a_cloud_that_does_not_answer_stops_no_other(ctx: Context, call: Call, clock: ManualClock) -> None:
    for name, cloud in (("a", "one"), ("b", "two")):
        fake(ctx, cloud).set_history(boot(ctx, call, name, cloud), week(clock, IDLE))
    fake(ctx, "two").add_fault("denied", call="history", times=0)
    listing = call("vm rightsize")
    assert list(rows(listing)) == ["a"]
    assert listing.failed["two"]["code"] == "denied"
    plan = call("vm rightsize", apply=True, dry_run=True)
    assert [step.target for step in plan.steps] == ["a"]
    assert any("'two' did not answer" in text for text in ctx.warnings)


def test_a_look_that_fails_once_is_warned_about_and_the_others_count(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(ctx, "two").set_load(boot(ctx, call, "idle", "two"), 0.02)
    without_history(ctx, "two")
    looks = [0]
    real = FakeCloud.metrics

    def metrics(cloud: FakeCloud, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        looks[0] += 1
        if looks[0] == 5:
            raise NotReady("busy", details={"retry": False})
        return real(cloud, vms)

    monkeypatch.setattr(FakeCloud, "metrics", metrics)
    (row,) = call("vm rightsize", ["idle"]).items
    assert (row.samples, row.suggestion) == (29, "lean")
    assert ctx.warnings == ["cloud 'two' did not answer every time: busy"]


def test_a_vm_that_was_started_anew_meanwhile_counts_backwards_and_this_is_said(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    boot(ctx, call, "web", "two")
    without_history(ctx, "two")
    begun = clock.now()

    def metrics(_cloud: FakeCloud, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        since = clock.now() - begun
        seconds = 1000 + since if since < 30 else since - 30
        return {vm.key: {"cpu_seconds": seconds * 0.02, "memory_used_mib": 100.0} for vm in vms}

    monkeypatch.setattr(FakeCloud, "metrics", metrics)
    (row,) = call("vm rightsize", ["web"]).items
    assert (row.samples, row.cpu_max) == (29, 1.0)
    assert "1 sample was no number" in row.reason


def test_prices_are_asked_for_few_flavors_and_once(
    ctx: Context, call: Call, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [
        Flavor(name=f"big{n:03}", cloud="one", id=f"big{n:03}", vcpus=2 + n, memory_mib=4096 + n, disk_gib=20)
        for n in range(200)
    ]
    listed, names = FakeCloud.list_flavors, list[str]()

    def price(_cloud: FakeCloud, name: str, region: str = "") -> Flavor:
        names.append(name)
        found = next((flavor for flavor in many if flavor.name == name), Flavor(name=name, cloud="one"))
        return found.with_(price_per_hour=1.0 if found in many else 0.04, price_fetched=clock.now())

    monkeypatch.setattr(FakeCloud, "list_flavors", lambda cloud: [*listed(cloud), *many])
    monkeypatch.setattr(FakeCloud, "price", price)
    for name in ("a", "b"):
        fake(ctx, "one").set_history(boot(ctx, call, name), week(clock, IDLE, 3000.0))
    names.clear()
    found = call("vm rightsize", ["a", "b"])
    assert {row.suggestion for row in found.items} == {"keep"}, found.items[0].reason
    assert len(names) == len(set(names))
    assert len(names) == 1 + PER_VM < ALTOGETHER


def test_a_price_that_nobody_tells_is_told_as_unknown(
    ctx: Context, call: Call, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def price(_cloud: FakeCloud, flavor: str, region: str = "") -> Flavor:
        raise NotFound(f"no price of {flavor}")

    monkeypatch.setattr(FakeCloud, "price", price)
    fake(ctx, "one").set_history(boot(ctx, call, "idle"), week(clock, IDLE))
    (row,) = call("vm rightsize", ["idle"]).items
    assert (row.suggestion, row.saving_per_hour, row.currency) == ("lean", None, "")
    assert "compared by size" in row.reason


def test_a_cloud_that_measures_nothing_is_refused_by_name_and_told_in_a_list(ctx: Context, call: Call) -> None:
    boot(ctx, call, "web")
    fake(ctx, "one").options.__dict__["refuse"] = {MetricsHistory.name: "no", Metrics.name: "it has no eyes"}
    with pytest.raises(Unsupported, match="does not tell what web uses"):
        call("vm rightsize", ["web"])
    (row,) = call("vm rightsize").items
    assert (row.suggestion, row.reason) == ("keep", "its cloud does not tell what it uses")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "never"}, "--window must be more than 0"),
        ({"window": "soon"}, "is not a duration"),
        ({"target": 0.0}, "--target is not a percentage"),
        ({"target": 95.0}, "below 90"),
        ({"interval": 0.0}, "--interval must be more than 0"),
        ({"window": "10"}, "10s with a look every 2 s are 5 samples, and 10 are the least"),
    ],
)
def test_what_cannot_be_asked_is_one_line(ctx: Context, call: Call, options: dict[str, Any], message: str) -> None:
    boot(ctx, call, "web")
    without_history(ctx, "one")
    with pytest.raises(Invalid, match=message):
        call("vm rightsize", ["web"], **options)


def test_the_target_is_an_option_or_a_setting(ctx: Context, call: Call, clock: ManualClock) -> None:
    fake(ctx, "one").set_history(boot(ctx, call, "web"), week(clock, 20.0))
    assert call("vm rightsize", ["web"]).items[0].suggestion == "lean"
    assert call("vm rightsize", ["web"], target=30.0).items[0].suggestion == "keep"
    call("set", ["rightsize.target=30"])
    assert call("vm rightsize", ["web"]).items[0].suggestion == "keep"
    assert call("vm rightsize", ["web"], target=70.0).items[0].suggestion == "lean"
    call("set", ["rightsize.target=much"])
    with pytest.raises(ConfigError, match=r"rightsize\.target is not a percentage"):
        call("vm rightsize", ["web"])


@pytest.mark.parametrize("how", [KeyboardInterrupt, "stop"])
def test_who_does_not_want_to_wait_ends_it(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, how: Any) -> None:
    boot(ctx, call, "web", "two")
    without_history(ctx, "two")
    looks = [0]
    real = FakeCloud.metrics

    def metrics(cloud: FakeCloud, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        looks[0] += 1
        if looks[0] == 3 and how == "stop":
            ctx.stop()
        elif looks[0] == 3:
            raise KeyboardInterrupt
        return real(cloud, vms)

    monkeypatch.setattr(FakeCloud, "metrics", metrics)
    with pytest.raises(Interrupted):
        call("vm rightsize", ["web"])
    assert looks[0] == 3
