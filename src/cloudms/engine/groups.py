"""Groups: which VMs are members, whether a group was described or is only named by its members.

A VM is a member when its `group` is the group's name (`vm boot --group`, `group add`), or when it has all the labels of
the group's selector. A group that nobody described (`vm boot --group lab`) exists as long as it has a member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from cloudms import names
from cloudms.context import Context, not_found
from cloudms.engine import userdata
from cloudms.engine.labels import has
from cloudms.engine.plan import Work
from cloudms.engine.process import alive
from cloudms.engine.refresh import event, list_vms, natural
from cloudms.engine.select import matching
from cloudms.errors import Conflict, NotFound
from cloudms.model import Group, Operation, OperationState, Vm, VmState

GONE = (VmState.TERMINATING, VmState.TERMINATED)
"""States of VMs that are no members any more."""


def members(ctx: Context, name: str, on: str = "", *, fresh: bool = False) -> list[Vm]:
    """Return the VMs of a group, in the order of their names; those on their way out are left out.

    Parameters: `on` narrows them to some (`web[01-10]`, names or ids); `fresh` asks the clouds first, which otherwise
    happens only for a group or a name that the catalog does not know.
    Raises: NotFound (no such group, or no such member), Invalid (a host list that cannot be read).
    """
    known = all_vms(ctx, fresh=fresh)
    if not fresh and not _complete(ctx, known, name, on):
        known = all_vms(ctx, fresh=True)
    group = find(ctx, name, known)
    return narrowed(group, members_of(group, known), on)


def _complete(ctx: Context, known: Sequence[Vm], name: str, on: str) -> bool:
    """Whether the catalog alone tells who is meant."""
    group = described(ctx, name)
    found = members_of(group or Group(name=name), known)
    return bool(group or found) and all(matching(found, word) for word in _expanded(on))


def _expanded(on: str) -> list[str]:
    return names.expand(on) if on else []


def narrowed(group: Group, found: Sequence[Vm], on: str) -> list[Vm]:
    """Return those of a group's members that a host list names, in its order; without one all. Raises: NotFound."""
    if not on:
        return list(found)
    wanted = {word: matching(found, word) for word in _expanded(on)}
    missing = [word for word, vms in wanted.items() if not vms]
    if missing:
        few = f"its members are {names.compress(vm.name for vm in found)}" if found else "it has no members"
        raise NotFound(f"{names.compress(missing)} is not in group '{group.name}'", hint=few)
    return list({vm.key: vm for vms in wanted.values() for vm in vms}.values())


def members_of(group: Group, known: Iterable[Vm]) -> list[Vm]:
    """Return those of `known` that are members of a group, in the order of their names."""
    found = (vm for vm in known if vm.state not in GONE and is_member(group, vm))
    return sorted(found, key=lambda vm: (natural(vm.name), vm.cloud))


def is_member(group: Group, vm: Vm) -> bool:
    """Whether a VM was put into a group, or has the labels that it looks for."""
    return vm.group == group.name or by_labels(group, vm)


def by_labels(group: Group, vm: Vm) -> bool:
    """Whether a VM has the labels that a group looks for."""
    return bool(group.selector) and has(vm, group.selector)


class Known(list[Vm]):
    """The VMs of all clouds; `silent` are the clouds that did not answer, of which it is only known what was."""

    silent: Sequence[str] = ()


def all_vms(ctx: Context, *, fresh: bool, clouds: Sequence[str] = ()) -> Known:
    """Return the VMs of all clouds, or of some; one that does not answer is warned about, its known VMs are taken."""
    listing = list_vms(ctx, clouds or ctx.cloud_names("all"), fresh=fresh)
    for cloud, error in listing.failed.items():
        ctx.warn(f"cloud '{cloud}' did not answer: {error['message']}")
    found = Known(item for item in listing.items if isinstance(item, Vm))
    found.silent = tuple(listing.failed)
    return found


def described(ctx: Context, name: str) -> Group | None:
    """Return a group as it was described, or None."""
    stored = ctx.catalog.get("group", name)
    return Group.from_document(stored.document) if stored else None


def find(ctx: Context, name: str, known: Sequence[Vm]) -> Group:
    """Return a group as it was described, or as those of `known` that name it tell. Raises: NotFound."""
    group = described(ctx, name)
    if group is None and not any(vm.group == name for vm in known if vm.state not in GONE):
        raise not_found("group", name, (each.name for each in every(ctx, known)), f"cms group create {name} --size 2")
    return shown(group or Group(name=name), known)


