"""`cms group scale`: more members like those that are there, or fewer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups, userdata
from cloudms.engine.refresh import natural
from cloudms.engine.reserve import new_token
from cloudms.errors import Conflict, Invalid
from cloudms.model import Group, Origin, Step, Vm, VmState
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.group.look import OneGroup
from cloudms.verbs.group.make import COLUMNS, Least, Most, Seconds, Wait, bounded, shares
from cloudms.verbs.vm.delete import ending
from cloudms.verbs.vm.order import Order, ordered, readable


@verb("group", "scale", changes=True, columns=COLUMNS, example="cms group scale web 6")
def scale(
    ctx: Context,
    name: OneGroup,
    size: Annotated[int | None, Doc("how many members it is to have; without it what is missing is booted")] = None,
    *,
    min: Least = None,  # noqa: A002 (the option's name)
    max: Most = None,  # noqa: A002 (the option's name)
    cloud: Annotated[
        str | None, Doc("cloud that new ones are booted on, or several: a,b; the group's own otherwise"), Names("cloud")
    ] = None,
    wait: Wait = None,
    timeout: Seconds = None,
) -> Plan:
    """Boot members of a group, or delete some, until it has so many.

    New ones are like the others and stand where the fewest are. Those that go are ones that were booted for the group,
    broken ones first, then the newest of the cloud that has the most. Members that were added, protected ones, those
    that a person has stopped, and those on a cloud that does not answer never go. Stopped ones hold nothing up: all
    others that may go do, and the group keeps a few more. Where too few others are left, nothing is changed.
    Without a size only what is missing is booted, as after a boot that succeeded in part.
    """
    groups.under_way(ctx, name)
    known = groups.all_vms(ctx, fresh=True)
    group = groups.find(ctx, name, known)
    found = groups.members_of(group, known)
    least, most = (group.min if min is None else min), (group.max if max is None else max)
    wanted = bounded(name, _wanted(group, size), least, most)
    desired = {"desired": wanted, "min": least, "max": most}
    before = {key: getattr(group, key) for key in desired}
    if wanted > len(found):
        order = _order(ctx, group, found, wait, timeout)
        where = ctx.new_clouds(cloud or order.cloud)
        plan = ordered(ctx, order, shares(where, Counter(vm.cloud for vm in found), wanted - len(found)))
    elif wanted < len(found) and size is not None:
        plan = _fewer(group, found, wanted, known.silent)
    else:
        plan = Plan(verb="", summary=f"leave its {len(found)} members", steps=())
        if desired == before:
            return plan.with_(verb="group scale", summary=f"group {name} has {len(found)} members")
    params = {**desired, "before": before, "counted": len(found), "token": new_token(ctx)}
    return plan.with_(
        verb="group scale",
        summary=f"scale the group {name} from {len(found)} to {wanted}: {plan.summary}",
        steps=(Step(action="group.scale", cloud="", target=name, params=params), *plan.steps),
    )


def grown(ctx: Context, name: str, more: int, *, timeout: float | None = None, **fresh: str) -> Plan:
    """Return the plan that boots so many more members of a group, whatever its size and bounds say.

    Parameters: `fresh`, the image or flavor that they get instead of the group's. Raises: what booting raises.
    """
    groups.under_way(ctx, name)
    known = groups.all_vms(ctx, fresh=False)
    group = groups.find(ctx, name, known)
    found = groups.members_of(group, known)
    order = _order(ctx, group, found, None, timeout).with_(**{key: value for key, value in fresh.items() if value})
    where = [cloud for cloud in ctx.new_clouds(order.cloud) if cloud not in known.silent]
    plan = ordered(ctx, order, shares(where, Counter(vm.cloud for vm in found), more))
    sizes = {key: getattr(group, key) for key in ("desired", "min", "max")}
    params = {**sizes, "before": sizes, "counted": len(found), "token": new_token(ctx)}
    return plan.with_(
        verb="group scale", steps=(Step(action="group.scale", cloud="", target=name, params=params), *plan.steps)
    )


def _wanted(group: Group, size: int | None) -> int:
    """Return the size that is asked for. Raises: Invalid, when nobody ever said one."""
    if size is not None:
        return size
    if group.desired is None:
        text = f"nobody said how many members the group '{group.name}' is to have"
        raise Invalid(text, hint=f"cms group scale {group.name} {group.size}")
    return group.desired


def _order(ctx: Context, group: Group, found: Sequence[Vm], wait: str | None, timeout: float | None) -> Order:
    """Return what new members are like: as the group was told, else like its newest member."""
    told = groups.described(ctx, group.name) or group
    base = {"name": f"{group.name}-1", "group": group.name, "labels": dict(group.labels)}
    if told.template or not found:
        more = {"image": told.image, "flavor": told.flavor, "cloud": told.cloud}
    else:
        newest = _newest(found)[0]
        more = {"image": newest.image, "flavor": newest.flavor, "cloud": newest.cloud, "region": newest.region}
        base["labels"] = dict(newest.labels)
    order = Order.from_document({**base, **told.template, **more})
    if order.user_data:
        order = order.with_(user_data=str(readable(userdata.place(told.token))))
    return order.with_(wait=wait or order.wait, timeout=timeout)


def _newest(found: Sequence[Vm]) -> list[Vm]:
    """Return VMs with the newest first; of those that are as old, the one that was named last."""
    return sorted(found, key=lambda vm: (vm.created or 0.0, natural(vm.name)), reverse=True)


def _fewer(group: Group, found: Sequence[Vm], wanted: int, silent: Sequence[str]) -> Plan:
    """Return the plan that deletes members until only so many are left, or those that a person stopped.

    Raises: Conflict (too few may go, or none).
    """
    stays = {vm.name: why for vm in found if (why := _stays(group, vm, silent))}
    least = len(stays)
    asleep = [name for name, why in stays.items() if why == _STOPPED]
    if least - len(asleep) > wanted or (least > wanted and least == len(found)):
        told = ", ".join(f"{name} {why}" for name, why in list(stays.items())[:5]) + (" …" if len(stays) > 5 else "")
        raise Conflict(
            f"the group '{group.name}' cannot shrink to {wanted}: {told}",
            hint=f"cms group scale {group.name} {len(stays)}, or name those that go: cms vm delete NAME",
        )
    left = [vm for vm in found if vm.name not in stays]
    gone: list[Vm] = []
    counts = Counter(vm.cloud for vm in found)
    while len(gone) < len(found) - max(wanted, least):
        broken = [vm for vm in left if vm.state is VmState.ERROR]
        most = max(counts[vm.cloud] for vm in left)
        next_ = _newest(broken or [vm for vm in left if counts[vm.cloud] == most])[0]
        left.remove(next_)
        counts[next_.cloud] -= 1
        gone.append(next_)
    shown = naming.compress(vm.name for vm in gone)
    plan = Plan(verb="", summary=f"delete {shown} with disks", question=f"Delete {shown} for good?", steps=ending(gone))
    if least <= wanted:
        return plan
    kept = naming.compress(asleep)
    return plan.with_(notes=(f"{kept} {_STOPPED} and stays, so that the group keeps {least}; cms vm delete {kept}",))


_STOPPED = "was stopped by a person"


def _stays(group: Group, vm: Vm, silent: Sequence[str]) -> str:
    """Return why a member is never deleted to make a group smaller, or an empty string when it may be."""
    if vm.protected:
        return "is protected"
    if not booted(group, vm):
        return "was added"
    if vm.keep_stopped:
        return _STOPPED
    return f"stands on {vm.cloud}, which does not answer" if vm.cloud in silent else ""


def booted(group: Group, vm: Vm) -> bool:
    """Whether a VM was booted for a group and is still in it, so that the group may delete it."""
    return vm.origin is Origin.OWN and vm.group == vm.booted_for == group.name


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Begin the change, and write the size down that is wanted. Raises: Conflict."""
    for step in steps:
        if not step.params.get("asked"):
            groups.begin(ctx, step.target, step.params["token"], step.params["counted"])
            _write(ctx, step, step.params)
    return [step.with_(params={**step.params, "asked": True}) for step in steps]


def _write(ctx: Context, step: Step, wanted: Mapping[str, Any]) -> None:
    sizes = {key: wanted[key] for key in ("desired", "min", "max")}
    groups.change(ctx, step.target, lambda group: group.with_(**sizes), f"size {sizes['desired']}")


def _withdraw(ctx: Context, step: Step) -> None:
    """Write the old size again when nothing was begun."""
    _write(ctx, step, step.params["before"])
    groups.end(ctx, step.target, step.params["token"])


@action("group.scale", prepare=_intents, withdraw=_withdraw)
def _scale(work: Work) -> Group:
    """Let others change the group again: from now on the operation that is written down tells of this one."""
    groups.end(work.ctx, work.step.target, work.step.params["token"])
    group = groups.described(work.ctx, work.step.target) or Group(name=work.step.target)
    return groups.shown(group, (Vm.from_document(row.document) for row in work.ctx.catalog.find("vm")))
