"""What becomes of the VMs of a group when its controller ends."""

from __future__ import annotations

from collections.abc import Iterator

from cloudms.balancers import store as balancers
from cloudms.context import Context
from cloudms.engine import Plan, execute, groups, start
from cloudms.engine.reserve import new_token
from cloudms.errors import CloudmsError
from cloudms.scaling import carrying, store
from cloudms.scaling.members import booted, mine, resting
from cloudms.scaling.words import listed


def ended(ctx: Context, name: str, way: str) -> Iterator[str]:
    """Keep, stop or delete the members of a group, and yield what was done.

    Parameters: `way` is keep, stop (a controller may start them again), or delete (those that were booted for the
    group; others are stopped). A balancer ends with its members. What does not work is told, and the rest done.
    """
    if way == "keep" or store.get(ctx, name) is None:
        return
    known = groups.all_vms(ctx, fresh=True)
    group = groups.find(ctx, name, known)
    found = [vm for vm in groups.members_of(group, known) if mine(group, vm) and not vm.protected]
    try:
        balancers.end(ctx, name)
    except CloudmsError as error:
        yield f"{name}: its balancer does not end: {error.message}"
    doomed = [vm for vm in found if way == "delete" and booted(name, vm)]
    left = [vm for vm in found if vm not in doomed]
    steps = (*resting(ctx, doomed, "delete", name), *resting(ctx, left, "stop", name))
    if steps:
        plan = Plan(verb=carrying.VERB, summary=f"{name}: {way} its members at the end", steps=steps)
        operation = execute(ctx, start(ctx, plan, labels={carrying.LABEL: f"{new_token(ctx)}-end"}))
        for text in carrying.problems(operation):
            yield f"{name}: {text}"
    store.change(ctx, name, lambda each: each.with_(members={}, pending=None, state={}), text="ended")
    for what, vms in (("deleted", doomed), ("stopped", left)):
        if vms:
            yield f"{name}: {what} {listed([vm.name for vm in vms])}"
