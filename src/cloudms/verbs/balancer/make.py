"""`cms balancer create`, `start` and `delete`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cloudms.balancers import store
from cloudms.balancers.base import BalancerInfo
from cloudms.balancers.settings import Settings
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.errors import Exists, Invalid
from cloudms.model import Noun, Step
from cloudms.verb import Doc, verb
from cloudms.verbs.balancer.look import OneBalancer
from cloudms.verbs.group.look import OneGroup

_COLUMNS = ("name", "provider", "state", "address", "servers")

Kind = Annotated[str | None, Doc("what does it: haproxy, or fake, which only pretends")]
Address = Annotated[str | None, Doc("where it listens; a loopback address of its own otherwise")]
Port = Annotated[int | None, Doc("port where it listens; 8080 otherwise")]
MemberPort = Annotated[int | None, Doc("port where the members' service listens; 8080 otherwise")]
Slots = Annotated[int | None, Doc("how many requests a member works on at a time; 4 otherwise")]
Check = Annotated[str | None, Doc("path that a member answers with 200 while it is well; /health otherwise")]
Idempotent = Annotated[
    bool | None, Doc("any request may be done twice: one that a dying member dropped is given to another")
]
Setting = Annotated[
    dict[str, str] | None, Doc("any other setting, such as timeout=30s, queue=2m, most=20, fall=3, retries=2")
]


@verb("balancer", "create", changes=True, columns=_COLUMNS, example="cms balancer create web --port 8080 --slots 8")
def create(
    ctx: Context,
    name: OneGroup,
    *,
    kind: Kind = None,
    address: Address = None,
    port: Port = None,
    member_port: MemberPort = None,
    slots: Slots = None,
    check: Check = None,
    idempotent: Idempotent = None,
    setting: Setting = None,
) -> Plan:
    """Start a balancer for a group. `balancer add` puts its members behind it, the scaler does so by itself.

    It runs on this machine, in the background, until it is deleted, whatever becomes of the command that started it.
    """
    known = ctx.catalog.get("balancer", name)
    if known is not None and BalancerInfo.from_document(known.document).made:
        raise Exists(f"the group '{name}' has a balancer", hint=f"cms balancer start {name} changes its settings")
    groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    given = _given(setting, address, port, member_port, slots, check, idempotent)
    info = BalancerInfo(
        name=name, provider=kind or store.KIND, settings=Settings.from_plain(given).to_plain(), owner=ctx.owner
    )
    store.opened(ctx, info).check_installed()
    step = Step(action="balancer.create", cloud="", target=name, params={"balancer": info.to_document()})
    return Plan(verb="balancer create", summary=f"start a balancer for the group {name}", steps=(step,))


def _given(
    setting: Mapping[str, str] | None, address: str | None, port: int | None, member_port: int | None,
    slots: int | None, check: str | None, idempotent: bool | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the settings that were given, by option or by name. Raises: Invalid (one twice)."""
    options = {
        "address": address, "port": port, "member_port": member_port, "slots": slots, "check": check,
        "idempotent": idempotent,
    }  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in (setting or {}).items():
        if key in given:
            raise Invalid(f"{key} is given twice", hint=f"leave --setting {key} out")
        given[key] = {"true": True, "false": False}.get(value, value) if key == "idempotent" else value
    return given


@action("balancer.create")
def _create(work: Work) -> Noun:
    """Write the row, then start it; an interrupted attempt is gone on with."""
    ctx, wanted = work.ctx, BalancerInfo.from_document(work.step.params["balancer"])
    stored = ctx.catalog.get("balancer", wanted.name)
    info = wanted.with_(created=ctx.clock.now(), made=False)
    if stored is not None:
        info = info.with_(created=BalancerInfo.from_document(stored.document).created)
    store.save(ctx, info, "balancer.create", "asked for", work.operation)
    work.report("starting it")
    store.opened(ctx, info).up()
    return store.seen(ctx, store.save(ctx, info.with_(made=True), "balancer.create", "running", work.operation))


@verb("balancer", "start", changes=True, columns=_COLUMNS, example="cms balancer start web --slots 16")
def start(
    ctx: Context,
    name: OneBalancer,
    *,
    address: Address = None,
    port: Port = None,
    member_port: MemberPort = None,
    slots: Slots = None,
    check: Check = None,
    idempotent: Idempotent = None,
    setting: Setting = None,
) -> Plan:
    """Start a balancer again, after this machine was or after it died, with the members it had; or change its settings.

    One that runs changes to other settings without a lost request. Members keep the slots they were added with.
    """
    info = store.find(ctx, name)
    given = {**info.settings, **_given(setting, address, port, member_port, slots, check, idempotent)}
    settings = Settings.from_plain(given).to_plain()
    store.opened(ctx, info).check_installed()
    step = Step(action="balancer.start", cloud="", target=name, params={"settings": settings})
    what = "start" if settings == info.settings else "change the settings of"
    return Plan(verb="balancer start", summary=f"{what} the balancer of the group {name}", steps=(step,))


@action("balancer.start")
def _start(work: Work) -> Noun:
    ctx = work.ctx
    info = store.find(ctx, work.step.target).with_(settings=work.step.params["settings"])
    store.save(ctx, info, "balancer.start", "asked for", work.operation)
    store.opened(ctx, info).up()
    return store.seen(ctx, store.save(ctx, info.with_(made=True), "balancer.start", "running", work.operation))


@verb("balancer", "delete", changes=True, columns=("name", "state"), example="cms balancer delete web --yes")
def delete(ctx: Context, name: OneBalancer) -> Plan:
    """End a balancer. Requests under way have some seconds; its members run on, at their own addresses."""
    store.find(ctx, name)
    return Plan(
        verb="balancer delete",
        summary=f"end the balancer of the group {name}",
        question=f"End the balancer of {name}? Nothing answers at its address then.",
        steps=(Step(action="balancer.delete", cloud="", target=name),),
    )


@action("balancer.delete")
def _delete(work: Work) -> Noun:
    store.end(work.ctx, work.step.target, work.operation)
    return BalancerInfo(name=work.step.target, provider="", state="deleted")
