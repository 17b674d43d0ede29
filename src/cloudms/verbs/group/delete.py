"""`cms group delete`: end a group with the VMs that were booted for it, and let the others go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cloudms import balancers
from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.engine import vms as change
from cloudms.errors import Conflict
from cloudms.model import Group, Step, Vm
from cloudms.scaling import store as scaling
from cloudms.verb import Doc, verb
from cloudms.verbs.group.look import OneGroup
from cloudms.verbs.group.members import LEAVE
from cloudms.verbs.group.scale import booted
from cloudms.verbs.vm.delete import ending


@verb(
    "group",
    "delete",
    changes=True,
    aliases=["destroy", "terminate"],
    columns=("name", "cloud", "state", "group"),
    example="cms group delete web --yes",
)
def delete(
    ctx: Context,
    name: OneGroup,
    *,
    keep_vms: Annotated[bool, Doc("let all its members go, and delete none")] = False,
) -> Plan:
    """Delete a group with the VMs that were booted for it, and its balancer.

    Members that were added or adopted only leave the group and run on. A protected one is refused. VMs that cannot be
    deleted now, because their cloud does not answer, stay in the group, and the command can be repeated.
    """
    known = groups.all_vms(ctx, fresh=True)
    group = groups.find(ctx, name, known)
    found = groups.members_of(group, known)
    doomed = [] if keep_vms else [vm for vm in found if booted(group, vm)]
    _check_unprotected(name, doomed)
    kept = {vm.key for vm in doomed}
    leaving = [vm for vm in found if vm.group == name and vm.key not in kept]
    steps = (
        Step(action="group.delete", cloud="", target=name),
        *change.steps(LEAVE, leaving, group=name),
        *ending(doomed),
    )
    shown = naming.compress(vm.name for vm in doomed)
    what = f"the group {name}" + (f" and {shown} with disks" if doomed else "")
    return Plan(
        verb="group delete",
        summary=f"delete {what}",
        question=f"Delete {what} for good?",
        notes=_notes([vm for vm in found if vm.key not in kept], everybody=keep_vms),
        steps=steps,
    )


def _check_unprotected(name: str, doomed: Sequence[Vm]) -> None:
    """Refuse to delete protected members. Raises: Conflict."""
    for vm in doomed:
        if vm.protected:
            text = f"{vm.name} is protected and will not be deleted"
            raise Conflict(text, hint=f"cms vm unprotect {vm.name}, or cms group delete {name} --keep-vms")


def _notes(left: Sequence[Vm], *, everybody: bool) -> tuple[str, ...]:
    """Return what is said of the members that run on."""
    if not left:
        return ()
    shown = naming.compress(vm.name for vm in left)
    why = "" if everybody else ", not booted for the group,"
    deed = "only leaves it and runs on" if len(left) == 1 else "only leave it and run on"
    return (f"{shown}{why} {deed}",)


@action("group.delete")
def _delete(work: Work) -> Group:
    balancers.end(work.ctx, work.step.target, work.operation)
    groups.forget(work, work.step.target)
    scaling.drop(work.ctx, work.step.target)
    return Group(name=work.step.target)
