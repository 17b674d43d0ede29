"""`cms group start` and `stop`: all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cloudms.clouds.base import Deallocate, Power, Role
from cloudms.context import Context
from cloudms.engine import Plan, groups
from cloudms.model import Group, Origin, Vm, VmState
from cloudms.verb import Doc, verb
from cloudms.verbs.group.look import OneGroup
from cloudms.verbs.vm.power import Timeout, planned

_COLUMNS = ("name", "cloud", "state", "reason", "public_ips")
On = Annotated[str, Doc("only these of its members, such as web-[1-3]")]
_OFF = (VmState.STOPPED, VmState.DEALLOCATED, VmState.SAVED)


@verb("group", "start", changes=True, columns=_COLUMNS, example="cms group start web")
def start(ctx: Context, name: OneGroup, *, on: On = "", timeout: Timeout = None) -> Plan:
    """Start the members of a group that are off."""
    found, notes = _members(ctx, name, on)
    off = [vm for vm in found if vm.state in (*_OFF, VmState.STOPPING)]
    if not off:
        return Plan(verb="group start", summary=f"no member of {name} is off", steps=(), notes=notes)
    plan = planned(ctx, "vm start", off, Power, timeout=timeout)
    return plan.with_(verb="group start", notes=(*notes, *plan.notes))


@verb("group", "stop", changes=True, columns=_COLUMNS, example="cms group stop web")
def stop(
    ctx: Context,
    name: OneGroup,
    *,
    on: On = "",
    force: Annotated[bool, Doc("switch off at once, without asking the guests")] = False,
    deallocate: Annotated[bool, Doc("give their places back, so that only their disks are billed")] = False,
    timeout: Annotated[float | None, Doc("seconds a guest has to shut down before it is switched off")] = None,
) -> Plan:
    """Stop the members of a group that are on; they stay stopped until a person starts them."""
    found, notes = _members(ctx, name, on)
    running = [vm for vm in found if vm.state not in _OFF]
    if not running:
        return Plan(verb="group stop", summary=f"no member of {name} is on", steps=(), notes=notes)
    role: type[Role] = Deallocate if deallocate else Power
    params = {"force": force, "save": False, "deallocate": deallocate, "timeout": timeout}
    plan = planned(ctx, "vm stop", running, role, **params)
    return plan.with_(verb="group stop", notes=(*notes, *plan.notes))


def _members(ctx: Context, name: str, on: str) -> tuple[list[Vm], tuple[str, ...]]:
    """Return the members that may be started and stopped with their group, and what is said of the others.

    A VM that others made is in a group by its labels only, and is started and stopped by its own name only.
    """
    known = groups.all_vms(ctx, fresh=True)
    group: Group = groups.find(ctx, name, known)
    found: Sequence[Vm] = groups.narrowed(group, groups.members_of(group, known), on)
    foreign = [vm.name for vm in found if vm.origin is Origin.FOREIGN]
    told = f"{', '.join(foreign)} was made elsewhere and is left alone" if foreign else ""
    return [vm for vm in found if vm.origin is not Origin.FOREIGN], (told,) * bool(told)
