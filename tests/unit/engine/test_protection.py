"""What a person protects, marks or renames while something else is under way, or with another catalog, holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudms import janitor
from cloudms.catalog.memory import MemoryCatalog
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import resume, start
from cloudms.engine.plan import Work
from cloudms.engine.vms import change as changed
from cloudms.engine.vms import delete as deleted
from cloudms.errors import Conflict, Exists
from cloudms.model import OperationState, Origin, Step, Vm, VmSpec, VmState
from tests.unit.calling import calling
from tests.unit.engine.conftest import Call, failures


def fake(ctx: Context) -> FakeCloud:
    return FakeCloud(Setup(name="first", owner="alice", clock=ctx.clock))


def names(listing: Any) -> list[str]:
    return [item.name for item in listing.items]


@pytest.fixture
def other(ctx: Context) -> Context:
    """Return what the same person has on another computer: the same clouds, a catalog of its own."""
    return Context(config=ctx.config, clock=ctx.clock, catalog=MemoryCatalog())


@pytest.fixture
def killed(ctx: Context, call: Call) -> Callable[..., str]:
    """Return a function that plans a change and leaves it as a process that was killed before its first call."""

    def do(words: str, *args: Any, **options: Any) -> str:
        operation = start(ctx, call(words, *args, dry_run=True, **options))
        ctx.catalog.put("operation", {operation.name: operation.with_(process="gone").to_document()})
        return operation.name

    return do


def row(ctx: Context, name: str) -> Vm:
    return Vm.from_document(ctx.catalog.find("vm", name=name)[0].document)


def test_a_resumed_deletion_spares_what_was_protected_since(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    fake(ctx).add_fault("denied", "delete_vm", times=1)
    failed = call("vm delete", ["web"])
    assert failures(failed) == ["denied"]
    call("vm protect", ["web"])
    assert failures(resume(ctx, failed.name)) == ["conflict"]
    assert names(call("vm list")) == ["web"]


def test_a_deletion_spares_what_another_catalog_protects(ctx: Context, other: Context, call: Call) -> None:
    call("vm boot", name="web")
    vm = row(ctx, "web")
    other.cloud("first").tag_vm(vm.with_(protected=True))  # type: ignore[attr-defined]
    assert not row(ctx, "web").protected
    assert failures(call("vm delete", ["web"])) == ["conflict"]
    assert call("vm info", "web").protected
    call("vm unprotect", ["web"])
    assert call("vm delete", ["web"]).state is OperationState.DONE


def test_a_sweep_spares_what_was_protected_after_its_deletion_was_killed(
    ctx: Context, call: Call, killed: Callable[..., str]
) -> None:
    call("vm boot", name="web")
    call("vm boot", name="old")
    operation = killed("vm delete", ["web", "old"])
    call("vm protect", ["web"])
    assert [(f.what, f.name) for f in call("sweep").items] == [("unfinished", "old"), ("unfinished", operation)]
    assert call("sweep", apply=True).state is OperationState.DONE
    assert names(call("vm list")) == ["web"]


def test_a_sweep_finishes_a_deletion_although_its_record_is_closed_first(
    ctx: Context, call: Call, killed: Callable[..., str]
) -> None:
    call("vm boot", name="old")
    operation = killed("vm delete", ["old"])
    found = {step.target: step for step in call("sweep", apply=True, dry_run=True).steps}
    for name in (operation, "old"):
        params = found[name].params
        said = janitor.settle(ctx, params["what"], name, found[name].cloud, params["key"], params["id"], params["deed"])
    assert said == "deleted"
    assert names(call("vm list")) == []


def test_a_sweep_looks_again_before_it_ends_a_lease(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="1h")
    ctx.clock.sleep(3700)
    plan = call("sweep", apply=True, dry_run=True)
    call("vm protect", ["web"])
    step = plan.steps[0]
    said = janitor.settle(ctx, step.params["what"], step.target, step.cloud, step.params["key"], step.params["id"])
    assert "left alone" in said
    assert names(call("vm list")) == ["web"]


def test_a_sweep_leaves_alone_what_was_made_with_another_catalog(ctx: Context, other: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="1h")
    ctx.clock.sleep(3700)
    assert [vm.name for vm in other.cloud("first").list_vms() if vm.origin is Origin.OWN] == ["web"]
    assert janitor.findings(other, ["first"]) == []
    assert [f.what for f in janitor.findings(ctx, ["first"])] == ["expired"]


def test_strays_of_a_lost_catalog_are_swept_when_asked_for_and_their_lease_has_ended(
    ctx: Context, other: Context, call: Call
) -> None:
    call("vm boot", name="web", ttl="1h")
    call("vm boot", name="db", ttl="9h")
    call("vm boot", name="kept", ttl="1h")
    call("vm protect", ["kept"])
    found = janitor.findings(other, ["first"], strays=True)
    assert {finding.name: finding.what for finding in found} == {"web": "stray", "db": "stray", "kept": "stray"}
    ctx.clock.sleep(3700)
    found = janitor.findings(other, ["first"], strays=True)
    assert {finding.name: finding.what for finding in found} == {"web": "expired", "db": "stray", "kept": "stray"}
    calling(other)("sweep", apply=True)
    assert len(fake(ctx).world()["vms"]) == 3
    operation = calling(other)("sweep", apply=True, all_catalogs=True)
    assert [step.target for step in operation.steps] == ["web"]
    assert names(call("vm list")) == ["db", "kept"]


def test_what_is_marked_while_another_change_waits_is_kept(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    vm = row(ctx, "web")
    work = Work(ctx, Step(action="vm.start", cloud="first", target="web", params={"key": vm.key}), "op-0")

    def slow(cloud: Any, asked: Vm) -> Vm:
        call("vm protect", ["web"])
        call("vm label", ["web"], set={"tier": "front"})
        return cloud.start_vm(asked)  # type: ignore[no-any-return]

    done = changed(work, VmState.PENDING, slow, (VmState.RUNNING,), keep={"keep_stopped": False})
    assert (done.protected, dict(done.labels)) == (True, {"tier": "front"})
    assert row(ctx, "web").protected
    with pytest.raises(Conflict, match="protected"):
        deleted(work)


def test_a_killed_rename_gives_its_new_name_back(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    ctx.catalog.insert(
        "name", "front", {"name": "front", "token": row(ctx, "web").token, "cloud": "first", "process": "gone"}
    )
    with pytest.raises(Exists):
        call("vm boot", name="front")
    assert [(f.what, f.name) for f in call("sweep").items] == [("reserved", "front")]
    call("sweep", apply=True)
    assert call("vm boot", name="front").state is OperationState.DONE


def test_a_rename_whose_reply_was_lost_keeps_the_name_that_the_vm_has(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm stop", ["web"])
    fake(ctx).add_fault("loses_reply", "rename_vm", times=0)
    assert failures(call("vm rename", "web", "front")) == ["not_ready"]
    assert row(ctx, "front").name == "front"
    assert [row_.key for row_ in ctx.catalog.find("name")] == ["front"]


@pytest.mark.parametrize("words", ["vm boot", "vm clone"])
def test_what_is_deleted_in_the_making_does_not_come_back(ctx: Context, call: Call, words: str) -> None:
    call("vm boot", name="web")
    call("vm stop", ["web"])
    cloud = ctx.cloud("first")
    method = "create_vm" if words == "vm boot" else "clone_vm"
    make = getattr(cloud, method)

    def slow(*args: Any) -> Vm:
        call("vm delete", ["twin"])
        return make(*args)  # type: ignore[no-any-return]

    vars(cloud)[method] = slow
    made = call(words, name="twin") if words == "vm boot" else call(words, "web", name="twin")
    assert failures(made) == ["conflict"]
    assert names(call("vm list")) == ["web"]
    assert [row_.key for row_ in ctx.catalog.find("name")] == ["web"]


def test_a_rebuild_spares_what_another_catalog_protects(ctx: Context, other: Context, call: Call) -> None:
    call("vm boot", name="web")
    other.cloud("first").tag_vm(row(ctx, "web").with_(protected=True))  # type: ignore[attr-defined]
    assert failures(call("vm rebuild", "web")) == ["conflict"]


def test_a_snapshot_is_not_brought_back_over_what_was_protected_since(ctx: Context, other: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm snapshot create", "web", "before")
    other.cloud("first").tag_vm(row(ctx, "web").with_(protected=True))  # type: ignore[attr-defined]
    assert failures(call("vm snapshot revert", "web", "before")) == ["conflict"]


def test_missing_ok_deletes_what_there_is_of_a_host_list_and_nothing_that_only_a_label_matches(call: Call) -> None:
    call("vm boot", name="web", count=2, label={"tier": "front"})
    assert call("vm delete", ["gone"], label={"tier": "front"}, missing_ok=True).steps == ()
    assert names(call("vm list")) == ["web-1", "web-2"]
    assert call("vm delete", ["web-[2-4]"], missing_ok=True).state is OperationState.DONE
    assert names(call("vm list")) == ["web-1"]


def test_the_beginning_of_an_id_is_no_match_before_every_name_was_asked_for(
    ctx: Context, other: Context, call: Call
) -> None:
    call("vm boot", name="web")
    beginning = row(ctx, "web").id[:5]
    elsewhere = Vm(name=beginning, cloud="first", token=f"{janitor.catalog_id(other)}{'1' * 24}")
    fake(ctx).create_vm(VmSpec(name=elsewhere.name, token=elsewhere.token, image="micro", flavor="small"))
    assert call("vm info", beginning, cached=True).name == beginning


def test_a_negative_limit_shows_all(call: Call) -> None:
    call("vm boot", name="web", count=2)
    for words in ("vm list", "flavor list", "image list", "operation list", "event list"):
        assert names(call(words, limit=-1)) == names(call(words, limit=0)) != []
