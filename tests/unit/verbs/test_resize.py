"""Resize, confirm and revert: one behaviour where the cloud waits for an answer and where only the record knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudms import registry
from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.config import Config
from cloudms.context import Context
from cloudms.engine import Plan, resume, start
from cloudms.engine.process import this_process
from cloudms.errors import ConfigError, Conflict, Invalid, Unsupported
from cloudms.model import OperationState, Vm, VmState
from tests.unit.verbs.conftest import CONFIG, Call, events, outcome
from tests.unit.verbs.test_lists import fake

RUNNING, WAITS = VmState.RUNNING, VmState.AWAITING_CONFIRM


@pytest.fixture
def setting(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that adds a line to the settings of the cloud `one`."""

    def add(line: str) -> None:
        assert ctx.config.path
        head = "    one:\n      cm: {active: true, kind: fake}\n"
        ctx.config.path.write_text(CONFIG.replace(head, f"{head}      {line}\n"))
        monkeypatch.setattr(ctx, "_config", Config(kinds=registry.index().families["cloudms.clouds"]))
        ctx.close()

    return add


@pytest.fixture
def silent_cloud(setting: Callable[[str], None]) -> None:
    """Let the cloud ask for no confirmation, as AWS and libvirt do."""
    setting("confirm_resize: false")


def row(ctx: Context, name: str = "web") -> Vm:
    """Return the record of a VM."""
    return Vm.from_document(ctx.catalog.find("vm", name=name)[0].document)


def killed(ctx: Context, plan: Plan) -> str:
    """Write a plan down as a process would that then died, and return the operation's name."""
    operation = start(ctx, plan)
    dead = f"{this_process().split('/')[0]}/1/1"
    ctx.catalog.put("operation", {operation.name: operation.with_(process=dead).to_document()})
    return operation.name


def clean(vm: Vm) -> bool:
    """Whether the record knows of no resize."""
    return (vm.resized_from, vm.confirm_by) == ("", None)


