"""`cms vm delete`: end VMs with everything that belongs to them alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine import vms as change
from cloudms.engine.addresses import require_pool
from cloudms.engine.select import vms
from cloudms.errors import NotFound
from cloudms.model import Step, Vm
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames


@verb(
    "vm",
    "delete",
    changes=True,
    aliases=["destroy", "terminate"],
    columns=["name", "cloud", "state"],
    example="cms vm delete web[1-3] --yes",
)
def delete(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    keep_ip: Annotated[bool, Doc("keep their public addresses, which go on to cost money (cms ip list)")] = False,
    missing_ok: Annotated[bool, Doc("succeed when a VM of that name does not exist")] = False,
) -> Plan:
    """Delete VMs with their disks and addresses; attached volumes are kept.

    Protected VMs and VMs that others made are refused. The record goes when the cloud says that the VM is gone.
    """
    expanded = [name for word in names for name in naming.expand(word)]
    wanted = [name for name in expanded if not missing_ok or _exists(ctx, name, cloud or "")]
    try:
        chosen = wanted or not names  # of names that are all gone no label may choose others
        found = vms(ctx, wanted, cloud=cloud or "", labels=label, what="name the VMs to delete") if chosen else []
    except NotFound:
        if not missing_ok:
            raise
        found = []
    if not found:
        return Plan(verb="vm delete", summary="nothing to delete", steps=())
    change.check_unprotected(found, "deleted")
    for vm in found if keep_ip else ():
        require_pool(ctx, vm.cloud, vm)
    shown = naming.compress(vm.name for vm in found)
    return Plan(
        verb="vm delete",
        summary=f"delete {shown} with disks" + (", and keep the addresses" if keep_ip else ""),
        question=f"Delete {shown} for good?",
        steps=ending(found, keep_ip=keep_ip),
    )


def ending(found: Sequence[Vm], *, keep_ip: bool = False) -> tuple[Step, ...]:
    """Return the steps that delete VMs."""
    return change.steps("vm.delete", found, **({"keep_ip": True} if keep_ip else {}))


def _exists(ctx: Context, name: str, cloud: str) -> bool:
    try:
        return bool(vms(ctx, [name], cloud=cloud))
    except NotFound:
        return False


@action("vm.delete")
def _delete(work: Work) -> Vm:
    return change.delete(work)