def every(ctx: Context, known: Sequence[Vm], labels: Mapping[str, str] | None = None) -> list[Group]:
    """Return all groups in the order of their names: those that were described, and those that VMs only name."""
    groups = {row.key: Group.from_document(row.document) for row in ctx.catalog.find("group")}
    named = {vm.group for vm in known if vm.group and vm.state not in GONE}
    groups |= {name: Group(name=name) for name in named - set(groups)}
    found = (shown(group, known) for group in groups.values() if has(group, labels))
    return sorted(found, key=lambda group: natural(group.name))


def shown(group: Group, known: Iterable[Vm]) -> Group:
    """Return a group with what its members tell: how many they are, their names, clouds and states."""
    found = members_of(group, known)
    times = [vm.fetched for vm in found if vm.fetched is not None]
    return group.with_(
        cloud=",".join(sorted({vm.cloud for vm in found})) or group.cloud,
        size=len(found),
        vms=tuple(vm.name for vm in found),
        states=dict(Counter(str(vm.state) for vm in found)),
        fetched=min(times, default=None),
    )


def change(ctx: Context, name: str, alter: Callable[[Group], Group], text: str, operation: str = "") -> Group:
    """Change the description of a group, which is made where nobody has described it, and write down what was done."""
    while True:
        stored = ctx.catalog.get("group", name)
        before = Group.from_document(stored.document) if stored else Group(name=name, owner=ctx.owner)
        after = alter(before.with_(created=before.created or ctx.clock.now()))
        told = event(ctx, "group.change", after, text, operation)
        document = after.to_document()
        if stored is None:
            done = ctx.catalog.insert("group", name, document, event=told)
        else:
            done = ctx.catalog.replace("group", name, document, version=stored.version, event=told)
        if done:
            return after


def forget(work: Work, name: str) -> None:
    """Drop the description of a group; its members are not touched."""
    group = described(work.ctx, name)
    if group is not None:
        told = event(work.ctx, work.step.action, group, "deleted", work.operation)
        work.ctx.catalog.delete("group", [name], events=[told])
        userdata.drop(group.token)


CHANGES = ("group.create", "group.scale", "group.delete")
"""Steps of which only one may be on its way for a group."""
_TURN = 60.0
"""Seconds after which the turn of a killed process is over; writing intents takes a fraction of one."""


def begin(ctx: Context, name: str, token: str, counted: int) -> None:
    """Begin to change the number of a group's members: one change at a time, and only of the members it has counted.

    The turn lasts until `end`, or for a minute when its process is killed; by then the operation is written down, which
    the next one sees. Raises: Conflict.
    """
    turn = ctx.catalog.acquire(_turn(name), token, now=ctx.clock.now(), seconds=_TURN)
    if turn is None:
        raise Conflict(f"another command is changing the group '{name}'", hint=f"cms group info {name}, then try again")
    try:
        under_way(ctx, name)
        group = described(ctx, name) or Group(name=name)
        now = members_of(group, all_vms(ctx, fresh=False))
        if len(now) != counted:
            text = f"the group '{name}' had {counted} members a moment ago and has {len(now)} now"
            raise Conflict(text, hint="run the command again")
    except BaseException:
        ctx.catalog.release(turn)
        raise


def end(ctx: Context, name: str, token: str) -> None:
    """Let others change the number of a group's members again."""
    turn = ctx.catalog.acquire(_turn(name), token, now=ctx.clock.now(), seconds=_TURN)
    if turn:
        ctx.catalog.release(turn)


def under_way(ctx: Context, name: str) -> None:
    """Refuse while a living process changes the number of a group's members. Raises: Conflict."""
    for row in ctx.catalog.find("operation", text=OperationState.RUNNING):
        operation = Operation.from_document(row.document)
        ours = any(step.action in CHANGES and step.target == name for step in operation.steps)
        if ours and operation.state is OperationState.RUNNING and alive(operation.process):
            text = f"{operation.name} is changing the group '{name}': {operation.summary}"
            raise Conflict(text, hint=f"cms operation list, or cms operation cancel {operation.name}")


def _turn(name: str) -> str:
    return f"group/{name}"
