"""`cms vm resize`, `confirm` and `revert`: another size, kept or taken back.

A cloud may wait for an answer (`awaiting_confirm`) and keep the old place until then. Where none does, the record says
what the VM was, and `revert` resizes it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Cloud, ConfirmResize, Resize
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, resized
from cloudms.engine import vms as change
from cloudms.engine.browse import browse
from cloudms.engine.ceilings import flavor_price, resizing
from cloudms.engine.refresh import merged
from cloudms.engine.select import Chosen, vm, vms
from cloudms.errors import Conflict, Invalid, NoCapacity, NotFound
from cloudms.model import Flavor, Step, Vm, VmState
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import OneVm, VmNames

_COLUMNS = ("name", "cloud", "state", "reason", "flavor", "resized_from", "confirm_by")
_WAITS = VmState.AWAITING_CONFIRM
_DECIDED = tuple(s for s in VmState if not s.transient and s not in (VmState.UNKNOWN, VmState.ERROR, _WAITS))
_SETTLED = (*_DECIDED, _WAITS)


@verb("vm", "resize", changes=True, columns=_COLUMNS, example="cms vm resize web1 medium --confirm")
def resize(
    ctx: Context,
    name: OneVm,
    flavor: Annotated[str, Doc("flavor it gets (cms flavor list)"), Names("flavor")],
    *,
    confirm: Annotated[
        bool | None, Doc("keep it at once, without waiting for cms vm confirm; as confirm_within of the cloud says")
    ] = None,
    cloud: CloudName = None,
) -> Plan:
    """Give a VM another flavor; cms vm revert brings the old one back, until cms vm confirm.

    Where the change needs a restart the answer says so.
    """
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Resize)
    change.check_ours([found], "resized")
    resized.check_decided(found)
    at_once = resized.within(ctx, found.cloud) == 0 if confirm is None else confirm
    steps = change.steps("vm.resize", [found], flavor=flavor, old=found.flavor, confirm=at_once)
    return Plan(verb="vm resize", summary=f"resize {found.name} from {found.flavor or '?'} to {flavor}", steps=steps)


@action("vm.resize", demand=resizing)
def _resize(work: Work) -> Vm:
    """Resize, or go on with what a killed run began: once the new flavor is there, the record knows the old one."""
    params = work.step.params
    cloud, before, seen = change.look(work)
    flavor = params["flavor"]
    old = seen.flavor if seen.flavor != flavor else before.resized_from or params.get("old", "")
    by = resized.deadline(work.ctx, before.cloud) if _asks(cloud, before) else None
    noted = {"resized_from": old if old != flavor else "", "confirm_by": by}
    begun: list[bool] = []

    def given_up(after: Vm) -> bool:
        """Whether the cloud has gone about it and left the VM as it was: it found no place for it."""
        return any(begun) and after.state is not _WAITS and after.flavor == seen.flavor != flavor

    def keep(after: Vm) -> Mapping[str, Any]:
        if given_up(after):
            return resized.CLEAN
        if after.state is not _WAITS:
            return resized.CLEAN if params.get("confirm") else {**noted, "confirm_by": None}
        return {**noted, "reason": resized.told(after.with_(**noted)).reason}

    def call(opened: Any, vm: Vm) -> Vm:
        now: Vm = opened.resize_vm(vm, flavor)
        begun.append(now.state is VmState.RESIZING)
        return now

    done = change.change(work, VmState.RESIZING, call, _SETTLED, noted=noted, keep=keep)
    if given_up(done):
        raise NoCapacity(
            f"{done.name} is still {done.flavor}: {done.cloud} found no place for it as {flavor}",
            hint="try again later, or another flavor",
        )
    if params.get("confirm") and done.state is _WAITS:
        done = _kept(work)
    return _repriced(work, done)


def _asks(cloud: Cloud, vm: Vm) -> bool:
    return not cloud.supports(ConfirmResize, vm)


def _repriced(work: Work, vm: Vm) -> Vm:
    """Record what a VM costs with the flavor it has now."""
    price = flavor_price(work.ctx, vm, vm.flavor) or None
    if price == vm.price_per_hour:
        return vm
    text = "its price is not known" if price is None else f"it costs {price:.4g} per hour"
    return change.save(work.ctx, vm.with_(price_per_hour=price), work.step.action, text, work.operation)


@verb("vm", "confirm", changes=True, columns=_COLUMNS, example="cms vm confirm web1")
def confirm(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Keep the new flavor of resized VMs: what was before is forgotten."""
    found = _resized(ctx, names, cloud, label, "confirm")
    for each in found:
        change.check(ctx, [each], ConfirmResize if each.state is _WAITS else Resize)
    change.check_ours(found, "confirmed")
    return _plan("vm confirm", found, change.steps("vm.confirm", found))


