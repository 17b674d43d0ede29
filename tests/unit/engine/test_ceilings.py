"""Ceilings hold at every door and for whoever comes at the same moment, and nothing is reserved when they refuse."""

from __future__ import annotations

import threading

import pytest

from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import ceilings, rehearse, run, start
from cloudms.engine.process import this_process
from cloudms.errors import ConfigError, Conflict, NoCapacity
from cloudms.model import Operation, OperationState
from tests.unit.calling import Call, calling


def allow(ctx: Context, **settings: object) -> None:
    """Set ceilings by key, dots written as two underscores."""
    for key, value in settings.items():
        ctx.config.put(key.replace("__", "."), str(value))


def fake(ctx: Context) -> FakeCloud:
    """Return the first cloud."""
    return FakeCloud(Setup(name="first", owner="alice", clock=ctx.clock))


def untouched(ctx: Context) -> bool:
    """Whether nothing was reserved, written down or asked for."""
    return not any(ctx.catalog.find(kind) for kind in ("vm", "name", "operation")) and not fake(ctx).calls("create_vm")


@pytest.mark.parametrize("key", ["ceiling__max_vms", "cloud__first__max_vms"])
def test_more_vms_than_allowed_are_refused_before_anything_is_reserved(ctx: Context, call: Call, key: str) -> None:
    allow(ctx, **{key: 2})
    with pytest.raises(NoCapacity, match="3 VMs") as caught:
        call("vm boot", name="web", count=3)
    assert untouched(ctx)
    assert f"cms set {key.replace('__', '.')}=3" in caught.value.hint
    assert call("vm boot", name="web", count=2).state is OperationState.DONE
    with pytest.raises(NoCapacity):
        call("vm boot", name="more")


