"""The janitor: finds what is unfinished, orphaned or expired; listing comes first, acting second.

- An *unfinished* operation is one whose process is gone: a boot is adopted if its cloud made the VM and undone if not,
  a delete is finished, everything else takes the state that its cloud tells.
- An *orphan* is a thing on a cloud made with this catalog that no VM of the catalog owns.
- A VM is *expired* when its lease has ended, and *undecided* when a resize should have been confirmed by now.
- A *balancer* is one that nobody wants: its creation was interrupted, its group is gone, or no row names it.
- A *stray* is a VM of the same person that was made with another catalog, which may be lost or on another computer.

Only VMs that were made with this catalog are ever settled: a living process of another one may be at work on its own.
The one exception are strays whose lease has ended, when they are asked for.
Of these, only VMs that cloudms made are ever deleted, and never protected ones; that is looked at again before acting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cloudms.balancers import sweep as balancers
from cloudms.clock import iso
from cloudms.clouds.base import ConfirmResize, Leftover, Metadata
from cloudms.context import Context
from cloudms.engine import resized
from cloudms.engine.ceilings import IDLE
from cloudms.engine.operation import observed
from cloudms.engine.process import alive
from cloudms.engine.rates import of_leftover
from cloudms.engine.refresh import event, forget, list_vms, merged
from cloudms.engine.reserve import abandoned, catalog_id, release
from cloudms.engine.vms import check_still
from cloudms.errors import CloudmsError, NotFound
from cloudms.model import Noun, Operation, OperationState, Origin, Vm, VmState

UNFINISHED, OVERDUE, UNDECIDED, EXPIRED, ORPHAN, DETACHED, RESERVED, STRAY, BALANCER = (
    "unfinished", "overdue", "undecided", "expired", "orphan", "detached", "reserved", "stray", "balancer",
)  # fmt: skip

_DELETE = "delete it"
_OWNING = ("vm", "volume", "volume_snapshot", "secgroup", "address")
"""Kinds of nouns whose rows own what carries their token."""


class Finding(Noun):
    """Something to sweep: `what` it is, `reason` why, `deed` what `--apply` does about it.

    `price_per_hour` is what it goes on to cost, where that is known.
    """

    kind: ClassVar[str] = "finding"
    columns: ClassVar[tuple[str, ...]] = ("what", "name", "cloud", "reason", "deed", "price_per_hour")

    what: str
    reason: str = ""
    deed: str = ""
    key: str = ""
    price_per_hour: float | None = None


def findings(ctx: Context, clouds: Iterable[str], *, strays: bool = False) -> list[Finding]:
    """Return what a sweep of `clouds` would do, without doing it; clouds that do not answer become warnings.

    With `strays`, VMs of the same person that other catalogs made are among them.
    """
    names = list(clouds)
    listing = list_vms(ctx, names, fresh=True)
    for name, error in listing.failed.items():
        ctx.warn(f"cloud '{name}' did not answer and is not swept: {error['message']}")
    reached = [name for name in names if name not in listing.failed]
    vms = [vm for vm in listing.items if isinstance(vm, Vm) and vm.cloud in reached and _mine(ctx, vm)]
    found = [*_unfinished_vms(ctx, vms), *_expired(ctx, vms), *_operations(ctx), *_reservations(ctx)]
    found += _balancers(ctx)
    for name in reached:
        found += _orphans(ctx, name)
    if strays:
        found += _strays(ctx, [vm for vm in listing.items if isinstance(vm, Vm) and vm.cloud in reached])
    return found


def _mine(ctx: Context, vm: Vm) -> bool:
    """Whether a VM was made, or taken into care, with this catalog."""
    return vm.token.startswith(catalog_id(ctx))


def _expendable(vm: Vm) -> bool:
    """Whether a sweep may delete a VM at all."""
    return vm.origin is Origin.OWN and not vm.protected


def _busy(ctx: Context, vm: Vm) -> bool:
    """Whether a living process works on a VM without an id."""
    stored = ctx.catalog.get("name", vm.name)
    return bool(stored and stored.document["token"] == vm.token and alive(stored.document["process"]))


def _unfinished_vms(ctx: Context, vms: Iterable[Vm]) -> Iterable[Finding]:
    busy = _worked_on(ctx)
    for vm in vms:
        if vm.name in busy:
            continue
        if not vm.id and not _busy(ctx, vm):
            yield _finding(
                UNFINISHED, vm, "was asked for, but its cloud has not made it", "forget it with its leftovers"
            )
        elif _half_made(ctx, vm):
            yield _finding(UNFINISHED, vm, "its creation was interrupted before it could start", _DELETE)
        elif _expendable(vm) and (vm.state is VmState.TERMINATING or _deletes(ctx, vm)):
            yield _finding(UNFINISHED, vm, "its deletion was interrupted", _DELETE)
        elif vm.state.transient and ctx.clock.now() - (vm.since or 0) > (vm.state.deadline or 0):
            yield _finding(OVERDUE, vm, f"{vm.state} for too long", "ask its cloud again")
        elif vm.state is VmState.AWAITING_CONFIRM and vm.confirm_by and vm.confirm_by < ctx.clock.now():
            text = f"resized from {vm.resized_from}, and neither confirmed nor reverted by {iso(vm.confirm_by)}"
            yield _finding(UNDECIDED, vm, text, "confirm it")
        elif vm.origin is Origin.OWN and _needs_mending(ctx, vm):
            yield _finding(
                DETACHED, vm, "lost its forwards or its name, or was left paused, by an interrupted start", "mend it"
            )


def _worked_on(ctx: Context) -> set[str]:
    """Return the targets of operations whose process lives, sweeps aside."""
    running = (Operation.from_document(row.document) for row in ctx.catalog.find("operation"))
    return {
        step.target
        for operation in running
        if operation.verb != "sweep" and operation.state is OperationState.RUNNING and alive(operation.process)
        for step in operation.steps
    }


def _deletes(ctx: Context, vm: Vm) -> bool:
    """Whether an interrupted operation was about to delete this VM."""
    for operation in _interrupted(ctx):
        for step in operation.steps:
            if step.action == "vm.delete" and step.state != "done" and step.params.get("key") == vm.key:
                return True
    return False


def _half_made(ctx: Context, vm: Vm) -> bool:
    try:
        return _expendable(vm) and ctx.cloud(vm.cloud).half_made(vm)
    except CloudmsError:
        return False


def _needs_mending(ctx: Context, vm: Vm) -> bool:
    try:
        return bool(ctx.cloud(vm.cloud).detached(vm))
    except CloudmsError:
        return False


def _interrupted(ctx: Context) -> list[Operation]:
    operations = (Operation.from_document(row.document) for row in ctx.catalog.find("operation"))
    return [o for o in map(observed, operations) if o.state is OperationState.INTERRUPTED]


def _expired(ctx: Context, vms: Iterable[Vm]) -> Iterable[Finding]:
    now = ctx.clock.now()
    for vm in vms:
        if vm.expires and vm.expires < now and _expendable(vm) and vm.id:
            yield _finding(EXPIRED, vm, "its lease has ended", _DELETE)


def _strays(ctx: Context, vms: Iterable[Vm]) -> Iterable[Finding]:
    """Yield what other catalogs of the same person made: what has expired is deleted, the rest only shown."""
    others = [vm for vm in vms if vm.origin is Origin.OWN and not _mine(ctx, vm)]
    expired = list(_expired(ctx, others))
    yield from expired
    ended = {finding.key for finding in expired}
    for vm in others:
        if vm.key not in ended:
            deed = f"left alone; cms vm delete {vm.name} if that catalog is lost"
            yield _finding(STRAY, vm, "was made with another catalog", deed)


def _operations(ctx: Context) -> Iterable[Finding]:
    for operation in _interrupted(ctx):
        yield Finding(
            what=UNFINISHED, name=operation.name, key=operation.name, reason=f"'{operation.summary}' was interrupted",
            deed="close its record after its VMs are settled",
        )  # fmt: skip


def _reservations(ctx: Context) -> Iterable[Finding]:
    for row in ctx.catalog.find("name"):
        document = row.document
        if abandoned(ctx, document):
            yield Finding(
                what=RESERVED, name=row.key, cloud=document.get("cloud", ""), key=document["token"],
                reason="the name is reserved by a process that is gone", deed="give it back",
            )  # fmt: skip


def _balancers(ctx: Context) -> Iterable[Finding]:
    for name, reason in balancers.unwanted(ctx).items():
        yield Finding(what=BALANCER, name=name, key=name, reason=reason, deed="end it")


def _orphans(ctx: Context, cloud: str) -> Iterable[Finding]:
    for leftover in _leftovers(ctx, cloud):
        yield Finding(
            what=ORPHAN, name=leftover.name or leftover.id, cloud=cloud, id=leftover.id, key=leftover.token,
            reason=leftover.reason or f"a {leftover.kind} that no VM owns", deed=f"remove the {leftover.kind}",
            price_per_hour=of_leftover(ctx, cloud, leftover),
        )  # fmt: skip


def _leftovers(ctx: Context, cloud: str) -> list[Leftover]:
    """Return the things of this catalog that none of its rows owns; those of other catalogs are left alone."""
    known = frozenset(row.key for kind in _OWNING for row in ctx.catalog.find(kind))
    mine = catalog_id(ctx)
    return [item for item in ctx.cloud(cloud).leftovers(known) if item.token.startswith(mine)]


def _finding(what: str, vm: Vm, reason: str, deed: str) -> Finding:
    return Finding(
        what=what, name=vm.name, cloud=vm.cloud, id=vm.id, key=vm.key, reason=reason, deed=deed,
        price_per_hour=vm.price_per_hour if vm.id and vm.state not in IDLE else None,
    )  # fmt: skip


def settle(ctx: Context, what: str, name: str, cloud: str, key: str, identity: str, deed: str = "") -> str:
    """Do about one finding what its `deed` says, and return a sentence; safe to repeat.

    The deed decides about a VM whose deletion was interrupted: the record that told of it may be closed by now.
    """
    if what == ORPHAN:
        return _clean(ctx, cloud, identity)
    if what == BALANCER:
        return balancers.settle(ctx, name)
    if what == STRAY:
        return "left alone"
    if what == RESERVED:
        reserved = ctx.catalog.get("name", name)
        if reserved and abandoned(ctx, reserved.document):
            release(ctx, name, key)
        return "given back"
    if what == UNFINISHED and not cloud:
        return close(ctx, name)
    stored = ctx.catalog.get("vm", key)
    if stored is None:
        return "already gone"
    return _settle_vm(ctx, what, Vm.from_document(stored.document), deed)


def _settle_vm(ctx: Context, what: str, vm: Vm, deed: str) -> str:
    if vm.name in _worked_on(ctx) or (what == EXPIRED and not any(_expired(ctx, [vm]))):
        return "left alone: it is being worked on, or no longer as it was found"
    cloud = ctx.cloud(vm.cloud)
    if what == DETACHED:
        ctx.catalog.put("vm", {vm.key: merged(vm, cloud.mend(vm), ctx.clock.now()).to_document()})
        return "brought back"
    if what == UNDECIDED:
        return _confirm(ctx, vm)
    if what == EXPIRED and (renewed := _renewed(ctx, vm)):
        return renewed
    wanted = deed == _DELETE and _expendable(vm)
    if what == EXPIRED or (what == UNFINISHED and (wanted or _ends(ctx, vm))):
        check_still(cloud, vm, "swept")
        cloud.delete_vm(vm)
        forget(ctx, vm, f"swept: {what}")
        return "deleted"
    try:
        seen = cloud.get_vm(vm)
    except NotFound:
        cloud.delete_vm(vm)  # what an interrupted creation left beside the VM that never was
        forget(ctx, vm, "swept: its cloud never made it")
        return "forgotten"
    found = merged(vm, seen, ctx.clock.now())
    ctx.catalog.put(
        "vm", {vm.key: found.to_document()}, events=[event(ctx, "sweep", vm, f"its cloud says {found.state}")]
    )
    return f"its cloud says {found.state}"


def _confirm(ctx: Context, vm: Vm) -> str:
    """Keep the new flavor of a VM, unless somebody has decided meanwhile."""
    cloud = ctx.cloud(vm.cloud)
    seen = cloud.get_vm(vm)
    if seen.state is VmState.AWAITING_CONFIRM and isinstance(cloud, ConfirmResize):
        seen = cloud.confirm_vm(vm)
    found = merged(vm, seen, ctx.clock.now()).with_(**resized.CLEAN)
    text = f"kept the flavor {found.flavor}"
    ctx.catalog.put("vm", {vm.key: found.to_document()}, events=[event(ctx, "sweep", vm, text)])
    return text


def _renewed(ctx: Context, vm: Vm) -> str:
    """Return a sentence when the cloud says that the lease goes on: it was renewed with another catalog."""
    cloud = ctx.cloud(vm.cloud)
    if not isinstance(cloud, Metadata):
        return ""
    try:
        expires = cloud.get_vm(vm).expires
    except NotFound:
        return ""
    if expires and expires < ctx.clock.now():
        return ""
    ctx.catalog.put("vm", {vm.key: vm.with_(expires=expires).to_document()})
    return "left alone: its lease was renewed with another catalog"


def _ends(ctx: Context, vm: Vm) -> bool:
    """Whether settling an unfinished VM means deleting it."""
    return _expendable(vm) and (vm.state is VmState.TERMINATING or _deletes(ctx, vm) or _half_made(ctx, vm))


def _clean(ctx: Context, cloud: str, identity: str) -> str:
    for leftover in _leftovers(ctx, cloud):
        if leftover.id == identity:
            ctx.cloud(cloud).clean(leftover)
            return "removed"
    return "already gone"


def close(ctx: Context, name: str) -> str:
    """End the record of an operation whose process is gone."""
    while stored := ctx.catalog.get("operation", name):
        operation = observed(Operation.from_document(stored.document))
        if operation.state is not OperationState.INTERRUPTED:
            return f"already {operation.state}"
        steps = tuple(s if s.state == "done" else s.with_(state="cancelled") for s in operation.steps)
        ended = operation.with_(state=OperationState.CANCELLED, steps=steps, ended=ctx.clock.now())
        if ctx.catalog.replace("operation", name, ended.to_document(), version=stored.version):
            return "closed"
    return "already gone"