@action("vm.confirm")
def _confirm(work: Work) -> Vm:
    return _kept(work)


def _kept(work: Work) -> Vm:
    """Let a VM keep its new flavor; already kept is success."""

    def call(opened: Any, vm: Vm) -> Vm:
        seen = _decidable(work, opened, vm)
        return opened.confirm_vm(vm) if seen.state is _WAITS else seen

    return change.change(work, None, call, _DECIDED, keep=resized.CLEAN)


@verb("vm", "revert", changes=True, columns=_COLUMNS, example="cms vm revert web1")
def revert(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Bring resized VMs back to the flavor that they had before."""
    found = _resized(ctx, names, cloud, label, "revert")
    for each in found:
        _check_way_back(ctx, each)
    steps = [s for each in found for s in change.steps("vm.revert", [each], flavor=each.resized_from or each.flavor)]
    return _plan("vm revert", found, (*steps, *found.unseen()))


def _check_way_back(ctx: Context, found: Vm) -> None:
    """Refuse before any call what cannot be taken back. Raises: Unsupported, Conflict, Invalid (a smaller disk)."""
    change.check(ctx, [found], ConfirmResize if found.state is _WAITS else Resize)
    change.check_ours([found], "reverted")
    if found.state is _WAITS or not getattr(ctx.cloud_class(found.cloud), "grows_disk", True):
        return
    now, old = (_flavor(ctx, found.cloud, name) for name in (found.flavor, found.resized_from))
    if now and old and 0 < old.disk_gib < now.disk_gib:
        raise Invalid(
            f"{found.name} cannot go back to {old.name}: its disk has grown from {old.disk_gib} to {now.disk_gib} GiB,"
            " and a disk cannot shrink",
            hint=f"cms vm confirm {found.name} keeps {now.name}",
        )


def _flavor(ctx: Context, cloud: str, name: str) -> Flavor | None:
    listing = browse(ctx, "flavor", lambda opened: opened.list_flavors(), cloud=cloud)
    found = (item for item in listing.items if isinstance(item, Flavor) and name in (item.name, item.id))
    return next(found, None)


@action("vm.revert", demand=resizing)
def _revert(work: Work) -> Vm:
    """Bring the old flavor back: by the cloud where it waits, else by another resize."""
    old = work.step.params.get("flavor", "")

    def call(opened: Any, vm: Vm) -> Vm:
        seen = _decidable(work, opened, vm)
        if seen.state is _WAITS:
            return opened.revert_vm(vm)  # type: ignore[no-any-return]
        if not old or seen.flavor == old:
            return seen
        back = merged(vm, opened.resize_vm(vm, old), work.ctx.clock.now())
        back = change.wait_state(work, opened, back, _SETTLED, None)
        return opened.confirm_vm(vm) if back.state is _WAITS else back

    done = change.change(work, VmState.RESIZING, call, _DECIDED, keep=resized.CLEAN)
    return _repriced(work, done)


def _decidable(work: Work, opened: Any, vm: Vm) -> Vm:
    """Return a VM as its cloud says it is, once a resize that is under way has ended."""
    seen: Vm = opened.get_vm(vm)
    if seen.state is not VmState.RESIZING:
        return seen
    return change.wait_state(work, opened, merged(vm, seen, work.ctx.clock.now()), _SETTLED, None)


def _resized(
    ctx: Context, names: Sequence[str], cloud: str | None, label: Mapping[str, str] | None, deed: str
) -> Chosen:
    """Return the VMs of these names, or those with these labels that were resized. Raises: Conflict (none was)."""
    named = vms(ctx, names, cloud=cloud or "", labels=label)
    found = [_current(ctx, each) for each in named]
    able = Chosen(each for each in found if resized.undecided(each))
    if len(able) == len(found) or (label and able):
        if isinstance(named, Chosen):
            able.silent, able.labels = named.silent, named.labels
        return able
    shown = naming.compress(each.name for each in found if each not in able)
    raise Conflict(
        f"{shown} was not resized, so there is nothing to {deed}", hint="cms vm resize NAME FLAVOR gives another size"
    )


def _current(ctx: Context, vm: Vm) -> Vm:
    """Return a VM of which the record says no resize as its cloud says it is: others may have resized it."""
    if resized.undecided(vm) or not _asks(ctx.cloud(vm.cloud), vm):
        return vm
    try:
        return merged(vm, ctx.cloud(vm.cloud).get_vm(vm), ctx.clock.now())
    except NotFound:
        return vm


def _plan(verb_: str, found: Sequence[Vm], steps: Sequence[Step]) -> Plan:
    shown = naming.compress(each.name for each in found)
    return Plan(verb=verb_, summary=f"{verb_.split()[1]} the resize of {shown}", steps=tuple(steps))
