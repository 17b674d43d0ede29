"""Refreshes that break off half-way, and clouds that go on telling of VMs that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from cloudms.catalog.base import Scope
from cloudms.context import Context
from cloudms.engine.refresh import refresh
from cloudms.errors import NotReady
from cloudms.model import Vm, VmState
from tests.unit.calling import Call


def vm(name: str, state: VmState = VmState.RUNNING) -> Vm:
    return Vm(name=name, cloud="first", id=f"i-{name}", state=state)


def listed(ctx: Context) -> list[str]:
    return sorted(row.document["name"] for row in ctx.catalog.find("vm"))


def test_what_came_before_a_region_failed_is_kept_and_nothing_else_is_forgotten(ctx: Context) -> None:
    def whole(_cloud: object) -> list[Vm]:
        return [vm("east"), vm("west")]

    def half(_cloud: object) -> Iterator[Vm]:
        yield vm("east", VmState.STOPPED)
        yield vm("new")
        raise NotReady("eu-west-1: AWS is not reachable", details={"regions": ["eu-west-1"]})

    assert refresh(ctx, ["first"], "vm", whole) == {}
    sealed = ctx.catalog.generation(Scope(kind="vm", cloud="first"))
    failed = refresh(ctx, ["first"], "vm", half)
    assert "eu-west-1" in failed["first"].message
    assert listed(ctx) == ["east", "new", "west"]
    assert ctx.catalog.get("vm", "first/i-east").document["state"] == "stopped"  # type: ignore[union-attr]
    assert ctx.catalog.generation(Scope(kind="vm", cloud="first")) == sealed


def test_a_vm_that_its_cloud_ended_is_forgotten_with_the_reason_and_its_name_is_free(ctx: Context, call: Call) -> None:
    call("vm boot", name="web")
    stored = Vm.from_document(ctx.catalog.find("vm")[0].document)
    ended = stored.with_(state=VmState.TERMINATED, reason="Server.SpotInstanceTermination: taken back")
    assert refresh(ctx, ["first"], "vm", lambda _cloud: [ended]) == {}
    assert listed(ctx) == []
    assert ctx.catalog.get("name", "web") is None
    assert any("SpotInstanceTermination" in row.document["text"] for row in ctx.catalog.find("event"))
    assert refresh(ctx, ["first"], "vm", lambda _cloud: [ended, vm("old", VmState.TERMINATED)]) == {}
    assert listed(ctx) == []
