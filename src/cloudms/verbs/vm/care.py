"""`cms vm adopt`, `protect`, `unprotect` and `label`: who looks after a VM, and how it is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Adopt, Metadata
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, lease
from cloudms.engine import vms as change
from cloudms.engine.keys import identity
from cloudms.engine.labels import changed, changes
from cloudms.engine.refresh import merged
from cloudms.engine.reserve import new_token, reserve
from cloudms.engine.select import vms
from cloudms.errors import Invalid
from cloudms.model import Origin, Step, Vm
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels, RemoveLabels, SetLabels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames

_COLUMNS = ("name", "cloud", "state", "origin", "protected", "labels")


@verb("vm", "adopt", changes=True, columns=_COLUMNS, example="cms vm adopt customer-db")
def adopt(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    login: Annotated[str, Doc("user name that SSH wants")] = "",
) -> Plan:
    """Take VMs that were made elsewhere into care.

    An adopted VM can be changed and deleted by name; nothing automatic ever deletes it.
    """
    found = vms(ctx, names, cloud=cloud or "", labels=label, what="name the VMs to adopt")
    change.check(ctx, found, Adopt)
    own = [vm.name for vm in found if vm.origin is not Origin.FOREIGN]
    if own:
        raise Invalid(f"{', '.join(own)} is already in care", hint="cms vm list shows the origin with -o json")
    steps = tuple(
        step.with_(params={**step.params, "token": new_token(ctx)})
        for step in change.steps("vm.adopt", found, login=login)
    )
    return Plan(verb="vm adopt", summary=f"adopt {naming.compress(vm.name for vm in found)}", steps=steps)


@action("vm.adopt")
def _adopt(work: Work) -> Vm:
    ctx = work.ctx
    cloud, vm = change.load(work)
    token = work.step.params["token"]
    reserve(ctx, vm.name, token, cloud=vm.cloud, exact=True)
    wanted = vm.with_(
        token=token,
        owner=ctx.owner,
        origin=Origin.ADOPTED,
        login=work.step.params["login"] or vm.login,
        ssh_key=identity(ctx).private_path,
    )
    done = merged(wanted, cloud.adopt_vm(wanted), ctx.clock.now()).with_(origin=Origin.ADOPTED)  # type: ignore[attr-defined]
    ctx.catalog.delete("vm", [vm.key])
    return change.save(ctx, done, "vm.adopt", "adopted", work.operation)


@verb("vm", "protect", changes=True, columns=_COLUMNS, example="cms vm protect db1")
def protect(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Protect VMs: they are not deleted until they are unprotected."""
    return _mark(ctx, "vm protect", vms(ctx, names, cloud=cloud or "", labels=label), {"protected": True})


@verb("vm", "unprotect", changes=True, columns=_COLUMNS, example="cms vm unprotect db1")
def unprotect(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Allow VMs to be deleted again."""
    return _mark(ctx, "vm unprotect", vms(ctx, names, cloud=cloud or "", labels=label), {"protected": False})


@verb("vm", "label", changes=True, columns=_COLUMNS, example="cms vm label web1 --set tier=front --remove old")
def label_(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    group: Annotated[str | None, Doc("group the VM belongs to from now on; empty leaves it"), Names("group")] = None,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels, or the group, of VMs."""
    params: dict[str, Any] = {} if group is None else {"group": group and naming.valid(group)}
    if set or remove or group is None:
        params |= changes(set, remove, hint="--set key=value, --remove key or --group NAME")
    return _mark(ctx, "vm label", vms(ctx, names, cloud=cloud or "", labels=label), params)


def _mark(ctx: Context, verb_: str, found: list[Vm], params: dict[str, Any]) -> Plan:
    summary = f"{verb_.split()[-1]} {naming.compress(vm.name for vm in found)}"
    return Plan(verb=verb_, summary=summary, steps=marking(ctx, found, params))


def marking(ctx: Context, found: Sequence[Vm], params: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the steps that change labels, group or protection of VMs. Raises: Unsupported."""
    change.check(ctx, found, Metadata)
    return change.steps("vm.mark", found, **params)


@action("vm.mark")
def _marked(work: Work) -> Vm:
    cloud, vm = change.load(work)
    params = work.step.params
    wanted = vm.with_(
        labels=changed(vm.labels, params),
        group=params.get("group", vm.group),
        protected=params.get("protected", vm.protected),
    )
    cloud.tag_vm(wanted)  # type: ignore[attr-defined]
    if "protected" in params:
        lease.tell_again(work.ctx, wanted)
    return change.save(work.ctx, wanted, work.step.action, work.step.action, work.operation)
