"""Groups: booted over several clouds, larger and smaller, and never a VM deleted that was not booted for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.outcome import of_operation
from cloudms.engine import Plan, Work, execute, groups, start, userdata, vms
from cloudms.engine.plan import ACTIONS
from cloudms.engine.process import this_process
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound
from cloudms.model import Group, OperationState, Origin, Step, Vm, VmState
from cloudms.verbs.group.scale import booted
from tests.unit.calling import Call
from tests.unit.verbs.conftest import events
from tests.unit.verbs.test_lists import fake

BOTH = "one,two"


def clouds_of(ctx: Context, name: str = "web") -> dict[str, str]:
    """Return the members of a group with the cloud each stands on."""
    return {vm.name: vm.cloud for vm in groups.members(ctx, name, fresh=True)}


def on_clouds(ctx: Context) -> list[str]:
    """Return the names of all VMs that the clouds themselves have."""
    found = (vm for cloud in ("one", "two") for vm in fake(ctx, cloud).list_vms() if vm.state not in groups.GONE)
    return sorted(vm.name for vm in found)


def group(ctx: Context, name: str = "web") -> Group:
    found = groups.described(ctx, name)
    assert found
    return found


def killed(ctx: Context, plan: Plan) -> str:
    """Write a plan down as a process would that then died, and return the operation's name."""
    operation = start(ctx, plan)
    dead = f"{this_process().split('/')[0]}/1/1"
    ctx.catalog.put("operation", {operation.name: operation.with_(process=dead).to_document()})
    for row in ctx.catalog.find("name"):
        ctx.catalog.put("name", {row.key: {**row.document, "process": dead}})
    return operation.name


def change(ctx: Context, name: str, **fields: Any) -> None:
    """Change fields of a VM's row."""
    (row,) = ctx.catalog.find("vm", name=name)
    ctx.catalog.put("vm", {row.key: {**row.document, **fields}})


@pytest.fixture
def web(ctx: Context, call: Call) -> None:
    """Make a group of five on two clouds, and a VM beside it."""
    assert ctx.config.path
    call("group create", "web", size=5, cloud=BOTH, image="micro", label={"course": "cs1"})
    call("vm boot", name="db")


def test_a_group_is_booted_over_its_clouds_and_keeps_what_it_was_told(ctx: Context, call: Call) -> None:
    operation = call("group create", "web", size=5, cloud=BOTH, image="micro", min=1, max=6, label={"a": "b"}, disk=9)
    assert operation.state is OperationState.DONE
    assert operation.steps[0].action == "group.create"
    assert clouds_of(ctx) == {"web-1": "one", "web-2": "one", "web-3": "one", "web-4": "two", "web-5": "two"}
    made = group(ctx)
    assert (made.desired, made.min, made.max, made.image, made.cloud) == (5, 1, 6, "micro", BOTH)
    assert dict(made.template) == {"name": "web-1", "disk": 9}
    shown = call("group info", "web").to_public()
    assert {key: shown[key] for key in ("cloud", "name", "size", "vms")} == {
        "cloud": BOTH, "name": "web", "size": 5, "vms": [f"web-{n}" for n in range(1, 6)],
    }  # fmt: skip
    assert {vm.labels["a"] for vm in groups.members(ctx, "web")} == {"b"}


def test_names_begin_as_one_says_and_step_over_those_that_are_taken(ctx: Context, call: Call) -> None:
    call("vm boot", name="node02")
    call("group create", "web", size=2, base="node01")
    assert list(clouds_of(ctx)) == ["node01", "node03"]


def test_a_dry_run_shows_all_of_it_and_writes_nothing(ctx: Context, call: Call) -> None:
    plan = call("group create", "web", size=3, cloud=BOTH, image="micro", dry_run=True)
    assert [step.target for step in plan.steps] == ["web", "web-1", "web-2", "web-3"]
    assert not ctx.catalog.find("group")
    assert not ctx.catalog.find("vm")


