"""What VMs weigh on the moon."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms.context import Context
from cloudms.engine.select import vms
from cloudms.verb import Doc, Names, verb


@verb("vm", "weigh", columns=("name", "grams"), example="cms vm weigh web1")
def weigh(ctx: Context, names: Annotated[list[str], Doc("VMs to weigh"), Names("vm")]) -> list[dict[str, Any]]:
    """Weigh VMs: a letter of the name weighs a gram."""
    return [{"kind": "weight", "schema": 1, "name": vm.name, "grams": len(vm.name)} for vm in vms(ctx, names)]