def test_a_ceiling_stands_in_the_file_and_in_a_variable(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ctx.config.path
    assert file
    text = file.read_text()
    file.write_text(text.replace("    first:\n", "    first:\n      max_vms: 1\n"))
    later = Context(catalog=ctx.catalog, clock=ctx.clock)
    found = ceilings.limit(later, "max_vms", "first")
    assert found
    assert found.most == 1
    file.write_text(text + "  ceiling: {max_price_per_hour: 0.5}\n")
    altogether = ceilings.limit(Context(catalog=ctx.catalog, clock=ctx.clock), "max_price_per_hour")
    assert altogether
    assert altogether.most == 0.5
    monkeypatch.setenv("CLOUDMS_CEILING_MAX_VMS", "0")
    with pytest.raises(NoCapacity):
        call("vm boot", name="web")


def test_the_ceiling_of_a_cloud_is_its_own_and_that_of_all_is_for_all(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_vms=1)
    call("vm boot", name="a")
    call("vm boot", name="b", cloud="second")
    call("vm boot", name="c", cloud="second")
    allow(ctx, ceiling__max_vms=3)
    with pytest.raises(NoCapacity, match="all clouds together"):
        call("vm boot", name="d", cloud="second")


def test_what_is_off_does_not_count_until_it_starts(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_vms=1)
    call("vm boot", name="a")
    call("vm stop", ["a"])
    call("vm boot", name="b")
    with pytest.raises(NoCapacity):
        call("vm start", ["a"])
    call("vm start", ["b"])
    call("vm stop", ["b"], save=True)
    call("vm start", ["a"])
    with pytest.raises(NoCapacity):
        call("vm resume", ["b"])


def test_a_price_is_summed_for_boot_clone_start_and_resize(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_price_per_hour=0.024)
    call("vm boot", name="a", count=2)
    assert [row.document["price_per_hour"] for row in ctx.catalog.find("vm")] == [0.01, 0.01]
    with pytest.raises(NoCapacity, match=r"would cost 0\.03 per hour, and may cost 0\.024"):
        call("vm boot", name="b")
    with pytest.raises(NoCapacity):
        call("vm clone", "a-1")
    with pytest.raises(NoCapacity):
        call("vm resize", "a-1", "medium")
    call("vm stop", ["a-1"])
    call("vm boot", name="b", flavor="tiny")
    call("vm stop", ["a-2"])
    call("vm start", ["a-1"])
    with pytest.raises(NoCapacity):
        call("vm start", ["a-2"])


def test_a_resize_downwards_is_never_refused_and_changes_the_price(ctx: Context, call: Call) -> None:
    call("vm boot", name="a", flavor="small", disk=1)
    assert call("vm resize", "a", "large").state is OperationState.DONE
    assert call("vm info", "a").price_per_hour == 0.08
    allow(ctx, ceiling__max_price_per_hour=0.001)
    assert call("vm revert", ["a"]).state is OperationState.DONE
    assert call("vm info", "a").price_per_hour == 0.01
    assert ceilings.resizing(ctx, call("vm resize", "a", "tiny", dry_run=True).steps[0]).price == pytest.approx(-0.005)


def test_an_unknown_price_is_refused_unless_nothing_costs_money(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(ctx).add_fault("denied", "price", times=0)
    call("vm boot", name="a")
    allow(ctx, ceiling__max_price_per_hour=1)
    with pytest.raises(NoCapacity, match="not known") as caught:
        call("vm boot", name="b")
    assert "cms set ceiling.max_price_per_hour=" in caught.value.hint
    assert len(fake(ctx).calls("price")) == 1
    monkeypatch.setattr(FakeCloud, "costs_money", False)
    assert call("vm boot", name="b").state is OperationState.DONE


def test_standing_vms_without_a_price_are_warned_about(ctx: Context, call: Call) -> None:
    call("vm boot", name="a")
    row = ctx.catalog.find("vm")[0]
    ctx.catalog.put("vm", {row.key: {**row.document, "price_per_hour": None, "flavor": "strange"}})
    allow(ctx, ceiling__max_price_per_hour=1)
    call("vm boot", name="b")
    assert "nobody knows the price of 1 VM (a)" in ctx.warnings[0]


def test_of_many_that_come_at_once_only_as_many_as_allowed_pass(ctx: Context) -> None:
    allow(ctx, cloud__first__max_vms=3)
    ctx = Context(catalog=ctx.catalog)  # threads that wait for each other need a clock that all share
    call = calling(ctx)
    plans = [call("vm boot", name=f"web{letter}", count=2, wait="none", dry_run=True) for letter in "abcd"]
    barrier, refused = threading.Barrier(len(plans)), list[NoCapacity]()

    def one(number: int) -> None:
        barrier.wait()
        try:
            run(ctx.branch(), plans[number])
        except NoCapacity as error:
            refused.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(plans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert len(ctx.catalog.find("vm")) == len(ctx.catalog.find("name")) == 2


def test_what_another_operation_has_not_begun_counts(ctx: Context, call: Call) -> None:
    call("vm boot", name="a")
    call("vm stop", ["a"])
    allow(ctx, cloud__first__max_vms=1)
    under_way = start(ctx, call("vm start", ["a"], dry_run=True))
    with pytest.raises(NoCapacity):
        call("vm boot", name="b")
    gone = under_way.with_(process=f"{this_process().split('/')[0]}/1/1")
    ctx.catalog.put("operation", {gone.name: gone.to_document()})
    assert call("vm boot", name="b").state is OperationState.DONE


def test_intents_count_once_and_a_resume_is_not_refused_by_its_own(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_vms=2)
    begun = start(ctx, call("vm boot", name="a", count=2, dry_run=True))
    with pytest.raises(NoCapacity, match="3 VMs running"):
        call("vm boot", name="b")
    gone = begun.with_(process=f"{this_process().split('/')[0]}/1/1")
    ctx.catalog.put("operation", {gone.name: gone.to_document()})
    assert call("operation resume", gone.name).state is OperationState.DONE


def test_a_resume_of_what_was_undone_is_checked_again(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("denied", "create_vms")
    failed = call("vm boot", name="a", count=2)
    allow(ctx, cloud__first__max_vms=1)
    with pytest.raises(NoCapacity):
        call("operation resume", failed.name)
    row = ctx.catalog.get("operation", failed.name)
    assert row
    assert Operation.from_document(row.document).state is OperationState.FAILED
    assert ctx.catalog.find("name") == []


def test_others_vms_do_not_count(ctx: Context, call: Call) -> None:
    file = ctx.config.path
    assert file
    file.write_text(file.read_text().replace("    first:\n", "    first:\n      foreign: [theirs]\n"))
    later = Context(catalog=ctx.catalog, clock=ctx.clock)
    allow(later, cloud__first__max_vms=1)
    assert {row.name for row in later.cloud("first").list_vms()} == {"theirs"}
    call("vm list")
    assert call("vm boot", name="a").state is OperationState.DONE


def test_the_turn_of_a_killed_process_ends(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_vms=9)
    ctx.catalog.acquire(ceilings.ALTOGETHER, "a killed one", now=ctx.clock.now(), seconds=60)
    before = ctx.clock.now()
    assert call("vm boot", name="a").state is OperationState.DONE
    assert 59 < ctx.clock.now() - before < 62
    ctx.catalog.acquire(ceilings.ALTOGETHER, "a busy one", now=ctx.clock.now(), seconds=600)
    with pytest.raises(Conflict, match="counting"):
        call("vm boot", name="b")


def test_a_dry_run_is_refused_too_and_takes_no_turn(ctx: Context, call: Call) -> None:
    plan = call("vm boot", name="a", dry_run=True)
    assert rehearse(ctx, plan) == plan
    allow(ctx, cloud__first__max_vms=0)
    ctx.catalog.acquire(ceilings.ALTOGETHER, "a busy one", now=ctx.clock.now(), seconds=600)
    with pytest.raises(NoCapacity):
        rehearse(ctx, plan)
    assert untouched(ctx)


def test_the_turn_is_given_back_when_it_is_refused(ctx: Context, call: Call) -> None:
    allow(ctx, cloud__first__max_vms=0)
    for _ in range(2):
        before = ctx.clock.now()
        with pytest.raises(NoCapacity):
            call("vm boot", name="a")
        assert ctx.clock.now() == before


def test_without_ceilings_nobody_takes_turns(ctx: Context, call: Call) -> None:
    ctx.catalog.acquire(ceilings.ALTOGETHER, "a busy one", now=ctx.clock.now(), seconds=600)
    assert call("vm boot", name="a").state is OperationState.DONE


@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf"])
def test_what_is_no_number_is_refused(ctx: Context, call: Call, value: str) -> None:
    allow(ctx, ceiling__max_vms=value)
    with pytest.raises(ConfigError, match=r"ceiling\.max_vms"):
        call("vm boot", name="a")
