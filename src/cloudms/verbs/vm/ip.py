"""`cms vm ip list|set|remove`: the public addresses of a VM."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms.clouds.base import Addresses
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine import vms as change
from cloudms.engine.addresses import fetch, look_again, require_pool
from cloudms.engine.browse import of_vm
from cloudms.engine.rates import priced
from cloudms.engine.refresh import wants_fresh
from cloudms.engine.select import vm
from cloudms.errors import Invalid
from cloudms.model import Address, Vm
from cloudms.verb import Doc, Names, Short, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh
from cloudms.verbs.vm.names import OneVm

_COLUMNS = ("name", "cloud", "state", "public_ips")


@verb("vm", "ip", "list", columns=Address.columns, example="cms vm ip list web1")
def list_(
    ctx: Context,
    name: Annotated[str | None, Doc("only of this VM")] = None,
    *,
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List public addresses, the VM each leads to and the ports it forwards."""
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    listing = of_vm(ctx, "address", name, fetch, cloud=cloud or "", fresh=fresh, role=Addresses)
    return priced(ctx, listing)


@verb("vm", "ip", "set", changes=True, columns=_COLUMNS, example="cms vm ip set web1 --port 8080=80")
def set_(
    ctx: Context,
    name: OneVm,
    address: Annotated[
        str | None, Doc("address to give it (cms ip list); a free one otherwise"), Names("address")
    ] = None,
    *,
    port: Annotated[
        dict[str, str] | None, Doc("port to forward, host=guest, where ports are forwarded"), Short("p")
    ] = None,
    cloud: CloudName = None,
) -> Plan:
    """Give a VM a public address, or forward more ports of one it has."""
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Addresses)
    steps = change.steps("vm.ip.set", [found], address=address or "", ports=_ports(port or {}))
    return Plan(verb="vm ip set", summary=f"give {found.name} {address or 'a public address'}", steps=steps)


def _ports(given: dict[str, str]) -> dict[str, int]:
    for number in (*given.keys(), *given.values()):
        if not (number.isdigit() and 0 < int(number) < 65536):
            raise Invalid(f"'{number}' is not a port", hint="--port 8080=80 forwards 8080 of the host to 80 of the VM")
    return {host: int(guest) for host, guest in given.items()}


@action("vm.ip.set")
def _set(work: Work) -> Vm:
    params = work.step.params

    def call(cloud: Any, found: Vm) -> Vm:
        return cloud.set_address(found, params["address"], params["ports"])  # type: ignore[no-any-return]

    return change.change(work, None, call)


@verb("vm", "ip", "remove", changes=True, columns=_COLUMNS, example="cms vm ip remove web1 127.77.0.9")
def remove(
    ctx: Context,
    name: OneVm,
    address: Annotated[str | None, Doc("address to take away; its only one otherwise"), Names("address")] = None,
    *,
    keep: Annotated[bool, Doc("keep it for another VM; it goes on to cost money (cms ip list)")] = False,
    cloud: CloudName = None,
) -> Plan:
    """Take a public address away from a VM and release it.

    One that `cms ip create` made, or that the account had before, is not released.
    """
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Addresses)
    if keep:
        require_pool(ctx, found.cloud, found)
    if not address and len(found.public_ips) != 1:
        shown = ", ".join(found.public_ips) or "none"
        raise Invalid(
            f"{found.name} has {len(found.public_ips)} public addresses: {shown}", hint="name the one to remove"
        )
    chosen = address or found.public_ips[0]
    steps = change.steps("vm.ip.remove", [found], address=chosen, keep=keep)
    summary = f"take {chosen} from {found.name}" + (" and keep it" if keep else "")
    return Plan(verb="vm ip remove", summary=summary, steps=steps)


@action("vm.ip.remove")
def _remove(work: Work) -> Vm:
    address, kept = work.step.params["address"], work.step.params.get("keep")

    def call(cloud: Any, found: Vm) -> Vm:
        take = cloud.detach_address if kept else cloud.remove_address
        return take(found, address)  # type: ignore[no-any-return]

    done = change.change(work, None, call)
    if kept:
        look_again(work.ctx, done.cloud)
    return done
