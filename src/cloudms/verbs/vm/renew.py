"""`cms vm renew`: more time for a VM, or no end at all."""

from __future__ import annotations

from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, lease
from cloudms.engine import vms as change
from cloudms.engine.select import vms
from cloudms.errors import Conflict
from cloudms.model import Origin, Step, Vm
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames


@verb(
    "vm",
    "renew",
    changes=True,
    columns=("name", "cloud", "state", "expires", "reason"),
    example="cms vm renew web[1-3] --ttl 8h",
)
def renew(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    ttl: Annotated[
        str | None, Doc("lease from now on, such as 8h or 2d, or never; as long as the last otherwise")
    ] = None,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Let the leases of VMs end later, counted from now, or never; the guests are told, too."""
    found = vms(ctx, names, cloud=cloud or "", labels=label, what="name the VMs to renew")
    foreign = [vm.name for vm in found if vm.origin is Origin.FOREIGN]
    if foreign:
        raise Conflict(f"{foreign[0]} was not made by cloudms", hint=f"cms vm adopt {foreign[0]} first")
    now = ctx.clock.now()
    steps: list[Step] = []
    for vm in found:
        seconds = lease.chosen(ctx, vm, ttl)
        params = {"expires": now + seconds if seconds else None, "ttl": seconds}
        steps += change.steps("vm.renew", [vm], **params)
    ends = sorted({lease.end(vm.with_(expires=step.params["expires"])) for vm, step in zip(found, steps, strict=True)})
    shown = naming.compress(vm.name for vm in found)
    return Plan(verb="vm renew", summary=f"renew {shown}: the lease ends {' or '.join(ends)}", steps=tuple(steps))


@action("vm.renew")
def _renew(work: Work) -> Vm:
    return lease.renew(work)
