"""Many VMs with one request: made once, found again after a kill, never made anew, each with a record of its own."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import batches, execute, run, start
from cloudms.engine.keys import identity
from cloudms.engine.making import spec
from cloudms.engine.operation import take_over
from cloudms.engine.process import this_process
from cloudms.errors import Interrupted, NotReady
from cloudms.model import Operation, OperationState, Vm, VmState
from tests.unit.calling import Call, calling
from tests.unit.engine.conftest import failures

COUNT = 3
NAMES = [f"web-{number}" for number in range(1, COUNT + 1)]


def fake(ctx: Context, owner: str = "alice") -> FakeCloud:
    """Return the first cloud as somebody else's connection sees it."""
    return FakeCloud(Setup(name="first", owner=owner, clock=ctx.clock))


def on_cloud(ctx: Context) -> list[str]:
    """Return the names of the VMs that the cloud has."""
    return sorted(vm.name for vm in fake(ctx).list_vms() if vm.state is not VmState.TERMINATED)


def known(ctx: Context) -> dict[str, Vm]:
    """Return the VMs of the catalog by name."""
    return {vm.name: vm for vm in (Vm.from_document(row.document) for row in ctx.catalog.find("vm"))}


def calls(ctx: Context, *names: str) -> list[int]:
    """Return how often these calls were made."""
    return [len(fake(ctx).calls(name)) for name in names]


def killed(ctx: Context, operation: Operation) -> str:
    """Let an operation be that of a process that was killed, as far as it was written down, and return its name."""
    row = ctx.catalog.get("operation", operation.name)
    assert row
    dead = Operation.from_document(row.document).with_(process=f"{this_process().split('/')[0]}/1/1")
    ctx.catalog.put("operation", {dead.name: dead.to_document()})
    return dead.name


def cut_off(ctx: Context, call: Call, **options: object) -> str:
    """Boot in a process that is killed when the cloud has made the batch and no id is stored; return the operation."""
    operation = start(ctx, call("vm boot", name="web", count=COUNT, dry_run=True, **options))
    rows, keys = known(ctx), identity(ctx)
    fake(ctx).create_vms([spec(step, rows[step.target], keys, "") for step in operation.steps])
    return killed(ctx, operation)


def test_one_request_makes_all_and_every_vm_has_its_step(ctx: Context, call: Call) -> None:
    operation = call("vm boot", name="web", count=COUNT, wait="running")
    assert operation.state is OperationState.DONE
    assert [step.result["name"] for step in operation.steps if step.result] == NAMES == on_cloud(ctx)
    assert {vm.state for vm in known(ctx).values()} == {VmState.RUNNING}
    base = {vm.token.rpartition(".")[0] for vm in known(ctx).values()}
    assert len(base) == 1
    assert sorted(vm.token.rpartition(".")[2] for vm in known(ctx).values()) == ["1", "2", "3"]
    assert calls(ctx, "create_vms", "create_vm", "get_vm") == [1, 0, 0]
    assert calls(ctx, "get_vms")[0] <= 2


