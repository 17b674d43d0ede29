"""Addresses without a VM: taken once whatever is killed, kept when asked to, given back only when free."""

from __future__ import annotations

import pytest

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import Plan, execute, resume, start
from cloudms.engine.process import this_process
from cloudms.engine.rates import rate
from cloudms.engine.reserve import catalog_id
from cloudms.errors import Conflict, Interrupted, Invalid, NotFound, Unsupported
from cloudms.model import Address, OperationState, Vm
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake


def killed(ctx: Context, plan: Plan) -> str:
    """Write a plan down as a process would that then died, and return the operation's name."""
    operation = start(ctx, plan)
    dead = f"{this_process().split('/')[0]}/1/1"
    ctx.catalog.put("operation", {operation.name: operation.with_(process=dead).to_document()})
    return operation.name


def had(ctx: Context) -> dict[str, str]:
    """Return the addresses that the catalog knows as ours, with the VM each leads to."""
    rows = [Address.from_document(row.document) for row in ctx.catalog.find("address")]
    return {row.name: row.vm for row in rows if row.token}


def taken(ctx: Context, cloud: str = "one") -> set[str]:
    """Return the addresses that the cloud has given away."""
    return set(fake(ctx, cloud).store.read()["addresses"])


def test_create_list_label_delete(ctx: Context, call: Call) -> None:
    made = outcome(call("ip create", label={"use": "front"}))
    assert (made["cloud"], made["vm"], made["price_per_hour"]) == ("one", "", 0.005)
    assert made["token"].startswith(catalog_id(ctx))
    for refresh in (False, True):
        (listed,) = call("ip list", label={"use": "front"}, refresh=refresh).items
        assert (listed.name, listed.token, listed.price_per_hour) == (made["name"], made["token"], 0.005)
    assert call("ip list", label={"use": "back"}).items == ()
    assert [item.name for item in call("ip list", cloud="one").items].count(made["name"]) == 1
    call("ip label", [made["name"]], set={"tier": "1"}, remove=["use"])
    (listed,) = call("ip list", label={"tier": "1"}, refresh=True).items
    assert listed.labels == {"tier": "1"}
    assert listed.created
    assert call("ip delete", [], label={"tier": "1"}).state is OperationState.DONE
    assert (had(ctx), taken(ctx)) == ({}, set())
    said = [event.partition(": ")[2] for event in events(ctx)]
    assert said == ["asked for", "taken", "labelled", "given back"]


def test_the_intent_is_written_before_the_call_and_a_resume_takes_it_once(ctx: Context, call: Call) -> None:
    name = killed(ctx, call("ip create", label={"a": "b"}, dry_run=True))
    (asked,) = had(ctx)
    assert asked.startswith("new-")
    assert taken(ctx) == set()
    assert asked in [item.name for item in call("ip list", refresh=True).items]
    assert resume(ctx, name).state is OperationState.DONE
    assert set(had(ctx)) == taken(ctx)
    assert len(taken(ctx)) == 1
    assert [item.labels for item in call("ip list", label={"a": "b"}).items] == [{"a": "b"}]


def test_one_that_was_taken_before_a_kill_is_found_by_its_token(ctx: Context, call: Call) -> None:
    plan = call("ip create", dry_run=True)
    name = killed(ctx, plan)
    fake(ctx, "one").create_address(plan.steps[0].params["token"])
    call("ip list", refresh=True)
    assert set(had(ctx)) == taken(ctx)
    assert resume(ctx, name).state is OperationState.DONE
    assert set(had(ctx)) == taken(ctx)
    assert len(taken(ctx)) == 1


def test_one_that_never_came_is_forgotten(ctx: Context, call: Call, clock: ManualClock) -> None:
    killed(ctx, call("ip create", dry_run=True))
    clock.sleep(601)
    call("ip list", refresh=True)
    assert had(ctx) == {}


