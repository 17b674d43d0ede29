"""Balancers by their commands, on the pretended one: made, shown, filled, emptied, swept, and what the doctor says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.balancers import book, end, for_group, store
from cloudms.balancers.base import Server
from cloudms.balancers.fake import FakeBalancer
from cloudms.balancers.haproxy import daemon
from cloudms.balancers.leave import leave
from cloudms.balancers.reach import where
from cloudms.context import Context
from cloudms.engine import start
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound, NotReady
from cloudms.model import Check, OperationState, Vm
from tests.unit.verbs.conftest import Call, events


@pytest.fixture
def group(call: Call) -> None:
    """Have a group of three on a fake cloud."""
    call("group create", "web", size=3, image="micro")


@pytest.fixture
def made(call: Call, group: None) -> None:
    """Have a balancer of it."""
    assert call("balancer create", "web", kind="fake", slots=2, setting={"queue": "5s"}).state is OperationState.DONE


def fake(ctx: Context) -> FakeBalancer:
    """Return the pretended balancer."""
    balancer = for_group(ctx, "web")
    assert isinstance(balancer, FakeBalancer)
    return balancer


def statuses(call: Call) -> dict[str, str]:
    """Return what each member is."""
    return {server.name: server.status for server in call("balancer stats", "web").items}


def test_a_balancer_is_made_shown_and_deleted(ctx: Context, call: Call, made: None) -> None:
    (info,) = call("balancer list").items
    assert (info.name, info.provider, info.state, info.made) == ("web", "fake", "running", True)
    assert info.settings == {"slots": 2, "queue": 5.0}
    assert info.address.startswith("127.87.")
    assert ctx.notes == []
    assert call("balancer info", "web").with_(p50=None) == info
    assert ctx.notes == [f"curl http://{info.address}/"]
    with pytest.raises(Exists):
        call("balancer create", "web", kind="fake")
    call("balancer delete", "web")
    assert call("balancer list").items == ()
    assert not store.folder_of("web").exists()
    assert [told for told in events(ctx) if "balancer" in told] == [
        "balancer.create web: asked for", "balancer.create web: running", "balancer.delete web: deleted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"kind": "nginx"}, NotFound),
        ({"slots": 0}, Invalid),
        ({"port": 70000}, Invalid),
        ({"check": "health"}, Invalid),
        ({"setting": {"sloths": "3"}}, Invalid),
        ({"setting": {"queue": "soon"}}, Invalid),
        ({"address": "here"}, Invalid),
        ({"slots": 3, "setting": {"slots": "4"}}, Invalid),
        ({"setting": {"idempotent": "perhaps"}}, Invalid),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    ctx: Context, call: Call, group: None, options: dict[str, object], error: type[CloudmsError]
) -> None:
    with pytest.raises(error) as refused:
        call("balancer create", "web", **{"kind": "fake", **options})
    assert refused.value.hint
    assert ctx.catalog.get("balancer", "web") is None


def test_only_a_group_has_one(call: Call) -> None:
    with pytest.raises(NotFound, match="no group named 'web'"):
        call("balancer create", "web", kind="fake")
    for words in ("info", "stats", "start", "delete"):
        with pytest.raises(NotFound, match="no balancer named 'web'"):
            call(f"balancer {words}", "web")


def test_without_haproxy_it_is_said_what_installs_it(
    ctx: Context, call: Call, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "find", lambda: None)
    with pytest.raises(NotReady, match="HAProxy is not installed") as refused:
        call("balancer create", "web")
    assert refused.value.hint == "sudo apt-get install --no-install-recommends haproxy"
    assert ctx.catalog.get("balancer", "web") is None


def test_a_dry_run_changes_nothing(ctx: Context, call: Call, group: None) -> None:
    plan = call("balancer create", "web", kind="fake", dry_run=True)
    assert [step.action for step in plan.steps] == ["balancer.create"]
    assert ctx.catalog.get("balancer", "web") is None
    assert not store.folder_of("web").exists()


def test_members_of_the_group_are_added_drained_and_removed(ctx: Context, call: Call, made: None) -> None:
    call("balancer add", "web", ["web-[1-2]"], hold=True)
    assert statuses(call) == {"web-1": "added", "web-2": "added"}
    call("balancer ready", "web", ["web-1"])
    call("balancer add", "web", slots=7)
    assert statuses(call) == {"web-1": "ready", "web-2": "ready", "web-3": "ready"}
    call("balancer drain", "web", ["web-[1-2]"])
    assert statuses(call) == {"web-1": "draining", "web-2": "draining", "web-3": "ready"}
    call("balancer remove", "web", ["web-1"])
    assert statuses(call) == {"web-2": "draining", "web-3": "ready"}
    (info,) = call("balancer list").items
    assert info.servers == {"draining": 1, "ready": 1}
    assert [server.slots for server in call("balancer stats", "web").items] == [7, 7]
    assert "balancer.drain web-2: web: given no new requests" in events(ctx)


def test_what_is_no_vm_is_added_by_its_place(call: Call, made: None) -> None:
    call("balancer add", "web", ["legacy"], host="192.0.2.7", port=9000)
    (server,) = call("balancer stats", "web").items
    assert (server.name, server.host, server.port, server.slots) == ("legacy", "192.0.2.7", 9000, 2)
    for members in ([], ["a", "b"], ["a[1-2]"]):
        with pytest.raises(Invalid):
            call("balancer add", "web", members, host="192.0.2.7")


@pytest.mark.parametrize(
    "more", [{"slots": -3}, {"slots": 10**6}, {"port": 0}, {"port": 99999}, {"host": "a b"}], ids=str
)
def test_a_member_that_cannot_be_is_refused_before_anything_is_done(
    call: Call, made: None, more: dict[str, object]
) -> None:
    with pytest.raises(Invalid) as refused:
        call("balancer add", "web", ["legacy"], **{"host": "192.0.2.7", **more})
    assert refused.value.hint
    assert call("balancer stats", "web").items == ()


def test_nobody_is_no_member(call: Call, made: None) -> None:
    for word in ("ready", "drain", "remove"):
        with pytest.raises(Invalid, match="no member is named"):
            call(f"balancer {word}", "web", [])


def test_who_is_not_there_is_named(call: Call, made: None) -> None:
    with pytest.raises(NotFound, match="web-9"):
        call("balancer add", "web", ["web-9"])
    call("balancer add", "web", ["web-1"])
    for word in ("ready", "drain", "remove"):
        with pytest.raises(NotFound, match="web-2 is not behind the balancer of web") as refused:
            call(f"balancer {word}", "web", ["web-[1-2]"])
        assert refused.value.hint == "there are web-1"


def test_a_member_leaves_when_it_has_answered_or_its_time_is_over(ctx: Context, call: Call, made: None) -> None:
    call("balancer add", "web")
    balancer, looks = fake(ctx), list[float]()
    balancer.pretend(sessions={"web-1": 1, "web-2": 1})

    def pause(seconds: float) -> None:
        looks.append(seconds)
        ctx.clock.sleep(seconds)
        if len(looks) == 3:
            balancer.pretend(sessions={"web-2": 1})

    assert leave(balancer, "web-1", 30.0, ctx.clock, pause) == 0
    assert len(looks) == 3
    assert leave(balancer, "web-2", 1.0, ctx.clock, ctx.clock.sleep) == 1
    assert leave(balancer, "web-2", 1.0, ctx.clock, ctx.clock.sleep) == 0, "who is not there has left"
    assert statuses(call) == {"web-3": "ready"}


def test_it_is_started_again_and_changes_its_settings(ctx: Context, call: Call, made: None) -> None:
    call("balancer add", "web", ["web-1"])
    now = book.read(store.folder_of("web"))
    book.write(store.folder_of("web"), now.with_(more={"up": False}))
    assert call("balancer info", "web").state == "stopped"
    with pytest.raises(NotReady, match="is not up"):
        call("balancer stats", "web")
    call("balancer start", "web", port=9090)
    info = call("balancer info", "web")
    assert (info.state, info.servers) == ("running", {"ready": 1})
    assert info.address.endswith(":9090")
    assert info.settings == {"slots": 2, "queue": 5.0, "port": 9090}
    with pytest.raises(Invalid):
        call("balancer start", "web", port=0)


def test_what_it_measures_is_shown(ctx: Context, call: Call, made: None) -> None:
    call("balancer add", "web")
    fake(ctx).pretend(rate=12.0, queue=3, p95=0.5, errors=1.5, sick=["web-2"], sessions={"web-1": 2})
    info = call("balancer info", "web")
    assert (info.rate, info.queue, info.p95, info.errors, info.busy) == (12.0, 3, 0.5, 1.5, 50.0)
    assert info.servers == {"ready": 2, "down": 1}


def test_the_settings_of_a_group_are_written_down_before_anything_is_started(ctx: Context, group: None) -> None:
    balancer = for_group(ctx, "web", {"kind": "fake", "slots": 3})
    assert not balancer.is_up
    assert store.find(ctx, "web").settings == {"slots": 3}
    balancer.up()
    again = for_group(ctx, "web", {"kind": "fake", "slots": 5})
    assert again.is_up and again.settings.slots == 5
    assert for_group(ctx, "web").settings.slots == 5
    with pytest.raises(NotFound):
        for_group(ctx, "other")
    with pytest.raises(Invalid):
        for_group(ctx, "../other", {"kind": "fake"})
    end(ctx, "web")
    end(ctx, "web")
    assert ctx.catalog.get("balancer", "web") is None


def test_a_group_ends_with_its_balancer(ctx: Context, call: Call, made: None) -> None:
    call("group delete", "web")
    assert call("balancer list").items == ()
    assert not store.folder_of("web").exists()


def findings(call: Call) -> dict[str, str]:
    """Return what a sweep finds of balancers."""
    return {item.name: item.reason for item in call("sweep").items if item.what == "balancer"}


def test_a_balancer_that_is_wanted_is_not_swept(call: Call, made: None) -> None:
    assert findings(call) == {}


def test_what_nobody_wants_is_swept(ctx: Context, call: Call, made: None) -> None:
    for_group(ctx, "gone", {"kind": "fake"}).up()
    book.write(store.folder_of("lost"), book.Book())
    info = store.find(ctx, "web")
    store.save(ctx, info.with_(made=False), "balancer.create", "asked for")
    assert findings(call) == {
        "gone": "its group is gone", "lost": "no balancer of that name is known", "web": "its creation was interrupted",
    }  # fmt: skip
    call("sweep", apply=True)
    assert findings(call) == {}
    assert call("balancer list").items == ()
    assert [path.name for path in (store.folder_of("x").parent).iterdir() if path.is_dir()] == []


def test_one_that_is_being_made_is_not_swept(ctx: Context, call: Call, group: None) -> None:
    plan = call("balancer create", "web", kind="fake", dry_run=True)
    start(ctx, plan)
    info = store.BalancerInfo.from_document(plan.steps[0].params["balancer"])
    store.save(ctx, info.with_(made=False), "balancer.create", "asked for")
    assert findings(call) == {}


def test_an_interrupted_creation_is_gone_on_with(ctx: Context, call: Call, group: None) -> None:
    plan = call("balancer create", "web", kind="fake", slots=3, dry_run=True)
    info = store.BalancerInfo.from_document(plan.steps[0].params["balancer"])
    store.save(ctx, info.with_(made=False, created=1.0), "balancer.create", "asked for")
    assert call("balancer create", "web", kind="fake", slots=5).state is OperationState.DONE
    info = store.find(ctx, "web")
    assert (info.made, info.created, info.settings) == (True, 1.0, {"slots": 5})


@pytest.mark.parametrize("there", [True, False])
def test_the_doctor_looks_at_balancers(
    ctx: Context, call: Call, group: None, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(daemon, "find", lambda: "/usr/sbin/haproxy" if there else None)

    def looked() -> dict[str, Check]:
        found: dict[str, Check] = {}
        try:
            for check in call("doctor"):
                found[check.name] = check
        except NotReady:
            pass
        return {name: check for name, check in found.items() if name.startswith("balancer")}

    (check,) = looked().values()
    assert (check.state, "apt-get install" in check.hint) == (("ok", False) if there else ("warn", True))
    for_group(ctx, "web", {})
    (check,) = looked().values()
    assert check.name == "balancer web"
    assert check.state == ("warn" if there else "fail")
    assert check.hint
    for_group(ctx, "web", {"kind": "fake"}).up()
    assert looked()["balancer web"].state == "ok"


def test_a_vm_is_reached_at_a_forward_or_at_its_own_address(ctx: Context, call: Call, group: None) -> None:
    def vm() -> Vm:
        (found,) = (item for item in call("vm list").items if item.name == "web-1")
        return found

    assert where(ctx, vm(), 8080) == ((*vm().public_ips, *vm().private_ips)[0], 8080)
    cloud = ctx.cloud(vm().cloud)
    given = cloud.set_address(vm(), "", {"9999": 8080})
    address = next(ip for ip in given.public_ips if any(a.name == ip and a.ports for a in cloud.list_addresses()))
    assert where(ctx, vm(), 8080) == (address, 9999)
    with pytest.raises(NotReady, match="port 81 of web-1 is not forwarded"):
        where(ctx, vm(), 81)


def test_a_vm_without_an_address_is_not_reached_yet(ctx: Context, group: None) -> None:
    with pytest.raises(NotReady, match="no address yet"):
        where(ctx, Vm(name="new", cloud="one"), 8080)


def test_a_server_is_known_by_balancer_and_name(tmp_path: Path) -> None:
    assert Server(name="a", balancer="web").key == "web/a"