def test_one_vm_is_no_batch(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    assert "." not in known(ctx)["web"].token
    assert calls(ctx, "create_vms", "create_vm") == [0, 1]


def test_many_vms_cost_few_writes(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    for name in ("put", "insert", "insert_many", "replace", "delete", "counter"):
        original = getattr(ctx.catalog, name)

        def counted(*args: object, name: str = name, original: Call = original, **more: object) -> object:
            writes.append(name)
            return original(*args, **more)

        monkeypatch.setattr(ctx.catalog, name, counted)
    call("vm boot", name="web", count=60, wait="none")
    assert len(known(ctx)) == 60
    assert len(writes) < 15, writes


def test_a_lost_reply_doubles_nothing(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("loses_reply", "create_vms")
    assert call("vm boot", name="web", count=COUNT).state is OperationState.DONE
    assert on_cloud(ctx) == NAMES
    assert calls(ctx, "create_vms") == [2]


def test_a_kill_before_the_request_is_resumed_with_one_request(ctx: Context, call: Call) -> None:
    name = killed(ctx, start(ctx, call("vm boot", name="web", count=COUNT, dry_run=True)))
    assert on_cloud(ctx) == []
    assert call("operation resume", name).state is OperationState.DONE
    assert on_cloud(ctx) == NAMES == sorted(known(ctx))


def test_a_kill_before_the_ids_are_stored_is_resumed_with_the_same_request(ctx: Context, call: Call) -> None:
    name = cut_off(ctx, call)
    before = {vm.name: vm.id for vm in fake(ctx).list_vms()}
    assert {vm.id for vm in known(ctx).values()} == {""}
    assert call("operation resume", name).state is OperationState.DONE
    assert {vm.name: vm.id for vm in known(ctx).values()} == before


def test_what_was_deleted_on_the_cloud_before_the_resume_is_not_made_again(ctx: Context, call: Call) -> None:
    name = cut_off(ctx, call)
    fake(ctx).delete_vm(known(ctx)["web-2"])
    ended = call("operation resume", name)
    assert ended.state is OperationState.PARTIAL
    assert failures(ended) == ["not_found"]
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-1", "web-3"]


def test_what_was_deleted_by_name_before_the_resume_is_not_made_again(ctx: Context, call: Call) -> None:
    name = cut_off(ctx, call)
    call("vm delete", ["web-2"])
    ended = call("operation resume", name)
    assert failures(ended) == ["invalid"]
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-1", "web-3"]


def test_what_was_given_up_before_anything_was_made_does_not_stay(ctx: Context, call: Call) -> None:
    name = killed(ctx, start(ctx, call("vm boot", name="web", count=COUNT, dry_run=True)))
    call("vm delete", ["web-2"])
    assert failures(call("operation resume", name)) == ["invalid"]
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-1", "web-3"]


def test_after_the_ids_are_stored_nothing_is_asked_for_again(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("never_ready", "create_vms")
    operation = call("vm boot", name="web", count=COUNT, wait="running", timeout=5)
    assert failures(operation) == ["timeout"] * COUNT
    assert on_cloud(ctx) == sorted(known(ctx)) == NAMES
    call("vm delete", ["web-1"])
    for vm in fake(ctx).list_vms():
        fake(ctx).reboot_vm(vm, force=True)
    ended = call("operation resume", operation.name)
    assert failures(ended) == ["not_found"]
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-2", "web-3"]
    assert calls(ctx, "create_vms") == [1]


def test_vms_that_come_too_late_are_adopted(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("never_ready", "create_vms")
    operation = call("vm boot", name="web", count=COUNT, wait="running", timeout=5)
    hints = {str((step.error or {})["hint"]) for step in operation.steps}
    assert "cms vm wait web-1, or cms vm info web-1" in hints
    for vm in fake(ctx).list_vms():
        fake(ctx).reboot_vm(vm, force=True)
    assert call("vm wait", ["web-[1-3]"], until="running").state is OperationState.DONE
    assert {vm.state for vm in known(ctx).values()} == {VmState.RUNNING}


def test_a_request_that_is_refused_leaves_nothing_and_can_be_resumed(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("denied", "create_vms")
    operation = call("vm boot", name="web", count=COUNT)
    assert failures(operation) == ["denied"] * COUNT
    assert ctx.catalog.find("vm") == ctx.catalog.find("name") == []
    assert call("operation resume", operation.name).state is OperationState.DONE
    assert on_cloud(ctx) == sorted(known(ctx)) == NAMES


def test_a_request_that_may_have_been_carried_out_keeps_its_intents(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("loses_reply", "create_vms", times=9)
    fake(ctx).add_fault("unreachable", "get_vms", times=3)
    operation = call("vm boot", name="web", count=COUNT)
    assert failures(operation) == ["not_ready"] * COUNT
    assert {(vm.id, vm.state) for vm in known(ctx).values()} == {("", VmState.PENDING)}
    fake(ctx).clear_faults()
    assert call("operation resume", operation.name).state is OperationState.DONE
    assert on_cloud(ctx) == sorted(known(ctx)) == NAMES


def test_what_a_failed_request_has_made_is_in_the_catalog(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("loses_reply", "create_vms", times=9)
    assert failures(call("vm boot", name="web", count=COUNT)) == ["not_ready"] * COUNT
    assert sorted(vm.id for vm in known(ctx).values()) == sorted(vm.id for vm in fake(ctx).list_vms())


def test_a_batch_that_fails_does_not_stop_the_others(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LARGEST", 2)
    fake(ctx).add_fault("no_capacity", "create_vms", name="web-3", reason="the rack is full")
    operation = call("vm boot", name="web", count=4)
    assert operation.state is OperationState.PARTIAL
    assert [step.state for step in operation.steps] == ["done", "done", "failed", "failed"]
    assert failures(operation) == ["no_capacity"] * 2
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-1", "web-2"]
    assert call("operation resume", operation.name).state is OperationState.DONE
    assert calls(ctx, "create_vms") == [3]


@pytest.mark.parametrize(("count", "sizes"), [(2, [2]), (500, [500]), (501, [251, 250]), (1000, [500, 500])])
def test_batches_are_as_large_as_can_be_and_none_is_of_one(ctx: Context, count: int, sizes: list[int]) -> None:
    tokens = batches.tokens(ctx, ctx.cloud("first"), count)
    groups = itertools.groupby(tokens, lambda token: token.rpartition(".")[0])
    found = [[token.rpartition(".")[2] for token in group] for _base, group in groups]
    assert found == [[str(nth) for nth in range(1, size + 1)] for size in sizes]


def test_names_that_others_have_on_the_cloud_are_replaced(ctx: Context, call: Call) -> None:
    theirs = fake(ctx, "bob")
    elsewhere = Context(config=ctx.config, clock=ctx.clock, catalog=type(ctx.catalog)(), actor="bob@away")
    planned = call("vm boot", name="web", count=2, dry_run=True)
    assert run(elsewhere, planned).state is OperationState.DONE
    assert on_cloud(ctx) == ["web-1", "web-2"]
    operation = call("vm boot", name="web", count=COUNT)
    assert operation.state is OperationState.DONE
    assert sorted(known(ctx)) == ["web-3", "web-4", "web-5"]
    assert sorted(row.key for row in ctx.catalog.find("name")) == sorted(known(ctx))
    assert len(list(theirs.list_vms())) == 5


def test_a_vm_that_fails_to_start_is_told_apart(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("error_state", "create_vms", reason="the host has burnt")
    operation = call("vm boot", name="web", count=COUNT, wait="running")
    assert failures(operation) == ["invalid"] * COUNT
    assert {(vm.state, vm.reason) for vm in known(ctx).values()} == {(VmState.ERROR, "the host has burnt")}


def test_what_is_to_be_ready_goes_on_alone_when_it_runs(ctx: Context, call: Call) -> None:
    assert call("vm boot", name="web", count=COUNT, wait="ready").state is OperationState.DONE
    assert calls(ctx, "ready")[0] >= COUNT
    assert calls(ctx, "create_vms", "create_vm") == [1, 0]


def test_the_time_that_a_batch_has_waited_is_not_waited_again(ctx: Context, call: Call) -> None:
    file = ctx.config.path
    assert file
    file.write_text(
        file.read_text().replace("    first:\n", "    first:\n      boot_seconds: 50\n      ready_seconds: 999\n")
    )
    slow = calling(Context(catalog=ctx.catalog, clock=ctx.clock))
    before = ctx.clock.now()
    operation = slow("vm boot", name="web", count=COUNT, wait="ready", timeout=80)
    assert failures(operation) == ["timeout"] * COUNT
    assert 80 <= ctx.clock.now() - before < 90
    assert all((step.seconds or 0) >= 80 for step in operation.steps)


def test_a_stop_while_waiting_keeps_what_was_made(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("never_ready", "create_vms")
    ctx.progress = lambda _target, text: ctx.stop() if "waiting" in text else None
    with pytest.raises(Interrupted) as caught:
        call("vm boot", name="web", count=COUNT, wait="running")
    assert on_cloud(ctx) == sorted(known(ctx)) == NAMES
    ctx.stopping.clear()
    ctx.progress = lambda _target, _text: None
    for vm in fake(ctx).list_vms():
        fake(ctx).reboot_vm(vm, force=True)
    assert call("operation resume", caught.value.details["operation"]).state is OperationState.DONE
    assert calls(ctx, "create_vms") == [1]


def test_a_bug_in_the_cloud_is_recorded_for_every_step(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(FakeCloud, "create_vms", broken)
    with pytest.raises(ZeroDivisionError):
        call("vm boot", name="web", count=COUNT)
    row = ctx.catalog.get("operation", "op-1")
    assert row
    steps = Operation.from_document(row.document).steps
    assert ["ZeroDivisionError" in (step.error or {})["message"] for step in steps] == [True] * COUNT


def test_user_data_stand_on_disk_only_while_a_batch_is_made(ctx: Context, call: Call, own_home: Path) -> None:
    data = own_home / "user-data"
    data.write_text("#!/bin/sh\necho hunter2\n")
    name = killed(ctx, start(ctx, call("vm boot", name="web", count=COUNT, user_data=data, dry_run=True)))
    data.unlink()
    kept = own_home / ".cloudmesh" / "user-data"
    assert len(list(kept.iterdir())) == COUNT
    assert execute(ctx, take_over(ctx, name)).state is OperationState.DONE
    assert list(kept.iterdir()) == []
    state = (own_home / ".cloudmesh" / "fake" / "first.json").read_text()
    assert state.count("echo hunter2") == COUNT


def test_a_record_that_vanishes_while_its_vm_is_made_takes_the_vm_along(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FakeCloud.create_vms

    def meanwhile(self: FakeCloud, *args: object) -> list[Vm]:
        found = made(self, *args)  # type: ignore[arg-type]
        ctx.catalog.delete("vm", [vm.token for vm in found if vm.name == "web-2"])
        return found

    monkeypatch.setattr(FakeCloud, "create_vms", meanwhile)
    assert failures(call("vm boot", name="web", count=COUNT)) == ["conflict"]
    assert on_cloud(ctx) == sorted(known(ctx)) == ["web-1", "web-3"]


def test_a_vm_that_the_cloud_loses_while_it_starts_is_reported(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = FakeCloud.get_vms
    fake(ctx).add_fault("never_ready", "create_vms")

    def without(self: FakeCloud, vms: list[Vm]) -> dict[str, Vm]:
        return {key: vm for key, vm in seen(self, vms).items() if vm.name != "web-2"}

    monkeypatch.setattr(FakeCloud, "get_vms", without)
    operation = call("vm boot", name="web", count=2, wait="running", timeout=100)
    assert failures(operation) == ["timeout", "not_found"]


def test_a_cloud_that_stays_silent_while_it_is_waited_for_fails_what_is_left(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("never_ready", "create_vms")
    fake(ctx).add_fault("unreachable", "get_vms", times=9)
    operation = call("vm boot", name="web", count=2, wait="running")
    assert failures(operation) == [NotReady.code] * 2
    assert all(vm.id for vm in known(ctx).values())