def test_a_lost_reply_takes_one(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("loses_reply", call="create_address", times=1)
    assert call("ip create").state is OperationState.DONE
    assert len(taken(ctx)) == 1


def test_a_refused_one_leaves_nothing(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("no_capacity", call="create_address")
    assert outcome(call("ip create"))["code"] == "no_capacity"
    assert had(ctx) == {}
    assert outcome(call("ip create", region="nowhere"))["code"] == "not_found"
    assert had(ctx) == {}


def test_a_step_that_never_began_is_taken_back(ctx: Context, call: Call) -> None:
    operation = start(ctx, call("ip create", dry_run=True))
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert had(ctx) == {}


def test_a_dry_run_takes_nothing_and_tells_the_price(ctx: Context, call: Call) -> None:
    plan = call("ip create", region="fake-west", dry_run=True)
    assert plan.summary == "take a public address on one"
    assert plan.notes == ("an address costs 0.005 per hour, with or without a VM",)
    assert (had(ctx), taken(ctx)) == ({}, set())


def test_in_use_is_a_conflict_with_the_way_out(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    address = outcome(call("ip create"))["name"]
    assert outcome(call("vm ip set", "web", address))["public_ips"] == [address]
    with pytest.raises(Conflict, match="leads to web") as caught:
        call("ip delete", [address])
    assert f"cms vm ip remove web {address} --keep" in caught.value.hint
    call("vm ip remove", "web", address)
    assert taken(ctx) == {address}
    assert call("ip delete", [address]).state is OperationState.DONE
    assert taken(ctx) == set()


def test_what_is_named_must_be_there(call: Call) -> None:
    with pytest.raises(NotFound) as caught:
        call("ip delete", ["198.51.100.9"])
    assert "cms" in caught.value.hint
    assert call("ip delete", ["198.51.100.9"], missing_ok=True).steps == ()
    with pytest.raises(Invalid):
        call("ip delete", [])


def test_gone_already_is_success(ctx: Context, call: Call) -> None:
    made = outcome(call("ip create"))
    plan = call("ip delete", [made["name"]], dry_run=True)
    fake(ctx, "one").delete_address(Address(name=made["name"], id=made["id"]))
    assert execute(ctx, start(ctx, plan)).state is OperationState.DONE
    assert had(ctx) == {}


def test_an_address_that_a_vm_was_given_goes_with_it(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    call("vm ip set", "web")
    assert call("vm delete", ["web"]).state is OperationState.DONE
    assert taken(ctx) == set()


def test_an_address_that_was_created_outlives_its_vm(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    address = outcome(call("ip create"))["name"]
    call("vm ip set", "web", address)
    call("vm delete", ["web"])
    call("ip list", refresh=True)
    assert had(ctx) == {address: ""}


def test_remove_gives_it_back_and_keep_keeps_it(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    address = outcome(call("vm ip set", "web"))["public_ips"][0]
    plan = call("vm ip remove", "web", keep=True, dry_run=True)
    assert plan.summary == f"take {address} from web and keep it"
    assert outcome(call("vm ip remove", "web", keep=True))["public_ips"] == []
    assert had(ctx) == {address: ""}
    assert call("sweep").items == ()
    call("vm ip set", "web", address)
    call("vm ip remove", "web", address)
    call("vm ip set", "web")
    given = next(iter(taken(ctx) - {address}))
    call("vm ip remove", "web", given)
    assert taken(ctx) == {address}


def test_delete_keeps_the_addresses_when_asked(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", count=2)
    address = outcome(call("vm ip set", "web-1"))["public_ips"][0]
    plan = call("vm delete", ["web-[1-2]"], keep_ip=True, dry_run=True)
    assert plan.summary == "delete web-[1-2] with disks, and keep the addresses"
    assert call("vm delete", ["web-[1-2]"], keep_ip=True).state is OperationState.DONE
    assert (had(ctx), taken(ctx)) == ({address: ""}, {address})
    assert call("sweep").items == ()


@pytest.mark.parametrize("detached", [False, True])
def test_a_delete_that_was_killed_still_keeps_the_address(ctx: Context, call: Call, detached: bool) -> None:
    call("vm boot", name="web")
    address = outcome(call("vm ip set", "web"))["public_ips"][0]
    name = killed(ctx, call("vm delete", ["web"], keep_ip=True, dry_run=True))
    if detached:
        vm = Vm.from_document(ctx.catalog.find("vm")[0].document)
        fake(ctx, "one").detach_address(vm, address)
    assert resume(ctx, name).state is OperationState.DONE
    assert (had(ctx), taken(ctx)) == ({address: ""}, {address})


@pytest.mark.usefixtures("plain")
def test_where_none_is_kept_it_is_refused_before_any_call_with_who_can(ctx: Context, call: Call) -> None:
    vm = Vm(name="web", cloud="plain", id="1", token="t", public_ips=("192.0.2.1",))
    ctx.catalog.put("vm", {vm.key: vm.to_document()})
    for words, args, more in (
        ("ip create", (), {"cloud": "plain"}),
        ("vm delete", (["web"],), {"keep_ip": True}),
    ):
        with pytest.raises(Unsupported, match="'plain' keeps no address without a VM: plain has no address pool") as e:
            call(words, *args, **more)
        assert e.value.hint == "these do: one, two"


def test_addresses_are_in_what_it_costs(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web")
    call("vm ip set", "web")
    kept = outcome(call("ip create"))["name"]
    clock.sleep(36000)
    rows = {row.name: row for row in call("cost").items if row.what == "address"}
    assert len(rows) == 2
    assert (rows[kept].price_per_hour, round(rows[kept].so_far, 3)) == (0.005, 0.05)


def test_a_price_is_asked_for_once_and_kept_with_its_age(
    ctx: Context, call: Call, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rate(ctx, "one", "address") == 0.005
    assert rate(ctx, "one", "address") == 0.005
    assert len(fake(ctx, "one").calls("thing_price")) == 1
    clock.sleep(8 * 86400)
    assert rate(ctx, "one", "address") == 0.005
    assert len(fake(ctx, "one").calls("thing_price")) == 2
    assert rate(ctx, "one", "rainbow") is None
    assert rate(ctx, "one", "rainbow") is None
    assert len(fake(ctx, "one").calls("thing_price")) == 3
    clock.sleep(8 * 86400)
    fake(ctx, "one").add_fault("denied", call="thing_price", times=0)
    assert rate(ctx, "one", "address") == 0.005
    monkeypatch.setattr("cloudms.clouds.fake.FakeCloud.costs_money", False)
    assert rate(ctx, "one", "address") is None


def test_a_leftover_tells_what_it_costs(ctx: Context, call: Call) -> None:
    token = catalog_id(ctx) + "feed"
    with fake(ctx, "one").store.change() as world:
        world["disks"]["disk-9"] = {
            "token": token, "owner": "alice", "name": "gone", "vm": "", "created": 0.0, "size_gib": 73,
        }  # fmt: skip
    (found,) = call("sweep").items
    assert (found.what, found.name, found.price_per_hour) == ("orphan", "gone", pytest.approx(0.01))
