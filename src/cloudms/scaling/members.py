"""What is done to members: woken, put to rest, deleted; each one a step that is written down before and can be resumed.

Only members that were put into the group by name or a label, or that it booted, are touched; what others made is not,
and what cloudms did not make is never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudms.clouds.base import Cloud, Power, Save, Suspend
from cloudms.context import Context
from cloudms.engine import Work, action, lease
from cloudms.engine import vms as change
from cloudms.engine.ceilings import starting
from cloudms.engine.refresh import merged, natural
from cloudms.errors import Conflict
from cloudms.model import Group, Origin, Step, Vm, VmState
from cloudms.scaling.store import Member

WAKE, REST = "scaler.wake", "scaler.rest"
FROZEN = (VmState.SUSPENDED, VmState.SAVED)
OFF = (VmState.STOPPED, VmState.DEALLOCATED)
_QUICKEST = (VmState.SUSPENDED, VmState.SAVED, VmState.STOPPED, VmState.DEALLOCATED, VmState.ERROR)
_AGAIN = 600.0
"""Seconds after which a standby that could not be woken is tried again."""


def booted(group: str, vm: Vm) -> bool:
    """Whether a VM was booted for a group and is still in it, so that the group may delete it."""
    return vm.origin is Origin.OWN and vm.group == vm.booted_for == group


def outdated(group: str, vm: Vm, roll: Mapping[str, Any]) -> bool:
    """Whether a member that was booted for a group has another image or flavor than it is to have."""
    wanted = {key: roll.get(key) for key in ("image", "flavor")}
    return booted(group, vm) and any(value and getattr(vm, key) != value for key, value in wanted.items())


def mine(group: Group, vm: Vm) -> bool:
    """Whether a member of a group may be touched at all."""
    return vm.origin is not Origin.FOREIGN and (vm.group in ("", group.name) or bool(group.selector))


def standbys(roster: Iterable[Member], vms: dict[str, Vm], now: float) -> list[Vm]:
    """Return the members that can be woken, those that are back soonest first; one that just failed is passed over."""
    ready = [
        vms[member.key]
        for member in roster
        if member.status == "standby" and member.key in vms and now - (member.failed or now - _AGAIN) >= _AGAIN
    ]
    return sorted(ready, key=lambda vm: (_QUICKEST.index(vm.state), natural(vm.name)))


def way(cloud: Cloud, vm: Vm, wanted: str, group: str) -> str:
    """Return what can be done with a member that goes: what is wanted, else what comes nearest to it.

    A cloud that cannot suspend saves, one that cannot save stops; what was not booted for the group is not deleted.
    """
    if wanted == "delete" and not booted(group, vm):
        wanted = "stop"
    roles = {"suspend": Suspend, "save": Save, "stop": Power}
    for each in ("suspend", "save", "stop")[("suspend", "save", "stop", "delete").index(wanted) :]:
        if not cloud.supports(roles[each], vm):
            return each
    return "delete" if booted(group, vm) else "leave"


def waking(vms: Sequence[Vm]) -> tuple[Step, ...]:
    """Return the steps that wake members."""
    return tuple(change.steps(WAKE, vms))


def resting(ctx: Context, vms: Sequence[Vm], wanted: str, group: str) -> tuple[Step, ...]:
    """Return the steps that put members to rest, each in the way that its cloud can."""
    found = [(vm, way(ctx.cloud(vm.cloud), vm, wanted, group)) for vm in vms]
    return tuple(step for vm, how in found for step in change.steps(REST, [vm], how=how))


@action(WAKE, demand=starting)
def _wake(work: Work) -> Vm:
    """Resume or start a member, unless a person has stopped it meanwhile. Raises: Conflict."""
    _, vm = change.load(work)
    if vm.keep_stopped:
        raise Conflict(f"{vm.name} was stopped by a person", hint=f"cms vm start {vm.name}")
    if vm.state in FROZEN:
        done = change.change(work, None, lambda cloud, seen: cloud.resume_vm(seen), (VmState.RUNNING,))
        lease.tell_again(work.ctx, done)
        return done
    return change.change(work, VmState.PENDING, lambda cloud, seen: cloud.start_vm(seen), (VmState.RUNNING,))


@action(REST)
def _rest(work: Work) -> Vm:
    """Suspend, save, stop or delete a member; one that is gone or off already is left as it is."""
    how = work.step.params["how"]
    if how == "delete":
        return change.delete(work)
    stored = work.ctx.catalog.get("vm", work.step.params["key"])
    if stored is None:
        return Vm(name=work.step.target, cloud=work.step.cloud, state=VmState.TERMINATED)
    vm = Vm.from_document(stored.document)
    if how == "leave" or vm.keep_stopped or vm.state in (*FROZEN, *OFF):
        return vm
    if vm.state is VmState.ERROR:  # it may be off already, and will say that it failed for as long as it is
        cloud = work.ctx.cloud(vm.cloud)
        ended = merged(vm, cloud.stop_vm(vm, force=True), work.ctx.clock.now())  # type: ignore[attr-defined]
        return change.save(work.ctx, ended, work.step.action, f"{ended.state}", work.operation)
    if how == "stop":
        return change.stop_gracefully(work, force=False, timeout=None, kept=False)
    call = (lambda cloud, seen: cloud.suspend_vm(seen)) if how == "suspend" else lambda cloud, seen: cloud.save_vm(seen)
    return change.change(work, VmState.SUSPENDING, call, FROZEN)
