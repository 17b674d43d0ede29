"""Volumes that grow and are kept: refused in time, written down before the call, made once whatever is killed."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import execute, start
from cloudms.errors import CloudmsError, Exists, Interrupted, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import OperationState
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake
from tests.unit.verbs.test_volume import killed


def kept(ctx: Context) -> list[tuple[str, str, str]]:
    """Return name, cloud and state of every snapshot of a volume that the catalog knows."""
    rows = ctx.catalog.find("volume_snapshot")
    return sorted((row.document["name"], row.document["cloud"], row.document["state"]) for row in rows)


def test_info_tells_what_the_cloud_says_now(ctx: Context, call: Call) -> None:
    made = outcome(call("volume create", "data1", size=3))
    assert call("volume info", made["id"]).name == "data1"
    fake(ctx, "one").resize_volume(call("volume info", "data1"), 7)
    assert call("volume info", "data1", cached=True).size_gib == 3
    assert call("volume info", "data1").size_gib == 7
    fake(ctx, "one").delete_volume(call("volume info", "data1"))
    with pytest.raises(NotFound, match="just disappeared"):
        call("volume info", "data1")
    with pytest.raises(NotFound):
        call("volume info", "data1")


def test_a_volume_grows_while_it_is_attached(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    call("vm boot", name="web1")
    call("volume attach", "data1", "web1")
    plan = call("volume resize", "data1", 5, dry_run=True)
    assert plan.summary == "resize data1 from 1 to 5 GiB"
    assert "web1" in plan.notes[-1]
    grown = outcome(call("volume resize", "data1", 5))
    assert (grown["size_gib"], grown["vm"], grown["device"]) == (5, "web1", "/dev/vdb")
    assert call("volume resize", "data1", 5).state is OperationState.DONE
    assert call("volume list", cached=True).items[0].size_gib == 5
    assert "now of 5 GiB" in events(ctx)[-1]


@pytest.mark.parametrize(("size", "said"), [(2, "cannot shrink to 2"), (0, "0 is not a size"), (70000, "not a size")])
def test_a_size_that_cannot_be_is_refused_before_any_call(ctx: Context, call: Call, size: int, said: str) -> None:
    call("volume create", "data1", size=3)
    with pytest.raises(Invalid, match=said):
        call("volume resize", "data1", size)
    assert fake(ctx, "one").calls("resize_volume") == []


def test_what_a_cloud_refuses_to_do_while_attached_is_told(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    fake(ctx, "one").add_fault("denied", call="resize_volume")
    assert outcome(call("volume resize", "data1", 2))["code"] == "denied"
    assert call("volume list").items[0].size_gib == 1


@pytest.mark.usefixtures("plain")
def test_clouds_that_cannot_are_refused_with_those_that_can(ctx: Context, call: Call) -> None:
    with pytest.raises(Unsupported) as caught:
        call("volume create", "data1", cloud="plain")
    assert "one, two" in caught.value.hint
    with pytest.raises(Unsupported):
        call("volume snapshot list", cloud="plain")


def test_a_snapshot_is_kept_listed_made_anew_and_forgotten(ctx: Context, call: Call) -> None:
    volume = outcome(call("volume create", "data1", size=3))
    made = outcome(call("volume snapshot create", "data1", name="before"))
    assert (made["name"], made["volume"], made["size_gib"], made["state"]) == ("before", "data1", 3, "available")
    assert outcome(call("volume snapshot create", "data1"))["name"] == "data1-snap-1"
    assert outcome(call("volume snapshot create", "data1"))["name"] == "data1-snap-2"
    call("volume create", "other")
    call("volume snapshot create", "other", name="else")
    assert [row.name for row in call("volume snapshot list").items] == [
        "before",
        "data1-snap-1",
        "data1-snap-2",
        "else",
    ]
    for word in ("data1", volume["id"]):
        assert {row.name for row in call("volume snapshot list", word).items} == {
            "before", "data1-snap-1", "data1-snap-2",
        }  # fmt: skip
    call("volume delete", ["data1"])
    back = outcome(call("volume create", "data2", snapshot="before", label={"a": "b"}))
    assert (back["name"], back["size_gib"], back["state"], dict(back["labels"])) == (
        "data2",
        3,
        "available",
        {"a": "b"},
    )
    world = fake(ctx, "one").store.read()
    assert world["volumes"][back["id"]]["contents"] == volume["id"]
    assert call("volume snapshot delete", ["before", "data1-snap-[1-2]"]).state is OperationState.DONE
    assert kept(ctx) == [("else", "one", "available")]
    assert outcome(call("volume snapshot delete", ["else"]))["state"] == "deleted"
    with pytest.raises(NotFound, match="no volume snapshot named 'else'"):
        call("volume snapshot delete", ["else"])
    assert call("volume snapshot delete", ["else"], missing_ok=True).steps == ()


def test_a_volume_made_of_a_snapshot_has_its_size(call: Call) -> None:
    call("volume create", "data1", size=3)
    call("volume snapshot create", "data1", name="before")
    with pytest.raises(Invalid, match="has its 3 GiB"):
        call("volume create", "data2", snapshot="before", size=4)
    assert outcome(call("volume create", "data2", snapshot="before", size=3))["size_gib"] == 3
    assert call("volume create", "data3", snapshot="before", dry_run=True).summary == (
        "make the volume data3 of before on one"
    )


def test_names_of_snapshots_are_unique_over_all_clouds(ctx: Context, call: Call) -> None:
    call("volume create", "data1", cloud="one")
    call("volume create", "data2", cloud="two")
    call("volume snapshot create", "data1", name="same")
    with pytest.raises(Exists) as caught:
        call("volume snapshot create", "data2", name="same")
    assert caught.value.hint == "--name same-1 is free"
    with pytest.raises(Invalid):
        call("volume snapshot create", "data2", name="not a name")


def test_the_intent_of_a_snapshot_is_written_first_and_a_resume_makes_it_once(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    name = killed(ctx, call("volume snapshot create", "data1", name="before", dry_run=True))
    assert kept(ctx) == [("before", "one", "creating")]
    assert fake(ctx, "one").calls("create_volume_snapshot") == []
    assert call("operation resume", name).state is OperationState.DONE
    assert kept(ctx) == [("before", "one", "available")]
    assert len(fake(ctx, "one").store.read()["volume_snapshots"]) == 1


def test_a_snapshot_or_a_restored_volume_whose_reply_was_lost_is_made_once(ctx: Context, call: Call) -> None:
    cloud: Any = fake(ctx, "one")
    call("volume create", "data1")
    cloud.add_fault("loses_reply", call="create_volume_snapshot")
    assert outcome(call("volume snapshot create", "data1", name="before"))["state"] == "available"
    cloud.add_fault("loses_reply", call="restore_volume")
    assert outcome(call("volume create", "data2", snapshot="before"))["state"] == "available"
    world = cloud.store.read()
    assert (len(world["volume_snapshots"]), len(world["volumes"])) == (1, 2)


def test_a_snapshot_in_the_making_is_listed_and_one_that_never_came_goes(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    call("volume create", "data1")
    killed(ctx, call("volume snapshot create", "data1", name="before", dry_run=True))
    assert [row.state for row in call("volume snapshot list", refresh=True).items] == ["creating"]
    clock.sleep(601)
    assert call("volume snapshot list", refresh=True).items == ()
    assert outcome(call("volume snapshot create", "data1", name="before"))["state"] == "available"


def test_what_a_killed_run_made_is_found_again_by_the_next_list(ctx: Context, call: Call) -> None:
    """The cloud has it, the catalog only the intent: the list joins both by the token."""
    call("volume create", "data1")
    plan = call("volume snapshot create", "data1", name="before", dry_run=True)
    killed(ctx, plan)
    (step,) = plan.steps
    (volume,) = fake(ctx, "one").list_volumes()
    fake(ctx, "one").create_volume_snapshot(volume, "before", step.params["token"])
    (row,) = call("volume snapshot list", refresh=True).items
    assert (row.name, row.state, row.token) == ("before", "available", step.params["token"])
    assert call("sweep").items[0].what == "unfinished"
    assert call("volume snapshot delete", ["before"]).state is OperationState.DONE


@pytest.mark.parametrize("fault", ["no_capacity", "denied"])
def test_a_refused_snapshot_leaves_nothing(ctx: Context, call: Call, fault: str) -> None:
    call("volume create", "data1")
    fake(ctx, "one").add_fault(fault, call="create_volume_snapshot")
    assert outcome(call("volume snapshot create", "data1", name="before"))["code"] == fault
    assert kept(ctx) == []
    assert ctx.catalog.find("volume_snapshot-name") == []
    assert outcome(call("volume snapshot create", "data1", name="before"))["state"] == "available"


def test_a_snapshot_that_never_began_is_taken_back(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    operation = start(ctx, call("volume snapshot create", "data1", name="before", dry_run=True))
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert kept(ctx) == []


def test_what_is_gone_meanwhile_is_told(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    plan = call("volume snapshot create", "data1", name="before", dry_run=True)
    call("volume delete", ["data1"])
    assert outcome(execute(ctx, start(ctx, plan)))["message"] == "the volume is gone"
    assert kept(ctx) == []
    call("volume create", "data1")
    call("volume snapshot create", "data1", name="before")
    plan = call("volume create", "data2", snapshot="before", dry_run=True)
    call("volume snapshot delete", ["before"])
    assert outcome(execute(ctx, start(ctx, plan)))["message"] == "the snapshot is gone"
    assert len(ctx.catalog.find("volume")) == 1


def test_a_volume_that_is_still_being_made_is_not_kept(ctx: Context, call: Call) -> None:
    killed(ctx, call("volume create", "data1", dry_run=True))
    with pytest.raises(NotReady, match="still being made"):
        call("volume snapshot create", "data1")


def test_a_silent_cloud_is_an_error_and_makes_nothing(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    fake(ctx, "one").add_fault("unreachable", call="*snapshot*", times=0)
    with pytest.raises(CloudmsError):
        done = outcome(call("volume snapshot create", "data1"))
        raise NotReady(done["message"])
    assert fake(ctx, "one").store.read()["volume_snapshots"] == {}
