"""`cms vm forget`: drop the record of VMs whose cloud is no longer configured."""

from __future__ import annotations

from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context, not_found
from cloudms.engine import Plan, Work, action
from cloudms.engine import refresh as records
from cloudms.engine import vms as change
from cloudms.engine.labels import pick
from cloudms.engine.select import matching
from cloudms.errors import Conflict, NotFound
from cloudms.model import Vm
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels


@verb("vm", "forget", changes=True, columns=("name", "cloud", "state"), example="cms vm forget web1 --yes")
def forget(
    ctx: Context,
    names: Annotated[list[str], Doc("names or ids of VMs on clouds that are gone"), Names("vm")] = [],  # noqa: B006 (never changed)
    *,
    label: Labels = None,
) -> Plan:
    """Forget VMs of clouds that are no longer configured; the VMs themselves are not touched.

    A VM of a configured cloud is refused: `vm delete` deletes it, and a list forgets what its cloud no longer has.
    """
    rows = [Vm.from_document(row.document) for row in ctx.catalog.find("vm")]
    found = pick("vm", names, label, lambda name: _one(rows, name), lambda: rows)
    for vm in found:
        _check_gone(ctx, vm)
    shown = naming.compress(vm.name for vm in found)
    return Plan(
        verb="vm forget",
        summary=f"forget {shown}",
        question=f"Forget {shown}? What still runs there is then unknown to cms.",
        steps=tuple(step.with_(cloud="") for step in change.steps("vm.forget", found)),
    )


def _one(rows: list[Vm], name: str) -> Vm:
    """Return the VM of a name or id. Raises: NotFound, Conflict (several have it)."""
    meant = matching(rows, name)
    if not meant:
        raise not_found("VM", name, (vm.name for vm in rows), "cms vm list shows them")
    if len(meant) > 1:
        places = ", ".join(f"{vm.id} on {vm.cloud}" for vm in meant)
        raise Conflict(f"'{name}' means several VMs: {places}", hint="give the id")
    return meant[0]


def _check_gone(ctx: Context, vm: Vm) -> None:
    """Refuse a VM whose cloud can be asked. Raises: Conflict."""
    try:
        ctx.config.cloud(vm.cloud)
    except NotFound:
        return
    raise Conflict(f"{vm.name} stands on cloud '{vm.cloud}', which is configured", hint=f"cms vm delete {vm.name}")


@action("vm.forget")
def _forget(work: Work) -> Vm:
    stored = work.ctx.catalog.get("vm", work.step.params["key"])
    if stored is None:
        return Vm(name=work.step.target)
    vm = Vm.from_document(stored.document)
    records.forget(work.ctx, vm, "forgotten by a person", work.operation)
    return vm
