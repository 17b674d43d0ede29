"""`cms group add` and `remove`: who is in a group, by name or by a label that it looks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cloudms import names as naming
from cloudms.clouds.base import Metadata
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.engine import vms as change
from cloudms.engine.labels import changed
from cloudms.engine.select import vms
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import Group, Step, Vm
from cloudms.verb import Doc, verb
from cloudms.verbs.group.look import OneGroup
from cloudms.verbs.group.make import Selector
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames

_COLUMNS = ("name", "cloud", "state", "group", "size", "selector")
LEAVE = "group.leave"
"""The action that lets a VM go from a group."""


@verb("group", "add", changes=True, columns=_COLUMNS, example="cms group add web db[1-2]")
def add(
    ctx: Context,
    name: OneGroup,
    vm: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    selector: Selector = None,
) -> Plan:
    """Put VMs into a group, those that are named or have a label now; `--selector` takes all that ever have it.

    A VM that was added is never deleted by `group scale` and `group delete`. It can be added to one group only, and be
    a member of others by its labels.
    """
    group = groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    found = _named(ctx, vm, cloud, label, bool(selector), "name the VMs to add")
    change.check_ours(found, "put into a group")
    others = [each for each in found if each.group not in ("", name)]
    if others:
        first = others[0]
        raise Conflict(
            f"{first.name} is in the group '{first.group}'", hint=f"cms group remove {first.group} {first.name} first"
        )
    joining = [each for each in found if each.group != name]
    steps = change.steps("group.join", joining, group=name)
    if selector:
        params = {"set": naming.labels(selector)}
        steps = (Step(action="group.look-for", cloud="", target=name, params=params), *steps)
    what = naming.compress(each.name for each in joining) or "what has the label" * bool(selector)
    return Plan(verb="group add", summary=f"add {what or 'nothing'} to the group {group.name}", steps=steps)


@verb("group", "remove", changes=True, columns=_COLUMNS, example="cms group remove web db1")
def remove(
    ctx: Context,
    name: OneGroup,
    vm: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    selector: Annotated[list[str] | None, Doc("key of a label that no longer makes VMs members")] = None,
) -> Plan:
    """Let VMs go from a group; they run on as they are.

    Those that were booted for the group are then nobody's to delete but yours.
    """
    group = groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    unknown = [key for key in selector or () if key not in group.selector]
    if unknown:
        raise NotFound(f"the group '{name}' does not look for the label {unknown[0]}", hint=f"cms group info {name}")
    found = _named(ctx, vm, cloud, label, bool(selector), "name the VMs to let go")
    _check_members(group, found, gone=selector or ())
    steps = change.steps(LEAVE, [each for each in found if each.group == name], group=name)
    if selector:
        params = {"remove": list(selector)}
        steps = (Step(action="group.look-for", cloud="", target=name, params=params), *steps)
    what = naming.compress(each.name for each in found) or f"the label {', '.join(selector or ())}"
    return Plan(verb="group remove", summary=f"remove {what} from the group {name}", steps=steps)


def _named(
    ctx: Context, words: Sequence[str], cloud: str | None, label: dict[str, str] | None, other: bool, what: str
) -> list[Vm]:
    """Return the VMs that are named; none may be when there is something other to do."""
    if other and not words and not label:
        return []
    return vms(ctx, words, cloud=cloud or "", labels=label, what=what)


def _check_members(group: Group, found: Sequence[Vm], gone: Sequence[str]) -> None:
    """Refuse to let go who is not in a group, and who would be in it again by its labels. Raises: NotFound, Invalid."""
    left = {key: value for key, value in group.selector.items() if key not in gone}
    for vm in found:
        if not groups.is_member(group, vm):
            raise NotFound(f"{vm.name} is not in the group '{group.name}'", hint=f"cms group info {group.name}")
        if left and groups.by_labels(group.with_(selector=left), vm):
            key, value = next(iter(left.items()))
            text = f"{vm.name} is in the group '{group.name}' by its label {key}={value}"
            raise Invalid(text, hint=f"cms vm label {vm.name} --remove {key}")


@action("group.join")
def _join(work: Work) -> Vm:
    return _put(work, work.step.params["group"])


@action(LEAVE)
def _leave(work: Work) -> Vm:
    """Let a VM go, unless it is gone or somebody has put it into another group meanwhile."""
    stored = work.ctx.catalog.get("vm", work.step.params["key"])
    if stored is None or stored.document["group"] != work.step.params["group"]:
        return Vm.from_document(stored.document) if stored else Vm(name=work.step.target, cloud=work.step.cloud)
    return _put(work, "")


def _put(work: Work, group: str) -> Vm:
    """Write the group of a VM beside it on its cloud, where that can, and into its row."""
    cloud, vm = change.load(work)
    wanted: Vm = vm.with_(group=group)
    if not cloud.supports(Metadata, vm):
        cloud.tag_vm(wanted)  # type: ignore[attr-defined]
    return change.save(work.ctx, wanted, work.step.action, group or "no group", work.operation)


@action("group.look-for")
def _look_for(work: Work) -> Group:
    """Change the labels that make VMs members."""
    params = work.step.params

    def alter(group: Group) -> Group:
        return group.with_(selector=changed(group.selector, params))

    done = groups.change(work.ctx, work.step.target, alter, "selector", work.operation)
    return groups.shown(done, (Vm.from_document(row.document) for row in work.ctx.catalog.find("vm")))
