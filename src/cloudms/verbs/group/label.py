"""`cms group label`: labels of groups, which the VMs they boot get, too."""

from __future__ import annotations

from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.engine.labels import changed, changes, pick
from cloudms.model import Group, Step, Vm
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels, RemoveLabels, SetLabels
from cloudms.verbs.vm.care import marking

_COLUMNS = ("name", "cloud", "labels")


@verb("group", "label", changes=True, columns=_COLUMNS, example="cms group label web --set project=genome")
def label_(
    ctx: Context,
    names: Annotated[list[str], Doc("names of groups"), Names("group")] = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    members: Annotated[bool, Doc("the VMs that are in them now, too")] = False,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of groups; VMs that they boot from now on get them, too."""
    params = changes(set, remove)
    known = groups.all_vms(ctx, fresh=False)
    found = pick("group", names, label, lambda name: groups.find(ctx, name, known), lambda: groups.every(ctx, known))
    steps = tuple(Step(action="group.label", cloud="", target=group.name, params=params) for group in found)
    if members:
        vms = {vm.key: vm for group in found for vm in groups.members_of(group, known)}
        steps += marking(ctx, list(vms.values()), params)
    shown = naming.compress(group.name for group in found)
    return Plan(verb="group label", summary=f"label {shown}{' and members' * members}", steps=steps)


@action("group.label")
def _label(work: Work) -> Group:
    name, params = work.step.target, work.step.params

    def alter(group: Group) -> Group:
        return group.with_(labels=changed(group.labels, params))

    done = groups.change(work.ctx, name, alter, "labelled", work.operation)
    return groups.shown(done, (Vm.from_document(row.document) for row in work.ctx.catalog.find("vm")))