@pytest.mark.usefixtures("web")
def test_dry_runs_of_all_others_change_nothing(ctx: Context, call: Call) -> None:
    before = on_clouds(ctx)
    rows = {row.key: row.document for row in ctx.catalog.find("group")}
    for words, args in (
        ("group scale", ("web", 7)),
        ("group scale", ("web", 2)),
        ("group stop", ("web",)),
        ("group add", ("web", ["db"])),
        ("group remove", ("web", ["web-1"])),
        ("group delete", ("web",)),
    ):
        assert call(words, *args, dry_run=True).steps
    assert on_clouds(ctx) == before
    assert {row.key: row.document for row in ctx.catalog.find("group")} == rows
    assert len(ctx.catalog.find("operation")) == 2


def test_a_dead_cloud_leaves_the_others_and_the_rest_is_booted_later(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("unreachable", times=0)
    operation = call("group create", "web", size=4, cloud=BOTH, image="micro")
    assert operation.state is OperationState.PARTIAL
    problem = of_operation(operation)
    assert problem
    assert problem.exit_code == 12
    assert call("group info", "web").states["running"] == 2
    assert group(ctx).desired == 4
    fake(ctx, "two").clear_faults()
    call("operation resume", operation.name)
    assert clouds_of(ctx) == {"web-1": "one", "web-2": "one", "web-3": "two", "web-4": "two"}
    assert on_clouds(ctx) == ["web-1", "web-2", "web-3", "web-4"]


def test_what_a_cloud_refused_for_good_is_booted_where_one_says(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("no_capacity", call="create_vm*", times=0)
    assert call("group create", "web", size=4, cloud=BOTH, image="micro").state is OperationState.PARTIAL
    assert len(clouds_of(ctx)) == 2
    call("group scale", "web", cloud="one")
    assert set(clouds_of(ctx).values()) == {"one"}
    assert len(clouds_of(ctx)) == 4


@pytest.mark.usefixtures("web")
def test_new_members_are_like_the_others_and_stand_where_the_fewest_are(ctx: Context, call: Call) -> None:
    call("group scale", "web", 7)
    assert list(clouds_of(ctx).values()).count("two") == 3
    newest = max(groups.members(ctx, "web"), key=lambda vm: vm.name)
    assert (newest.image, newest.booted_for, dict(newest.labels)) == ("micro", "web", {"course": "cs1"})
    assert group(ctx).desired == 7


def test_the_newest_of_the_fullest_cloud_go_first(ctx: Context, call: Call) -> None:
    call("group create", "web", size=1, cloud=BOTH, image="micro")
    for size in range(2, 6):
        ctx.clock.sleep(60)
        call("group scale", "web", size)
    assert list(clouds_of(ctx).values()) == ["one", "two", "one", "two", "one"]
    plan = call("group scale", "web", 2, dry_run=True)
    assert plan.question == "Delete web-[3-5] for good?"
    assert [step.target for step in plan.steps[1:]] == ["web-5", "web-4", "web-3"]


def test_what_is_broken_goes_before_all_others(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("error_state", call="create_vm", name="web-1")
    assert call("group create", "web", size=3, cloud="two", image="micro").state is OperationState.PARTIAL
    assert call("group info", "web").states == {"error": 1, "running": 2}
    call("group scale", "web", 2)
    assert list(clouds_of(ctx)) == ["web-2", "web-3"]


@pytest.mark.usefixtures("web")
def test_protected_added_and_stopped_members_never_go(ctx: Context, call: Call) -> None:
    call("vm protect", ["web-1"])
    call("vm stop", ["web-2"])
    call("group add", "web", ["db"])
    with pytest.raises(Conflict) as raised:
        call("group scale", "web", 1)
    assert "db was added, web-1 is protected, web-2 was stopped by a person" in raised.value.message
    assert raised.value.hint.startswith("cms group scale web 3")
    call("group scale", "web", 3)
    assert sorted(clouds_of(ctx)) == ["db", "web-1", "web-2"]
    with pytest.raises(Conflict, match="cannot shrink to 2"):
        call("group scale", "web", 2)


def test_a_member_that_a_person_stopped_holds_no_other_up(ctx: Context, call: Call) -> None:
    call("group create", "web", size=4, cloud="one", image="micro")
    call("vm stop", ["web-4"])
    call("group scale", "web", 3)
    assert sorted(clouds_of(ctx)) == ["web-1", "web-2", "web-4"]
    plan = call("group scale", "web", 0, dry_run=True)
    assert [step.target for step in plan.steps[1:]] == ["web-2", "web-1"]
    assert plan.notes == (
        "web-4 was stopped by a person and stays, so that the group keeps 1; cms vm delete web-4",
    )  # fmt: skip
    assert plan.question == "Delete web-[1-2] for good?"
    call("group scale", "web", 0)
    assert (list(clouds_of(ctx)), group(ctx).desired) == (["web-4"], 0)
    assert call("vm info", "web-4").state == "stopped"
    with pytest.raises(Conflict, match="cannot shrink to 0: web-4 was stopped by a person"):
        call("group scale", "web", 0)
    call("vm start", ["web-4"])
    call("group scale", "web", 0)
    assert list(clouds_of(ctx)) == []


@pytest.mark.usefixtures("web")
def test_nobody_goes_on_missing_data(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("unreachable", times=0)
    plan = call("group scale", "web", 2, dry_run=True)
    assert {step.cloud for step in plan.steps[1:]} == {"one"}
    with pytest.raises(Conflict, match="stands on two, which does not answer"):
        call("group scale", "web", 1)


@pytest.mark.usefixtures("web")
def test_bounds_hold_until_they_are_changed(ctx: Context, call: Call) -> None:
    call("group scale", "web", 5, min=2, max=6)
    for size in (1, 7):
        with pytest.raises(Invalid, match="never"):
            call("group scale", "web", size)
    call("group scale", "web", 7, max=7)
    assert (group(ctx).min, group(ctx).max, group(ctx).desired) == (2, 7, 7)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": -1}, "not a number of VMs"),
        ({"size": 2, "min": 3}, "never fewer"),
        ({"size": 3, "max": 2}, "never more"),
        ({"min": 3, "max": 2}, "is more than"),
        ({"size": 2000}, "VMs are more than|is not between"),
        ({"name": "a b"}, "characters"),
    ],
)
def test_what_cannot_be_is_refused_before_anything(
    ctx: Context, call: Call, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(Invalid, match=text):
        call("group create", **{"name": "web", **options})
    assert not ctx.catalog.find("group")


@pytest.mark.usefixtures("web")
def test_without_a_size_only_what_is_missing_is_booted(ctx: Context, call: Call) -> None:
    assert call("group scale", "web", dry_run=True).steps == ()
    call("vm delete", ["web-[1-2]"])
    call("group scale", "web")
    assert len(clouds_of(ctx)) == 5
    call("vm boot", name="more", group="web")
    assert call("group scale", "web", dry_run=True).steps == (), "nobody is deleted without a number"


def test_a_group_that_nobody_described_grows_by_more_of_its_newest(ctx: Context, call: Call) -> None:
    call("vm boot", name="first", group="lab", cloud="one")
    ctx.clock.sleep(60)
    call("vm boot", "debian", name="second", group="lab", cloud="two", flavor="medium", label={"x": "y"})
    with pytest.raises(Invalid, match="nobody said"):
        call("group scale", "lab")
    call("group scale", "lab", 3)
    (new,) = [vm for vm in groups.members(ctx, "lab") if vm.name == "lab-1"]
    assert (new.cloud, new.image, new.flavor, dict(new.labels)) == ("two", "debian", "medium", {"x": "y"})
    assert group(ctx, "lab").desired == 3


def test_first_boot_data_are_kept_for_those_that_come_later(ctx: Context, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "setup.sh"
    file.write_text("#!/bin/sh\necho first\n")
    call("group create", "web", size=1, user_data=file)
    file.unlink()
    call("group scale", "web", 2)
    made = fake(ctx, "one").store.read()["vms"].values()
    assert [vm["user_data"] for vm in made] == ["#!/bin/sh\necho first\n"] * 2
    kept = userdata.place(group(ctx).token)
    assert kept.stat().st_mode & 0o777 == 0o600
    call("group delete", "web")
    assert not kept.exists()


def test_a_name_that_a_group_has_is_refused(call: Call) -> None:
    call("vm boot", name="first", group="lab")
    with pytest.raises(Exists, match="is there already"):
        call("group create", "lab", size=1)
    call("group create", "web")
    with pytest.raises(Exists, match="is there already"):
        call("group create", "web", size=1)


@pytest.mark.usefixtures("web")
def test_delete_ends_what_was_booted_for_the_group_and_lets_the_others_go(ctx: Context, call: Call) -> None:
    call("group add", "web", ["db"])
    plan = call("group delete", "web", dry_run=True)
    assert plan.notes == ("db, not booted for the group, only leaves it and runs on",)
    assert "Delete the group web and web-[1-5] with disks" in plan.question
    call("group delete", "web")
    assert on_clouds(ctx) == ["db"]
    assert call("group list").items == ()
    assert call("vm info", "db").group == ""
    assert "group.delete web: deleted" in events(ctx)


@pytest.mark.usefixtures("web")
def test_delete_with_keep_vms_ends_nothing(ctx: Context, call: Call) -> None:
    call("group delete", "web", keep_vms=True)
    assert len(on_clouds(ctx)) == 6
    assert call("group list").items == ()
    assert {vm.group for vm in call("vm list").items} == {""}


@pytest.mark.usefixtures("web")
def test_a_protected_member_keeps_its_group(ctx: Context, call: Call) -> None:
    call("vm protect", ["web-3"])
    with pytest.raises(Conflict, match="web-3 is protected") as raised:
        call("group delete", "web")
    assert "--keep-vms" in raised.value.hint
    assert len(on_clouds(ctx)) == 6


def test_an_adopted_member_is_let_go(ctx: Context, call: Call) -> None:
    call("group create", "web", size=2)
    for name in ("web-1", "web-2"):
        (row,) = ctx.catalog.find("vm", name=name)
        vm = Vm.from_document(row.document)
        fits = booted(group(ctx), vm.with_(origin=Origin.ADOPTED)), booted(group(ctx), vm)
        assert fits == (False, True)


@pytest.mark.usefixtures("web")
def test_members_on_a_dead_cloud_stay_in_the_group_until_it_answers(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("unreachable", times=0)
    assert call("group delete", "web").state is OperationState.PARTIAL
    (left,) = call("group list", cached=True).items
    assert (left.vms, left.desired) == (("web-4", "web-5"), None), "nobody boots what is missing of it any more"
    fake(ctx, "two").clear_faults()
    call("group delete", "web")
    assert on_clouds(ctx) == ["db"]


@pytest.mark.usefixtures("web")
def test_a_vm_is_added_to_one_group_only_and_to_others_by_its_labels(ctx: Context, call: Call) -> None:
    call("group create", "course", selector={"course": "cs1"})
    assert len(clouds_of(ctx, "course")) == 5
    with pytest.raises(Conflict, match="web-1 is in the group 'web'"):
        call("group add", "course", ["web-1"])
    with pytest.raises(Invalid, match="by its label course=cs1"):
        call("group remove", "course", ["web-1"])
    with pytest.raises(NotFound, match="db is not in the group"):
        call("group remove", "course", ["db"])
    call("group add", "course", ["db"])
    assert call("group info", "course").size == 6
    call("group remove", "course", selector=["course"])
    assert call("group info", "course").vms == ("db",)
    call("group delete", "course")
    assert len(on_clouds(ctx)) == 6


@pytest.mark.usefixtures("web")
def test_members_are_added_by_labels_and_removed_by_host_list(ctx: Context, call: Call) -> None:
    call("vm boot", name="x", count=3, label={"tier": "front"})
    call("group create", "front")
    call("group add", "front", label={"tier": "front"})
    assert call("group info", "front").vms == ("x-1", "x-2", "x-3")
    call("group remove", "front", ["x-[1-2]"])
    assert call("group info", "front").vms == ("x-3",)
    assert call("group add", "front", ["x-3"], dry_run=True).steps == ()


@pytest.mark.usefixtures("web")
def test_start_and_stop_do_what_is_left_to_do(ctx: Context, call: Call) -> None:
    call("group stop", "web", on="web-[1-2]", force=True)
    assert call("group info", "web").states == {"stopped": 2, "running": 3}
    operation = call("group stop", "web", force=True)
    assert sorted(step.target for step in operation.steps) == ["web-3", "web-4", "web-5"]
    assert call("group stop", "web", dry_run=True).steps == ()
    call("group start", "web")
    assert call("group info", "web").states == {"running": 5}
    assert call("group start", "web", dry_run=True).steps == ()


@pytest.mark.usefixtures("web")
def test_what_others_made_is_started_and_stopped_by_name_only(ctx: Context, call: Call) -> None:
    found = [vm.with_(origin=Origin.FOREIGN) if vm.name == "db" else vm for vm in groups.all_vms(ctx, fresh=False)]
    ctx.catalog.put("vm", {vm.key: vm.to_document() for vm in found})
    change(ctx, "db", labels={"course": "cs1"})
    call("group create", "course", selector={"course": "cs1"})
    fake(ctx, "one").add_fault("unreachable", call="list_vms", times=0)
    plan = call("group stop", "course", dry_run=True)
    assert "db" not in [step.target for step in plan.steps]
    assert plan.notes == ("db was made elsewhere and is left alone",)
    with pytest.raises(Conflict, match="was not made by cloudms"):
        call("group add", "web", ["db"])


@pytest.mark.usefixtures("web")
def test_labels_of_a_group_are_those_of_what_it_boots(ctx: Context, call: Call) -> None:
    call("group label", ["web"], set={"project": "genome"})
    call("group scale", "web", 6)
    assert [vm.name for vm in call("vm list", label={"project": "genome"}).items] == ["web-6"]
    call("group label", label={"project": "genome"}, set={"x": "y"}, members=True)
    assert len(call("vm list", label={"x": "y"}).items) == 6
    assert dict(group(ctx).labels) == {"course": "cs1", "project": "genome", "x": "y"}


# ---- killed at the worst moment -------------------------------------------------------------------------------------


def test_killed_between_intent_and_call_a_create_is_resumed_once(ctx: Context, call: Call) -> None:
    name = killed(ctx, call("group create", "web", size=4, cloud=BOTH, image="micro", dry_run=True))
    assert on_clouds(ctx) == []
    assert call("group info", "web").desired == 4
    call("operation resume", name)
    assert on_clouds(ctx) == ["web-1", "web-2", "web-3", "web-4"]
    assert call("group info", "web").size == 4


def test_killed_before_its_operation_was_written_a_group_can_be_made_again(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = call("group create", "web", size=2, dry_run=True)
    monkeypatch.setattr("cloudms.verbs.group.make.this_process", lambda: f"{this_process().split('/')[0]}/1/1")
    prepare = ACTIONS["group.create"].prepare
    assert prepare
    prepare(ctx, plan.steps[:1])
    call("group create", "web", size=2)
    assert call("group info", "web").size == 2


def test_killed_while_it_grows_a_group_has_as_many_as_it_should_after_a_resume(ctx: Context, call: Call) -> None:
    call("group create", "web", size=2)
    name = killed(ctx, call("group scale", "web", 5, dry_run=True))
    assert call("group info", "web").size == 5, "what was asked for counts"
    assert call("group scale", "web", 5, dry_run=True).steps == (), "so that nobody asks for it twice"
    call("operation resume", name)
    assert len(on_clouds(ctx)) == 5


@pytest.mark.usefixtures("web")
def test_killed_while_it_shrinks_and_while_it_is_deleted(ctx: Context, call: Call) -> None:
    name = killed(ctx, call("group scale", "web", 2, dry_run=True))
    call("operation resume", name)
    assert len(clouds_of(ctx)) == 2
    name = killed(ctx, call("group delete", "web", dry_run=True))
    call("operation resume", name)
    assert on_clouds(ctx) == ["db"]
    assert call("group list").items == ()


@pytest.mark.usefixtures("web")
def test_one_change_at_a_time(ctx: Context, call: Call) -> None:
    second = call("group scale", "web", 7, dry_run=True)
    start(ctx, call("group scale", "web", 6, dry_run=True))
    with pytest.raises(Conflict, match=r"is changing the group 'web'|another command is changing"):
        start(ctx, second)
    with pytest.raises(Conflict, match="is changing the group 'web'"):
        call("group scale", "web", 8)
    assert len([row for row in ctx.catalog.find("vm") if row.document["group"] == "web"]) == 6


@pytest.mark.usefixtures("web")
def test_a_plan_that_counted_other_members_is_refused(ctx: Context, call: Call) -> None:
    plan = call("group scale", "web", 7, dry_run=True)
    call("vm delete", ["web-1"])
    with pytest.raises(Conflict, match="had 5 members a moment ago and has 4 now"):
        start(ctx, plan)
    call("group scale", "web", 7)
    assert len(clouds_of(ctx)) == 7


@pytest.mark.usefixtures("web")
def test_a_scale_that_is_stopped_before_it_began_leaves_the_size_as_it_was(ctx: Context, call: Call) -> None:
    operation = start(ctx, call("group scale", "web", 7, max=9, dry_run=True))
    assert (group(ctx).desired, group(ctx).max) == (7, 9)
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert (group(ctx).desired, group(ctx).max) == (5, None)
    call("group scale", "web", 6)
    assert len(clouds_of(ctx)) == 6


@pytest.mark.usefixtures("web")
def test_vms_of_clouds_that_are_not_configured_any_more_hinder_nobody(ctx: Context, call: Call) -> None:
    gone = Vm(name="old", cloud="gone", id="i-1", group="web", state=VmState.RUNNING)
    ctx.catalog.put("vm", {gone.key: gone.to_document()})
    call("group scale", "web", 6)
    assert len(clouds_of(ctx)) == 6


def test_a_create_that_is_stopped_before_it_began_leaves_nothing(ctx: Context, call: Call) -> None:
    plan = call("group create", "web", size=2, dry_run=True)
    operation = start(ctx, plan)
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert on_clouds(ctx) == []
    assert not ctx.catalog.find("vm")
    assert not ctx.catalog.find("group")


@pytest.mark.usefixtures("web")
def test_the_lists_of_vms_and_of_groups_agree(ctx: Context, call: Call) -> None:
    call("group create", "course", selector={"course": "cs1"})
    call("group add", "course", ["db"])
    for name in ("web", "course"):
        assert [vm.name for vm in call("vm list", group=name).items] == sorted(call("group info", name).vms)
    with pytest.raises(NotFound) as raised:
        call("vm list", group="wep")
    assert raised.value.hint == "did you mean 'web'"


@pytest.mark.parametrize("words", ["vm boot", "vm label"])
def test_a_name_that_no_group_can_have_is_refused(call: Call, words: str) -> None:
    args = (["db"],) if words == "vm label" else ()
    with pytest.raises(Invalid, match="characters"):
        call(words, *args, group="a b")


def test_members_on_their_way_out_are_none(ctx: Context, call: Call) -> None:
    call("group create", "web", size=2)
    change(ctx, "web-1", state=VmState.TERMINATING)
    found = groups.members(ctx, "web")
    assert [vm.name for vm in found] == ["web-2"]
    assert all(isinstance(vm, Vm) for vm in found)


def test_a_delete_that_was_killed_before_it_gave_the_name_back_does_so_when_it_is_resumed(
    call: Call, ctx: Context
) -> None:
    call("group create", "web", size=1, cloud="one", image="micro")
    (row,) = ctx.catalog.find("vm")
    name = row.document["name"]
    ctx.catalog.delete("vm", [row.key])
    assert ctx.catalog.get("name", name) is not None
    step = Step(action="vm.delete", cloud="one", target=name, params={"key": row.key})
    assert vms.delete(Work(ctx, step, "op-1")).state is VmState.TERMINATED
    assert ctx.catalog.get("name", name) is None
