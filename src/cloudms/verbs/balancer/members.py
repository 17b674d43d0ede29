"""`cms balancer add`, `ready`, `drain` and `remove`: who is behind a balancer, and who is given requests."""

from __future__ import annotations

from typing import Annotated

from cloudms import names as naming
from cloudms.balancers import book, store
from cloudms.balancers.base import Balancer, Server
from cloudms.balancers.leave import leave
from cloudms.balancers.reach import where
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.engine.refresh import event
from cloudms.errors import Invalid, NotFound
from cloudms.model import Step, Vm
from cloudms.units import duration
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.balancer.look import OneBalancer

_COLUMNS = ("name", "balancer", "status", "check", "host", "port", "slots")
Members = Annotated[list[str], Doc("members, such as web-[1-3]"), Names("server")]


@verb("balancer", "add", changes=True, columns=_COLUMNS, example="cms balancer add web web-[1-3]")
def add(
    ctx: Context,
    name: OneBalancer,
    members: Annotated[
        list[str], Doc("members of the group, such as web-[1-3]; all of them otherwise"), Names("server")
    ] = [],  # noqa: B006 (never changed)
    *,
    host: Annotated[str | None, Doc("where the one member is reached, for what is no VM of the group")] = None,
    port: Annotated[int | None, Doc("port of its service; that of the balancer's members otherwise")] = None,
    slots: Annotated[int | None, Doc("how many requests it works on at a time; as the balancer says otherwise")] = None,
    hold: Annotated[bool, Doc("give it no requests until `cms balancer ready`")] = False,
) -> Plan:
    """Put members behind a balancer; each is given requests as soon as its check passes.

    A VM is reached at the address that `vm list` shows, or where its port is forwarded to (`vm boot --open`, `vm ip
    set`). A member that is there already is looked for at its present address.
    """
    balancer = store.opened(ctx, store.find(ctx, name))
    reached = balancer.settings.member_port if port is None else port
    book.check_service(reached, slots or 0)
    shared = {"balancer": name, "slots": slots or 0, "hold": hold, "port": reached}
    if host is not None:
        named = naming_of(members)
        if len(named) != 1:
            raise Invalid("--host is where one member is reached", hint=f"cms balancer add {name} NAME --host {host}")
        book.check_member(named[0], host, reached, slots or 0)
        found = [Step(action="balancer.add", cloud="", target=named[0], params={**shared, "host": host})]
    else:
        vms = groups.members(ctx, name, ",".join(members))
        found = [
            Step(action="balancer.add", cloud=vm.cloud, target=vm.name, params={**shared, "key": vm.key}) for vm in vms
        ]
    what = naming.compress(step.target for step in found) or "nobody"
    return Plan(verb="balancer add", summary=f"put {what} behind the balancer of {name}", steps=tuple(found))


def naming_of(words: list[str]) -> list[str]:
    """Return the names that host lists mean, each once. Raises: Invalid."""
    return list(dict.fromkeys(each for word in words for each in naming.expand(word)))


@action("balancer.add")
def _add(work: Work) -> Server:
    ctx, step = work.ctx, work.step
    balancer, params = _balancer(work), step.params
    if "host" in params:
        host, port = params["host"], params["port"]
    else:
        stored = ctx.catalog.get("vm", params["key"])
        if stored is None:
            raise NotFound(f"{step.target} is no longer there", hint="cms vm list")
        host, port = where(ctx, Vm.from_document(stored.document), params["port"])
    balancer.add(step.target, host, port, slots=params["slots"])
    if not params["hold"]:
        balancer.ready(step.target)
    return _told(work, balancer, f"added at {host}:{port}")


def _balancer(work: Work) -> Balancer:
    return store.opened(work.ctx, store.find(work.ctx, work.step.params["balancer"]))


def _told(work: Work, balancer: Balancer, text: str) -> Server:
    """Return a member as it is now, and write down what was done."""
    name = work.step.target
    found = next((each for each in balancer.servers() if each.name == name), Server(name=name, balancer=balancer.name))
    told = event(work.ctx, work.step.action, found, f"{balancer.name}: {text}", work.operation)
    work.ctx.catalog.put("event", {}, events=[told])
    return found


@verb("balancer", "ready", changes=True, columns=_COLUMNS, example="cms balancer ready web web-2")
def ready(ctx: Context, name: OneBalancer, members: Members) -> Plan:
    """Give members requests, after `add --hold` or `drain`; each as soon as its check passes."""
    return _plan(ctx, "ready", name, members)


@verb("balancer", "drain", changes=True, columns=_COLUMNS, example="cms balancer drain web web-2")
def drain(ctx: Context, name: OneBalancer, members: Members) -> Plan:
    """Give members no new requests, such as before they are updated; those they have are answered."""
    return _plan(ctx, "drain", name, members)


@verb(
    "balancer", "remove", changes=True, columns=("name", "balancer", "status"), example="cms balancer remove web web-2"
)
def remove(
    ctx: Context,
    name: OneBalancer,
    members: Members,
    *,
    timeout: Annotated[str, Doc("how long a member has to answer what it has, such as 30s")] = "30s",
) -> Plan:
    """Take members out: no new requests, then their last answers, then they are forgotten. Their VMs run on.

    What is not answered in time goes on all the same; only nobody watches it any more.
    """
    seconds = duration(timeout)
    return _plan(ctx, "remove", name, members, seconds=seconds)


def _plan(ctx: Context, word: str, name: str, members: list[str], **more: float) -> Plan:
    """Return the plan for members that are behind a balancer. Raises: NotFound (one is not), NotReady (not up)."""
    there = {server.name for server in store.opened(ctx, store.find(ctx, name)).servers()}
    wanted = naming_of(members)
    if not wanted:
        raise Invalid("no member is named", hint=f"cms balancer {word} {name} NAME")
    missing = [each for each in wanted if each not in there]
    if missing:
        few = f"there are {naming.compress(sorted(there))}" if there else "there is nobody"
        raise NotFound(f"{naming.compress(missing)} is not behind the balancer of {name}", hint=few)
    params = {"balancer": name, **more}
    steps = tuple(Step(action=f"balancer.{word}", cloud="", target=each, params=params) for each in wanted)
    return Plan(verb=f"balancer {word}", summary=f"{word} {naming.compress(wanted)} at {name}", steps=steps)


@action("balancer.ready")
def _ready(work: Work) -> Server:
    balancer = _balancer(work)
    balancer.ready(work.step.target)
    return _told(work, balancer, "given requests")


@action("balancer.drain")
def _drain(work: Work) -> Server:
    balancer = _balancer(work)
    balancer.drain(work.step.target)
    return _told(work, balancer, "given no new requests")


@action("balancer.remove")
def _remove(work: Work) -> Server:
    """Wait for its last answers; a step that is taken up again waits anew."""
    balancer, ctx = _balancer(work), work.ctx
    work.report("waiting for its last answers")
    left = leave(balancer, work.step.target, work.step.params["seconds"], ctx.clock, ctx.pause)
    text = f"removed while it worked on {left} requests" if left else "removed"
    return _told(work, balancer, text).with_(status="removed")
