"""Finding what a person named: by name, host list, id or label, in the catalog first and then on the clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudms import names
from cloudms.context import Context, not_found
from cloudms.engine.labels import narrow
from cloudms.engine.refresh import list_vms
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import Vm

_SHORTEST_ID = 4


def vms(
    ctx: Context,
    wanted: Sequence[str],
    *,
    cloud: str = "",
    labels: Mapping[str, str] | None = None,
    what: str = "name the VMs",
) -> list[Vm]:
    """Return the VMs of these names, ids, host lists or labels, each once, in the order given.

    Raises: Invalid (nothing named), NotFound (all that is missing is named), Conflict (a name that several have).
    """
    if not wanted and not labels:
        raise Invalid(f"no VM was named: {what}, or choose with --label", hint="cms vm list shows them")
    expanded = [name for word in wanted for name in names.expand(word)]
    known = _all(ctx, cloud, fresh=False)
    if not _told_apart(known, expanded) or (labels and not expanded):
        known = _all(ctx, cloud, fresh=True)
    missing = _missing(known, expanded)
    if missing:
        raise _unknown(missing, known)
    found = {vm.key: vm for name in expanded for vm in [_one(known, name)]}
    return narrow("VM", found.values() if expanded else known, labels)


def _told_apart(known: Sequence[Vm], wanted: Sequence[str]) -> bool:
    """Whether every name is known in full: what begins an id may be the name of a VM that was not seen yet."""
    full = {word for vm in known for word in (vm.name, vm.id, vm.token)}
    return full.issuperset(wanted)


def vm(ctx: Context, wanted: str, *, cloud: str = "") -> Vm:
    """Return the one VM of this name or id. Raises: NotFound, Conflict, Invalid (a host list of several)."""
    found = vms(ctx, [wanted], cloud=cloud)
    if len(found) != 1:
        raise Invalid(f"'{wanted}' names {len(found)} VMs where one is needed", hint="give one name")
    return found[0]


def matching(known: Sequence[Vm], name: str) -> list[Vm]:
    """Return the VMs that a name, an id, or the beginning of an id means; a full name or id comes first."""
    exact = [vm for vm in known if name in (vm.name, vm.id, vm.token)]
    if exact or len(name) < _SHORTEST_ID:
        return exact
    return [vm for vm in known if vm.id.startswith(name)]


def _all(ctx: Context, cloud: str, *, fresh: bool) -> list[Vm]:
    listing = list_vms(ctx, ctx.cloud_names(cloud), fresh=fresh)
    for name, error in listing.failed.items():
        ctx.warn(f"cloud '{name}' did not answer: {error['message']}")
    return [item for item in listing.items if isinstance(item, Vm)]


def _missing(known: Sequence[Vm], wanted: Sequence[str]) -> list[str]:
    return [name for name in wanted if not matching(known, name)]


def _one(known: Sequence[Vm], name: str) -> Vm:
    found = matching(known, name)
    if len(found) > 1:
        places = ", ".join(f"{vm.id} on {vm.cloud}" for vm in found)
        raise Conflict(f"'{name}' means several VMs: {places}", hint="give the id, or --cloud")
    return found[0]


def _unknown(missing: Sequence[str], known: Sequence[Vm]) -> NotFound:
    if len(missing) == 1:
        return not_found("VM", missing[0], (vm.name for vm in known), "cms vm list shows them")
    return NotFound(f"no VMs named {', '.join(missing)}", hint="cms vm list shows them")