def test_a_resize_waits_and_every_list_says_how_to_answer(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web")
    done = outcome(call("vm resize", "web", "medium"))
    assert (done["state"], done["flavor"], done["resized_from"]) == ("awaiting_confirm", "medium", "small")
    assert row(ctx).confirm_by == pytest.approx(clock.now() + 86400, abs=5)
    by = done["confirm_by"]
    said = f"resized from small: cms vm confirm web or cms vm revert web by {by}"
    assert done["reason"] == said
    (listed,) = call("vm list", refresh=True).items
    assert (listed.reason, listed.resized_from, listed.price_per_hour) == (said, "small", 0.04)


@pytest.mark.parametrize(("words", "flavor"), [("vm confirm", "medium"), ("vm revert", "small")])
def test_the_answer_leaves_a_clean_record(ctx: Context, call: Call, words: str, flavor: str) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    assert call(words, ["web"]).state is OperationState.DONE
    vm = row(ctx)
    assert (vm.state, vm.flavor, vm.reason) == (RUNNING, flavor, "")
    assert clean(vm)
    assert vm.price_per_hour == {"medium": 0.04, "small": 0.01}[flavor]
    assert clean(call("vm list", refresh=True).items[0])
    for again in ("vm confirm", "vm revert"):
        with pytest.raises(Conflict, match="web was not resized, so there is nothing to"):
            call(again, ["web"])


def test_confirm_at_once(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    done = outcome(call("vm resize", "web", "medium", confirm=True))
    assert (done["state"], done["flavor"], done["resized_from"]) == ("running", "medium", "")
    assert clean(row(ctx))


def test_the_setting_decides_when_nothing_is_said(
    ctx: Context, call: Call, clock: ManualClock, setting: Callable[[str], None]
) -> None:
    setting("confirm_within: now")
    call("vm boot", name="web")
    assert outcome(call("vm resize", "web", "medium"))["state"] == "running"
    call("vm resize", "web", "large", confirm=False)
    assert row(ctx).state is WAITS
    assert row(ctx).confirm_by == pytest.approx(clock.now() + 86400, abs=5)
    call("vm revert", ["web"])
    setting("confirm_within: 30m")
    call("vm resize", "web", "large")
    assert row(ctx).confirm_by == pytest.approx(clock.now() + 1800, abs=5)
    call("vm revert", ["web"])
    setting("confirm_within: never")
    call("vm resize", "web", "large")
    assert row(ctx).confirm_by is None
    assert row(ctx).reason == "resized from medium: cms vm confirm web or cms vm revert web"
    call("vm revert", ["web"])
    setting("confirm_within: soon")
    with pytest.raises(ConfigError, match="confirm_within") as caught:
        call("vm resize", "web", "xlarge")
    assert "24h" in caught.value.hint


def test_what_is_overdue_is_swept(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="never")
    call("vm resize", "web", "medium")
    assert call("sweep").items == ()
    clock.sleep(86500)
    (found,) = call("sweep").items
    assert (found.what, found.name, found.deed, found.price_per_hour) == ("undecided", "web", "confirm it", 0.04)
    assert "resized from small" in found.reason
    assert call("sweep", apply=True).state is OperationState.DONE
    assert (row(ctx).state, row(ctx).flavor) == (RUNNING, "medium")
    assert clean(row(ctx))
    assert "sweep web: kept the flavor medium" in events(ctx)


def test_a_sweep_leaves_what_was_decided_meanwhile(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="never")
    call("vm resize", "web", "medium")
    clock.sleep(86500)
    plan = call("sweep", apply=True, dry_run=True)
    fake(ctx, "one").revert_vm(row(ctx))
    from cloudms.engine import run

    assert run(ctx, plan).state is OperationState.DONE
    assert (row(ctx).flavor, clean(row(ctx))) == ("small", True)


@pytest.mark.usefixtures("silent_cloud")
def test_without_an_answer_the_record_knows_the_way_back(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", flavor="nano", disk=100)
    call("vm resize", "web", "tiny")
    vm = row(ctx)
    assert (vm.state, vm.flavor, vm.resized_from, vm.confirm_by) == (RUNNING, "tiny", "nano", None)
    assert call("vm list", refresh=True).items[0].resized_from == "nano"
    call("vm confirm", ["web"])
    assert clean(row(ctx))
    with pytest.raises(Conflict, match="nothing to confirm"):
        call("vm confirm", ["web"])


@pytest.mark.usefixtures("silent_cloud")
def test_without_an_answer_a_revert_resizes_back(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.clouds.fake.FakeCloud.grows_disk", False)
    monkeypatch.setattr("cloudms.clouds.fake.offers._FLAVORS", (("a", 1, 128, 1, 0.002), ("b", 2, 256, 1, 0.004)))
    call("vm boot", name="web", flavor="a")
    call("vm resize", "web", "b")
    assert call("vm revert", ["web"]).state is OperationState.DONE
    vm = row(ctx)
    assert (vm.state, vm.flavor, vm.price_per_hour, clean(vm)) == (RUNNING, "a", 0.002, True)
    with pytest.raises(Conflict, match="nothing to revert"):
        call("vm revert", ["web"])


@pytest.mark.usefixtures("silent_cloud")
def test_a_disk_that_has_grown_does_not_shrink_and_nothing_is_called(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    before = len(fake(ctx, "one").calls())
    with pytest.raises(Invalid, match="disk has grown from 10 to 20 GiB, and a disk cannot shrink") as caught:
        call("vm revert", ["web"])
    assert "cms vm confirm web" in caught.value.hint
    assert {entry["call"] for entry in fake(ctx, "one").calls()[before:]} <= {"list_flavors", "list_vms"}
    assert row(ctx).resized_from == "small"


@pytest.mark.usefixtures("silent_cloud")
def test_at_once_leaves_nothing_to_revert(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium", confirm=True)
    assert clean(row(ctx))


def test_what_waits_is_neither_resized_nor_rebuilt(call: Call) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    for words, args in (("vm resize", ("web", "large")), ("vm rebuild", ("web",))):
        with pytest.raises(Conflict, match="until its resize is confirmed or reverted") as caught:
            call(words, *args)
        assert caught.value.hint == "cms vm confirm web  or  cms vm revert web"


def test_a_resize_that_the_cloud_gives_up_has_failed(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("vm boot", name="web")
    monkeypatch.setattr(FakeCloud, "resize_vm", lambda _self, vm, _flavor: vm.with_(state=VmState.RESIZING))
    done = call("vm resize", "web", "medium")
    assert done.state is OperationState.FAILED
    assert done.steps[0].error["code"] == "no_capacity"
    assert (row(ctx).state, row(ctx).flavor, clean(row(ctx))) == (RUNNING, "small", True)


@pytest.mark.parametrize("act", ["confirm_vm", "revert_vm"])
def test_what_was_decided_elsewhere_is_forgotten_by_a_list(ctx: Context, call: Call, act: str) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    getattr(fake(ctx, "one"), act)(row(ctx))
    (seen,) = call("vm list", refresh=True).items
    assert seen.state is RUNNING
    assert clean(seen)


@pytest.mark.usefixtures("silent_cloud")
def test_what_was_resized_elsewhere_is_forgotten_by_a_list(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    fake(ctx, "one").resize_vm(row(ctx), "large")
    assert clean(call("vm list", refresh=True).items[0])


def test_what_others_resized_is_found_and_can_be_decided(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    fake(ctx, "one").resize_vm(row(ctx), "medium")
    assert row(ctx).state is RUNNING
    assert call("vm revert", ["web"]).state is OperationState.DONE
    assert (row(ctx).flavor, row(ctx).price_per_hour) == ("small", 0.01)


def test_labels_choose_those_that_were_resized(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=3, label={"tier": "front"})
    for name in ("web-1", "web-3"):
        call("vm resize", name, "medium")
    done = call("vm confirm", [], label={"tier": "front"})
    assert [step.target for step in done.steps] == ["web-1", "web-3"]
    with pytest.raises(Conflict, match=r"web-\[1-3\] was not resized"):
        call("vm confirm", [], label={"tier": "front"})
    call("vm resize", "web-1", "large")
    with pytest.raises(Conflict, match="web-2 was not resized"):
        call("vm revert", ["web-1", "web-2"])


@pytest.mark.parametrize("fault", ["before the call", "after the call"])
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("confirm", [None, True])
def test_a_resize_that_was_killed_is_finished_by_resume(
    ctx: Context, call: Call, fault: str, listed: bool, confirm: bool | None
) -> None:
    call("vm boot", name="web")
    name = killed(ctx, call("vm resize", "web", "medium", confirm=confirm, dry_run=True))
    if fault == "after the call":
        noted = row(ctx).with_(state=VmState.RESIZING, resized_from="small")
        ctx.catalog.put("vm", {noted.key: noted.to_document()})
        fake(ctx, "one").resize_vm(row(ctx), "medium")
    if listed:
        call("vm list", refresh=True)
    assert resume(ctx, name).state is OperationState.DONE
    vm = row(ctx)
    assert vm.flavor == "medium"
    if confirm:
        assert (vm.state, clean(vm)) == (RUNNING, True)
    else:
        assert (vm.state, vm.resized_from) == (WAITS, "small")
        assert vm.confirm_by
    assert [entry["call"] for entry in fake(ctx, "one").calls("confirm_vm")] == ["confirm_vm"] * bool(confirm)


@pytest.mark.usefixtures("silent_cloud")
@pytest.mark.parametrize("listed", [False, True])
def test_where_nothing_waits_a_killed_resize_still_knows_the_old_flavor(ctx: Context, call: Call, listed: bool) -> None:
    call("vm boot", name="web")
    name = killed(ctx, call("vm resize", "web", "medium", dry_run=True))
    noted = row(ctx).with_(state=VmState.RESIZING, resized_from="small")
    ctx.catalog.put("vm", {noted.key: noted.to_document()})
    fake(ctx, "one").resize_vm(row(ctx), "medium")
    if listed:
        assert call("vm list", refresh=True).items[0].resized_from == "small"
    assert resume(ctx, name).state is OperationState.DONE
    assert (row(ctx).state, row(ctx).flavor, row(ctx).resized_from) == (RUNNING, "medium", "small")


@pytest.mark.parametrize("words", ["vm confirm", "vm revert"])
@pytest.mark.parametrize("done", [False, True])
def test_an_answer_that_was_killed_is_given_once(ctx: Context, call: Call, words: str, done: bool) -> None:
    call("vm boot", name="web")
    call("vm resize", "web", "medium")
    name = killed(ctx, call(words, ["web"], dry_run=True))
    if done:
        getattr(fake(ctx, "one"), words.replace("vm ", "") + "_vm")(row(ctx))
    assert resume(ctx, name).state is OperationState.DONE
    assert (row(ctx).flavor, clean(row(ctx))) == ("medium" if words == "vm confirm" else "small", True)


def test_a_resize_that_the_cloud_refuses_leaves_the_record_as_it_was(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    before = row(ctx)
    fake(ctx, "one").add_fault("no_capacity", call="resize_vm")
    assert outcome(call("vm resize", "web", "medium"))["code"] == "no_capacity"
    vm = row(ctx)
    assert (vm.state, vm.flavor, vm.since, clean(vm)) == (RUNNING, "small", before.since, True)


def test_a_reply_that_was_lost_for_good_does_not_lose_the_old_flavor(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    fake(ctx, "one").add_fault("loses_reply", call="resize_vm", error="timeout", times=1)
    assert outcome(call("vm resize", "web", "medium"))["code"] == "timeout"
    vm = row(ctx)
    assert (vm.state, vm.flavor, vm.resized_from) == (WAITS, "medium", "small")
    assert call("vm revert", ["web"]).state is OperationState.DONE


def test_the_same_flavor_again_is_no_resize(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    assert call("vm resize", "web", "small").state is OperationState.DONE
    assert clean(row(ctx))


@pytest.fixture
def theirs(ctx: Context, call: Call, setting: Callable[[str], None]) -> Any:
    """Return a VM that somebody else made."""
    setting("foreign: [theirs]")
    (found,) = call("vm list", refresh=True).items
    return found


@pytest.mark.usefixtures("theirs")
def test_what_others_made_is_not_resized_before_it_is_adopted(ctx: Context, call: Call) -> None:
    for words, args in (("vm resize", ("theirs", "large")), ("vm rebuild", ("theirs",))):
        with pytest.raises(Conflict, match="not made by cloudms") as caught:
            call(words, *args)
        assert caught.value.hint == "cms vm adopt theirs first"
    fake(ctx, "one").resize_vm(row(ctx, "theirs"), "large")
    for words in ("vm confirm", "vm revert"):
        with pytest.raises(Conflict, match="not made by cloudms"):
            call(words, ["theirs"])


@pytest.mark.usefixtures("plain")
def test_a_cloud_that_cannot_is_refused_before_any_call(ctx: Context, call: Call) -> None:
    vm = Vm(name="web", cloud="plain", id="1", token="t", state=RUNNING)
    ctx.catalog.put("vm", {vm.key: vm.to_document()})
    for words, args in (("vm resize", ("web", "large")), ("vm deallocate", (["web"],))):
        with pytest.raises(Unsupported, match="plain has no"):
            call(words, *args)


def test_deallocate_is_a_word_of_its_own(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=2)
    done = call("vm deallocate", ["web-[1-2]"])
    assert (done.verb, {step.action for step in done.steps}) == ("vm deallocate", {"vm.stop"})
    assert {vm.state for vm in call("vm list").items} == {VmState.DEALLOCATED}
    assert {row(ctx, name).keep_stopped for name in ("web-1", "web-2")} == {True}
    assert call("vm deallocate", ["web-1"]).state is OperationState.DONE
    name = killed(ctx, call("vm deallocate", ["web-2"], dry_run=True))
    assert resume(ctx, name).state is OperationState.DONE
    assert call("vm start", ["web-1"]).state is OperationState.DONE
