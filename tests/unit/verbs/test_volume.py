"""Volumes: named once over all clouds, made once whatever is killed, attached to one VM, deleted only when free."""

from __future__ import annotations

import pytest

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import Plan, execute, start
from cloudms.engine.process import this_process
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, Unsupported
from cloudms.model import OperationState, Volume
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake


def volumes(ctx: Context) -> list[tuple[str, str, str]]:
    """Return name, cloud and state of every volume the catalog knows."""
    rows = [Volume.from_document(row.document) for row in ctx.catalog.find("volume")]
    return sorted((volume.name, volume.cloud, volume.state) for volume in rows)


def killed(ctx: Context, plan: Plan) -> str:
    """Write a plan down as a process would that then died, and return the operation's name."""
    operation = start(ctx, plan)
    dead = f"{this_process().split('/')[0]}/1/1"
    ctx.catalog.put("operation", {operation.name: operation.with_(process=dead).to_document()})
    for kind in ("volume-name", "volume_snapshot-name", "secgroup-name"):
        for row in ctx.catalog.find(kind):
            ctx.catalog.put(kind, {row.key: {**row.document, "process": dead}})
    return operation.name


def test_create_list_delete(ctx: Context, call: Call) -> None:
    made = outcome(call("volume create", "data1", size=5, label={"a": "b"}))
    assert (made["name"], made["cloud"], made["size_gib"], made["state"]) == ("data1", "one", 5, "available")
    (listed,) = call("volume list").items
    assert (listed.id, listed.labels, listed.token) == (made["id"], {"a": "b"}, made["token"])
    assert call("volume list", label={"a": "c"}).items == ()
    assert outcome(call("volume delete", ["data1"]))["state"] == "deleted"
    assert call("volume list").items == ()
    assert fake(ctx, "one").store.read()["volumes"] == {}
    said = [event.partition(": ")[2] for event in events(ctx)]
    assert said == ["asked for, 5 GiB", "created, available", "deleted"]


def test_the_default_is_one_gib_with_the_next_free_name(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "Alice_B")
    assert [outcome(call("volume create"))["name"] for _ in range(2)] == ["alice-b-volume-1", "alice-b-volume-2"]
    assert outcome(call("volume create"))["size_gib"] == 1


@pytest.mark.parametrize("size", [0, -1, 70000])
def test_a_senseless_size_is_refused(call: Call, size: int) -> None:
    with pytest.raises(Invalid, match="--size"):
        call("volume create", "data1", size=size)


def test_names_are_unique_over_all_clouds(call: Call) -> None:
    call("volume create", "data1", cloud="two")
    with pytest.raises(Exists) as caught:
        call("volume create", "data1", cloud="one")
    assert caught.value.hint.startswith("data2 is free")


def test_a_name_that_only_the_cloud_knows_is_taken(ctx: Context, call: Call) -> None:
    fake(ctx, "one").create_volume("data1", 1, "somebody's", {})
    with pytest.raises(Exists, match="data1"):
        call("volume create", "data1")


def test_two_plans_for_one_name_make_one_volume(ctx: Context, call: Call) -> None:
    plans = [call("volume create", "data1", cloud=cloud, dry_run=True) for cloud in ("one", "two")]
    execute(ctx, start(ctx, plans[0]))
    with pytest.raises(Exists):
        start(ctx, plans[1])
    assert volumes(ctx) == [("data1", "one", "available")]


def test_the_intent_is_written_before_the_call_and_a_resume_makes_it_once(ctx: Context, call: Call) -> None:
    name = killed(ctx, call("volume create", "data1", dry_run=True))
    assert volumes(ctx) == [("data1", "one", "creating")]
    assert fake(ctx, "one").calls("create_volume") == []
    assert call("operation resume", name).state is OperationState.DONE
    assert volumes(ctx) == [("data1", "one", "available")]


