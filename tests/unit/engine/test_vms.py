"""The life of VMs through the verbs: intents, names, lists that tell the truth, protection, and the sweep."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cloudms import janitor, registry
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import resume, run
from cloudms.engine.refresh import merged
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, Unsupported
from cloudms.model import OperationState, Origin, Vm, VmState
from tests.unit.engine.conftest import Call, failures


def names(listing: object) -> list[str]:
    return [item.name for item in listing.items]  # type: ignore[attr-defined]


def fake(ctx: Context, cloud: str = "first") -> FakeCloud:
    return FakeCloud(Setup(name=cloud, owner="bob", clock=ctx.clock))


def test_boot_many_list_and_delete(ctx: Context, call: Call) -> None:
    assert call("vm boot", name="web", count=3).state is OperationState.DONE
    listing = call("vm list")
    assert names(listing) == ["web-1", "web-2", "web-3"]
    assert {vm.state for vm in listing.items} == {VmState.RUNNING}
    assert {vm.origin for vm in listing.items} == {Origin.OWN}
    assert {vm.owner for vm in listing.items} == {"alice"}
    assert call("vm delete", ["web-[1-3]"]).state is OperationState.DONE
    assert names(call("vm list")) == []
    assert ctx.catalog.find("vm") == ctx.catalog.find("name") == []


def test_a_single_name_that_is_taken_is_refused_and_a_base_goes_on(call: Call) -> None:
    call("vm boot", name="web")
    with pytest.raises(Exists, match="'web' is taken") as caught:
        call("vm boot", name="web")
    assert "--name web" in caught.value.hint
    again = call("vm boot", name="test00_cloudmesh00", count=2)
    more = call("vm boot", name="test00_cloudmesh00", count=2)
    targets = [step.target for step in (*again.steps, *more.steps)]
    assert len(set(targets)) == 4
    assert all(target.startswith("test00_cloudmesh0") for target in targets)


def test_names_are_unique_over_all_clouds(call: Call) -> None:
    call("vm boot", name="web", cloud="first")
    with pytest.raises(Exists):
        call("vm boot", name="web", cloud="second")


def test_default_names_come_from_the_pattern_and_the_counter(call: Call) -> None:
    first, second = (call("vm boot").steps[0].target for _ in range(2))
    assert first.startswith("alice-first-")
    assert int(second.rsplit("-", 1)[1]) == int(first.rsplit("-", 1)[1]) + 1


def test_a_dry_run_uses_up_no_number(call: Call) -> None:
    planned = call("vm boot", count=2, dry_run=True)
    again = call("vm boot", count=2, dry_run=True)
    assert [s.target for s in planned.steps] == [s.target for s in again.steps]
    assert [s.target for s in call("vm boot", count=2).steps] == [s.target for s in planned.steps]


def test_a_failed_boot_gives_its_name_back(ctx: Context, call: Call) -> None:
    operation = call("vm boot", "no-such-image", name="web")
    assert failures(operation) == ["not_found"]
    assert ctx.catalog.find("vm") == ctx.catalog.find("name") == []
    assert call("vm boot", name="web").state is OperationState.DONE


def test_a_reply_that_is_lost_does_not_double_the_vm(ctx: Context, call: Call) -> None:
    fake(ctx).add_fault("loses_reply", "create_vm")
    call("vm boot", name="web")
    assert names(call("vm list", refresh=True)) == ["web"]
    assert len([vm for vm in fake(ctx).list_vms() if vm.name == "web"]) == 1


def test_start_stop_suspend_resume_reboot(call: Call) -> None:
    call("vm boot", name="web")

    def state() -> VmState:
        return call("vm info", "web").state  # type: ignore[no-any-return]

    for words, expected in (
        ("vm stop", VmState.STOPPED),
        ("vm start", VmState.RUNNING),
        ("vm suspend", VmState.SUSPENDED),
        ("vm resume", VmState.RUNNING),
        ("vm reboot", VmState.RUNNING),
    ):
        assert call(words, ["web"]).state is OperationState.DONE, words
        assert state() is expected, words
    assert call("vm stop", ["web"], save=True).state is OperationState.DONE
    assert state() is VmState.SAVED


def test_a_guest_that_does_not_obey_is_switched_off(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    fake(ctx).add_fault("never_stops", "stop_vm", times=1)
    assert call("vm stop", ["web"], timeout=5).state is OperationState.DONE
    assert call("vm info", "web").state is VmState.STOPPED


def test_what_a_person_stopped_is_marked(call: Call) -> None:
    call("vm boot", name="web")
    call("vm stop", ["web"])
    assert call("vm info", "web").keep_stopped
    call("vm start", ["web"])
    assert not call("vm info", "web").keep_stopped


def test_protected_and_foreign_vms_are_not_deleted(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm protect", ["web"])
    with pytest.raises(Conflict, match="protected"):
        call("vm delete", ["web"])
    call("vm unprotect", ["web"])
    assert call("vm delete", ["web"]).state is OperationState.DONE
    call("vm boot", name="theirs")
    stranger = Context(config=ctx.config, clock=ctx.clock, catalog=type(ctx.catalog)())
    seen = stranger.cloud("first").list_vms()
    assert [vm.name for vm in seen] == ["theirs"]


def test_a_foreign_vm_can_be_adopted(ctx: Context, call: Call, own_home: os.PathLike[str]) -> None:
    config = own_home / ".cloudmesh" / "cloudmesh.yaml"  # type: ignore[operator]
    config.write_text(
        config.read_text().replace(
            "kind: fake}\n      default: {image: debian}",
            "kind: fake}\n      foreign: [theirs]\n      default: {image: debian}",
        )
    )
    theirs = call("vm info", "theirs")
    assert theirs.origin is Origin.FOREIGN
    with pytest.raises(Conflict, match="not made by cloudms"):
        call("vm delete", ["theirs"])
    assert call("vm stop", ["theirs"]).state is OperationState.DONE
    assert call("vm adopt", ["theirs"]).state is OperationState.DONE
    adopted = call("vm info", "theirs")
    assert (adopted.origin, adopted.owner) == (Origin.ADOPTED, "alice")
    assert call("vm delete", ["theirs"]).state is OperationState.DONE


def test_no_names_is_an_error_and_unknown_ones_are_named(call: Call) -> None:
    with pytest.raises(Invalid, match="no VM was named"):
        call("vm stop", [])
    call("vm boot", name="web")
    with pytest.raises(NotFound, match="wbe") as caught:
        call("vm stop", ["wbe"])
    assert caught.value.hint == "did you mean 'web'"
    assert call("vm info", "web").state is VmState.RUNNING


def test_status_of_an_unknown_name_shows_all(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=2)
    assert names(call("vm status", ["web-2"])) == ["web-2"]
    assert names(call("vm status", ["nope"])) == ["web-1", "web-2"]
    assert ctx.warnings == ["no VM named 'nope'; all VMs are shown"]


def test_a_cloud_that_fails_does_not_hide_the_others(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", cloud="first")
    call("vm boot", name="db", cloud="second")
    fake(ctx, "second").add_fault("denied", "list_vms")
    listing = call("vm list")
    assert names(listing) == ["web", "db"]
    assert listing.failed["second"]["code"] == "denied"


def test_a_list_that_breaks_in_the_middle_drops_nothing(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=3)
    fake(ctx).add_fault("partial_list", "list_vms", times=1)
    ctx.cloud("first")
    call("vm list")
    assert len(ctx.catalog.find("vm")) == 3


def test_what_was_deleted_elsewhere_is_forgotten_and_its_name_is_free(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    outside = FakeCloud(Setup(name="first", clock=ctx.clock))
    outside.delete_vm(next(iter(outside.list_vms())))
    ctx.clock.sleep(700)
    assert names(call("vm list")) == []
    assert call("vm boot", name="web").state is OperationState.DONE


def test_an_intent_without_an_id_is_kept_until_it_is_swept(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    token = f"{janitor.catalog_id(ctx)}{'0' * 24}"
    lost = Vm(name="lost", cloud="first", token=token, state=VmState.PENDING, since=ctx.clock.now())
    ctx.catalog.put("vm", {token: lost.to_document()})
    ctx.catalog.insert("name", "lost", {"name": "lost", "token": token, "cloud": "first", "process": "x/y/z"})
    assert names(call("vm list")) == ["lost", "web"]
    found = call("sweep").items
    assert [(f.what, f.name) for f in found] == [("unfinished", "lost")]
    assert call("sweep", apply=True).state is OperationState.DONE
    assert names(call("vm list")) == ["web"]
    assert call("sweep").items == ()


def test_an_expired_lease_is_swept_and_a_protected_one_is_not(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="1h")
    call("vm boot", name="keep", ttl="1h")
    call("vm boot", name="long", ttl="never")
    call("vm protect", ["keep"])
    ctx.clock.sleep(3700)
    assert [(f.what, f.name) for f in call("sweep").items] == [("expired", "web")]
    call("sweep", apply=True)
    assert names(call("vm list")) == ["keep", "long"]


def test_rename_moves_the_name(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm stop", ["web"])
    assert call("vm rename", "web", "front").state is OperationState.DONE
    assert names(call("vm list")) == ["front"]
    assert [row.key for row in ctx.catalog.find("name")] == ["front"]


def test_clone_has_an_identity_of_its_own(call: Call) -> None:
    call("vm boot", name="web", label={"tier": "front"})
    call("vm clone", "web")
    one, two = call("vm list").items
    assert one.name != two.name
    assert one.token != two.token
    assert two.labels["tier"] == "front"


def test_labels_select(call: Call) -> None:
    call("vm boot", name="a", label={"tier": "front"})
    call("vm boot", name="b", label={"tier": "back"})
    assert names(call("vm list", label={"tier": "back"})) == ["b"]
    call("vm stop", [], label={"tier": "back"})
    assert [vm.state for vm in call("vm list").items] == [VmState.RUNNING, VmState.STOPPED]
    call("vm label", ["a"], set={"tier": "back"}, remove=[])
    assert names(call("vm list", label={"tier": "back"})) == ["a", "b"]


def test_a_role_that_is_missing_is_refused_before_any_call(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("vm boot", name="web")
    monkeypatch.setattr(FakeCloud, "supports", lambda self, role, vm=None: f"fake has no {role.name}")
    before = fake(ctx).calls()
    with pytest.raises(Unsupported, match="fake has no suspend"):
        call("vm suspend", ["web"])
    assert [c for c in fake(ctx).calls() if c not in before and "suspend" in str(c)] == []


def test_merging_keeps_ours_and_believes_the_cloud() -> None:
    ours = Vm(
        name="web", cloud="c", token="t", state=VmState.PENDING, since=1.0, ssh_key="/k", group="g", protected=True
    )
    seen = Vm(name="web", cloud="c", id="i-1", state=VmState.RUNNING, public_ips=("127.0.0.9",), token="t")
    both = merged(ours, seen, 5.0)
    assert (both.id, both.state, both.since, both.fetched) == ("i-1", VmState.RUNNING, 5.0, 5.0)
    assert (both.ssh_key, both.group, both.protected, both.public_ips) == ("/k", "g", True, ("127.0.0.9",))


def test_events_tell_the_story(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm delete", ["web"])
    told = [(row.document["action"], row.document["text"]) for row in ctx.catalog.find("event")]
    assert told[0] == ("vm.boot", "asked for, from micro")
    assert told[-1] == ("vm.forget", "deleted")
    assert {row.document["actor"] for row in ctx.catalog.find("event")} == {ctx.actor}


def test_no_secret_reaches_the_catalog(ctx: Context, call: Call, own_home: os.PathLike[str]) -> None:
    data = own_home / "user-data"  # type: ignore[operator]
    data.write_text("#!/bin/sh\necho hunter2-secret\n")
    fake(ctx).add_fault("unreachable", "create_vm", times=9)
    assert call("vm boot", name="web", user_data=data).state is OperationState.FAILED
    kept = own_home / ".cloudmesh" / "user-data"  # type: ignore[operator]
    assert {oct(file.stat().st_mode & 0o777) for file in kept.iterdir()} == {"0o600"}
    fake(ctx).clear_faults()
    left = list(kept.iterdir())
    assert call("vm boot", name="web2", user_data=data).state is OperationState.DONE
    kinds = ("vm", "operation", "event", "name", "key")
    everything = [row.document for kind in kinds for row in ctx.catalog.find(kind)]
    assert "hunter2-secret" not in json.dumps(everything)
    assert list(kept.iterdir()) == left


def test_a_vm_of_our_own_that_only_the_cloud_told_of_has_its_name(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    lost = Context(config=ctx.config, clock=ctx.clock, catalog=type(ctx.catalog)())
    listing = registry.index().exact(["vm", "list"])
    assert listing
    assert names(listing.load().function(lost)) == ["web"]
    stored = lost.catalog.get("name", "web")
    assert stored
    assert stored.document["token"] == call("vm info", "web").token


def test_a_boot_that_failed_can_be_resumed(ctx: Context, call: Call) -> None:
    fake(ctx, "second").add_fault("denied", "create_vm", times=1)
    operation = call("vm boot", name="web", count=2, cloud="second")
    assert operation.state is OperationState.PARTIAL
    assert len(names(call("vm list"))) == 1
    assert call("operation resume", operation.name).state is OperationState.DONE
    assert names(call("vm list")) == ["web-1", "web-2"]


def test_a_boot_that_was_cancelled_before_it_began_leaves_no_intent_and_can_be_resumed(
    ctx: Context, call: Call
) -> None:
    planned = call("vm boot", name="web", count=2, dry_run=True)
    ctx.stop()
    with pytest.raises(Interrupted) as caught:
        run(ctx, planned)
    assert ctx.catalog.find("vm") == ctx.catalog.find("name") == []
    ctx.stopping.clear()
    assert call("operation resume", caught.value.details["operation"]).state is OperationState.DONE
    assert names(call("vm list")) == ["web-1", "web-2"]


def test_vms_of_a_cloud_that_is_gone_are_warned_about_and_can_be_forgotten(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm boot", name="old", cloud="second")
    with pytest.raises(Conflict, match="is configured"):
        call("vm forget", ["old"])
    file = ctx.config.path
    assert file
    file.write_text(file.read_text().split("    second:")[0])
    later = Context(catalog=ctx.catalog, clock=ctx.clock)
    assert later.cloud_names() == ["first"]
    assert "1 VM is known on cloud 'second'" in later.warnings[0]
    entry = registry.index().exact(["vm", "forget"])
    assert entry
    assert run(later, entry.load().function(later, ["old"])).state is OperationState.DONE
    assert [row.key for row in ctx.catalog.find("name")] == ["web"]


def test_a_resume_of_a_vm_that_was_created_needs_no_user_data(ctx: Context, call: Call, own_home: Path) -> None:
    data = own_home / "data.yaml"
    data.write_text("#cloud-config\n")
    done = call("vm boot", name="web", user_data=data)
    data.unlink()
    left = done.with_(state=OperationState.CANCELLED, steps=tuple(s.with_(state="cancelled") for s in done.steps))
    ctx.catalog.put("operation", {left.name: left.to_document()})
    assert resume(ctx, left.name).state is OperationState.DONE