def test_a_volume_whose_reply_was_lost_is_found_by_its_token(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("loses_reply", call="create_volume", times=1)
    plan = call("volume create", "data1", dry_run=True)
    done = execute(ctx, start(ctx, plan))
    assert done.state is OperationState.DONE
    assert len(fake(ctx, "one").store.read()["volumes"]) == 1
    assert len(call("volume list").items) == 1


def test_a_volume_in_the_making_is_not_pruned_by_a_list_and_one_that_never_came_is(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    killed(ctx, call("volume create", "data1", dry_run=True))
    assert [v.state for v in call("volume list", refresh=True).items] == ["creating"]
    with pytest.raises(Exists):
        call("volume create", "data1")
    clock.sleep(601)
    assert call("volume list", refresh=True).items == ()
    assert outcome(call("volume create", "data1"))["state"] == "available"


def test_a_refused_creation_leaves_nothing(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("no_capacity", call="create_volume")
    assert outcome(call("volume create", "data1"))["code"] == "no_capacity"
    assert volumes(ctx) == []
    assert outcome(call("volume create", "data1"))["state"] == "available"


def test_a_step_that_never_began_is_taken_back(ctx: Context, call: Call) -> None:
    operation = start(ctx, call("volume create", "data1", dry_run=True))
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert volumes(ctx) == []
    assert ctx.catalog.find("volume-name") == []


def test_attach_says_the_device_and_detach_frees_it(call: Call) -> None:
    call("volume create", "data1")
    call("vm boot", name="web1")
    attached = outcome(call("volume attach", "data1", "web1"))
    assert (attached["vm"], attached["device"], attached["state"]) == ("web1", "/dev/vdb", "attached")
    assert call("volume attach", "data1", "web1").state is OperationState.DONE
    assert call("volume list").items[0].vm == "web1"
    assert outcome(call("volume detach", ["data1"]))["vm"] == ""
    assert call("volume detach", ["data1"]).state is OperationState.DONE


def test_attached_elsewhere_is_a_conflict_with_the_way_out(call: Call) -> None:
    call("volume create", "data1")
    call("vm boot", name="web", count=2)
    call("volume attach", "data1", "web-1")
    for words, args in (("volume attach", ("data1", "web-2")), ("volume delete", (["data1"],))):
        with pytest.raises(Conflict, match="attached to web-1") as caught:
            call(words, *args)
        assert caught.value.hint == "cms volume detach data1"


def test_a_stale_record_does_not_forbid_what_the_cloud_allows(ctx: Context, call: Call) -> None:
    call("volume create", "data1")
    call("vm boot", name="web1")
    call("volume attach", "data1", "web1")
    call("vm delete", ["web1"])
    assert ctx.catalog.find("volume")[0].document["vm"] == "web1"
    assert outcome(call("volume delete", ["data1"]))["state"] == "deleted"


def test_volume_and_vm_must_stand_on_one_cloud(call: Call) -> None:
    call("volume create", "data1", cloud="two")
    call("vm boot", name="web1", cloud="one")
    with pytest.raises(Invalid, match="data1 is on two and web1 on one"):
        call("volume attach", "data1", "web1")


def test_many_are_deleted_at_once_and_gone_is_success(ctx: Context, call: Call) -> None:
    for _ in range(3):
        call("volume create", None, label={"x": "y"})
    names = [volume.name for volume in call("volume list").items]
    world = fake(ctx, "one")
    world.delete_volume(call("volume list").items[0])
    assert call("volume delete", names).state is OperationState.DONE
    assert call("volume delete", names, missing_ok=True).steps == ()
    with pytest.raises(NotFound):
        call("volume delete", names)


def test_ids_do_as_well_as_names_and_two_of_a_name_are_told_apart(ctx: Context, call: Call) -> None:
    first = fake(ctx, "one").create_volume("same", 1, "t1", {})
    fake(ctx, "two").create_volume("same", 1, "t2", {})
    with pytest.raises(Conflict, match="means several"):
        call("volume delete", ["same"])
    assert call("volume delete", ["same"], cloud="two").state is OperationState.DONE
    assert call("volume delete", [first.id]).state is OperationState.DONE


@pytest.mark.usefixtures("plain")
def test_a_cloud_without_volumes_is_refused_before_any_call(ctx: Context, call: Call) -> None:
    with pytest.raises(Unsupported, match="no volumes"):
        call("volume create", "data1", cloud="plain")
    assert ctx.catalog.find("volume-name") == []


def test_a_dry_run_makes_nothing(ctx: Context, call: Call) -> None:
    plan = call("volume create", "data1", size=3, dry_run=True)
    assert plan.summary == "make the volume data1 of 3 GiB on one"
    assert volumes(ctx) == []
    assert ctx.catalog.find("volume-name") == []


def test_a_volume_is_made_in_the_region_that_is_named(call: Call) -> None:
    made = outcome(call("volume create", "data1", region="fake-west-1"))
    assert (made["region"], made["state"]) == ("fake-west-1", "available")
    refused = outcome(call("volume create", "data2", region="nowhere"))
    assert refused["code"] == "not_found"
    assert [volume.name for volume in call("volume list").items] == ["data1"]


@pytest.mark.usefixtures("plain")
def test_a_region_is_refused_where_there_are_none(call: Call) -> None:
    with pytest.raises(Unsupported):
        call("volume create", "data1", cloud="plain", region="here")
