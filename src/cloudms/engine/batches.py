"""Many VMs with one request: what the steps of a boot share on clouds that can make a whole batch.

A batch has a token; its VMs are TOKEN.1 to TOKEN.N, in the order of their steps. It is asked for as a whole, always the
same, so that a request whose reply was lost, or whose process was killed, is found again and never doubled. The ids of
all its VMs are stored in one write: as long as none of them is known, asking again is right; afterwards it is not, and
a VM that was deleted since stays deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cloudms import names
from cloudms.clouds.base import Batch as BatchRole
from cloudms.clouds.base import Cloud
from cloudms.context import Context
from cloudms.engine import userdata
from cloudms.engine.keys import identity
from cloudms.engine.making import drop, first_boot, is_final, provide_image, spec, unwanted
from cloudms.engine.plan import Batch, Outcome, Work
from cloudms.engine.refresh import event, merged
from cloudms.engine.reserve import new_token, release, reserve
from cloudms.engine.vms import check_cancel, current, too_late, went_wrong
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound
from cloudms.model import Step, Vm, VmSpec, VmState

LARGEST = 500
"""VMs of one request."""

_RENAMED = 5
"""How often names that others have taken on the cloud are replaced by free ones."""
_UNSEEN = 60.0
"""Seconds during which a VM that was just made may be missing from what the cloud says."""
_FIRST_LOOK, _LAST_LOOK = 0.25, 2.0
"""Seconds between two looks at VMs that start: at the beginning, and in the end."""

Pair = tuple[Work, Vm]


def tokens(ctx: Context, cloud: Cloud, count: int) -> list[str]:
    """Return the creation tokens of `count` VMs of one boot: those of batches where the cloud has them."""
    if count == 1 or cloud.supports(BatchRole):
        return [new_token(ctx) for _ in range(count)]
    batches = -(-count // LARGEST)
    sizes = [count // batches + (nth < count % batches) for nth in range(batches)]
    return [f"{token}.{nth}" for size in sizes for token in [new_token(ctx)] for nth in range(1, size + 1)]


def batch_of(step: Step) -> str:
    """Return the token of the batch that a step is in, or an empty string."""
    return str(step.params["token"]).rpartition(".")[0]


def boot(works: Sequence[Work], whole: Sequence[Step]) -> Iterator[tuple[Work, Outcome]]:
    """Make the VMs of a batch, or find those an earlier attempt made, and wait until they run if that is wanted.

    One that is to be ready goes on alone as soon as it runs.
    """
    ctx, first = works[0].ctx, works[0].step
    cloud: Any = ctx.cloud(first.cloud)
    rows = {step.params["token"]: ctx.catalog.get("vm", step.params["token"]) for step in whole}
    pairs = []
    for work in works:
        row = rows[work.step.params["token"]]
        if row:
            pairs.append((work, Vm.from_document(row.document)))
        else:
            yield work, Invalid(f"{work.step.target} was swept meanwhile", hint="boot it again")
    if not pairs:
        return
    known = any(row and row.document["id"] for row in rows.values()) or any(step.state == "done" for step in whole)
    made = _found(cloud, pairs) if known else _created(cloud, pairs, whole)
    pairs, outcomes = _recorded(cloud, pairs, made)
    yield from outcomes
    if first.params["wait"] == "none":
        yield from pairs
        return
    for work, vm in _running(cloud, pairs):
        yield work, (None if isinstance(vm, Vm) and first.params["wait"] == "ready" else vm)


BOOT = Batch(of=batch_of, run=boot)


def _found(cloud: Any, pairs: Sequence[Pair]) -> dict[str, Vm]:
    """Return what the cloud says of the VMs of a batch that it has made."""
    seen: dict[str, Vm] = cloud.get_vms([vm for _work, vm in pairs])
    return seen


def _created(cloud: Any, pairs: list[Pair], whole: Sequence[Step]) -> dict[str, Vm]:
    """Ask for a whole batch and return its VMs by token; `pairs` get other names where theirs are taken.

    Raises: what the cloud does; intents of which nothing has come are forgotten.
    """
    provide_image(pairs[0][0], cloud, pairs[0][1].image)
    for work, _vm in pairs:
        work.report("creating")
    try:
        for left in reversed(range(_RENAMED)):
            try:
                made = cloud.create_vms(_specs(pairs, whole), pairs[0][0].report)
                return {vm.token: vm for vm in made}
            except Exists:
                if not left or not _renamed(cloud, pairs):
                    raise
    except CloudmsError as error:
        _undo(cloud, pairs, error)
        raise
    raise AssertionError("the last attempt returns or raises")


def _specs(pairs: Sequence[Pair], whole: Sequence[Step]) -> list[VmSpec]:
    """Return the request for a whole batch; a VM that was given up meanwhile keeps its place in it."""
    work, vm = pairs[0]
    model = spec(work.step, vm, identity(work.ctx, work.step.params["key"]), first_boot(work.step, vm))
    called = {vm.token: vm.name for _work, vm in pairs}
    found = []
    for step in whole:
        token = step.params["token"]
        name = called.get(token, step.target)
        found.append(model.with_(name=name, hostname=names.hostname(name), token=token))
    return found


def _renamed(cloud: Cloud, pairs: list[Pair]) -> bool:
    """Give free names to those whose names VMs on the cloud have that this catalog does not know; whether any has."""
    ctx = pairs[0][0].ctx
    own = {vm.token for _work, vm in pairs}
    taken = {seen.name for seen in cloud.list_vms() if seen.token not in own and seen.state is not VmState.TERMINATED}
    changed: list[Vm] = []
    for place, (work, vm) in enumerate(pairs):
        if vm.name in taken:
            free = names.series(vm.name, 1, lambda name: name in taken or ctx.catalog.get("name", name) is not None)[0]
            name = reserve(ctx, free, vm.token, cloud=vm.cloud, exact=False)
            release(ctx, vm.name, vm.token)
            changed.append(vm.with_(name=name))
            pairs[place] = (work, changed[-1])
    _save(pairs[0][0], changed, f"its name was taken on {cloud.name}")
    return bool(changed)


def _undo(cloud: Any, pairs: Sequence[Pair], error: CloudmsError) -> None:
    """After a failed request, forget the intents, unless the cloud may have made something of them."""
    work, vms = pairs[0][0], [vm for _work, vm in pairs]
    try:
        seen = cloud.get_vms(vms)
    except CloudmsError:
        seen = None
    if seen == {} and is_final(error):
        drop(work.ctx, vms, "vm.boot", f"failed: {error.message}")
        return
    now = work.ctx.clock.now()
    kept = [merged(vm, seen[vm.key], now) if seen and vm.key in seen else vm.with_(reason=error.message) for vm in vms]
    _save(work, kept, f"failed: {error.message}")


def _recorded(
    cloud: Cloud, pairs: Sequence[Pair], made: dict[str, Vm]
) -> tuple[list[Pair], list[tuple[Work, CloudmsError]]]:
    """Store the ids of all VMs in one write; return those that are there, and the errors of those that are not.

    What was deleted while it was in the making is deleted on the cloud as well.
    """
    ctx, now = pairs[0][0].ctx, pairs[0][0].ctx.clock.now()
    there: list[Pair] = []
    gone: list[tuple[Work, CloudmsError]] = []
    for work, vm in pairs:
        seen = made.pop(vm.token, None)
        if ctx.catalog.get("vm", vm.key) is None:
            if seen is not None:
                cloud.delete_vm(seen)
            gone.append((work, unwanted(vm.name)))
        elif seen is not None:
            there.append((work, merged(vm, seen, now)))
        elif vm.id:
            there.append((work, vm))
        else:
            drop(ctx, [vm], "vm.boot", "its cloud no longer has it")
            gone.append((work, NotFound(f"{vm.name} was deleted meanwhile", hint="boot it again if it is wanted")))
    for seen in made.values():
        if seen.state not in (VmState.TERMINATING, VmState.TERMINATED) and ctx.catalog.get("vm", seen.key) is None:
            cloud.delete_vm(seen)  # given up before the batch was asked for, and made with it all the same
    fresh = [vm for _work, vm in there]
    if there:
        _save(there[0][0], fresh, "created")
    for vm in fresh:
        userdata.drop(vm.token)
    return there, gone


def _running(cloud: Any, pairs: Sequence[Pair]) -> Iterator[tuple[Work, Vm | CloudmsError]]:
    """Yield each VM when it runs, or its error when it cannot any more; all are looked at with one call at a time."""
    clock, params = pairs[0][0].ctx.clock, pairs[0][0].step.params
    begun, pause = clock.monotonic(), _FIRST_LOOK
    limit = VmState.PENDING.deadline or 600.0 if params["timeout"] is None else params["timeout"]
    left = {vm.key: (work, vm) for work, vm in pairs}
    while True:
        yield from _settled(left)
        if not left:
            return
        if clock.monotonic() - begun >= limit:
            for work, vm in left.values():
                yield work, too_late(vm, limit)
            return
        work = next(iter(left.values()))[0]
        check_cancel(work)
        work.ctx.pause(pause)
        pause = min(pause * 1.3, _LAST_LOOK)
        seen = cloud.get_vms([vm for _work, vm in left.values()])
        for key, (work, vm) in list(left.items()):
            if key in seen:
                left[key] = (work, merged(vm, seen[key], clock.now()))
            elif clock.monotonic() - begun > _UNSEEN:
                yield left.pop(key)[0], NotFound(f"{vm.name} has disappeared from {cloud.name}", hint="cms vm list")


def _settled(left: dict[str, Pair]) -> Iterator[tuple[Work, Vm | CloudmsError]]:
    """Yield and take out what runs, stored in one write, and what cannot run any more."""
    ended = [(work, vm) for work, vm in left.values() if vm.state is VmState.RUNNING]
    if ended:
        ended = [(work, current(work.ctx, vm)) for work, vm in ended]
        _save(ended[0][0], [vm for _work, vm in ended], "running")
    for _work, vm in ended:
        yield left.pop(vm.key)[0], vm
    for work, vm in list(left.values()):
        wrong = went_wrong(vm, (VmState.RUNNING,))
        if wrong:
            _save(work, [vm], wrong.message)
            yield left.pop(vm.key)[0], wrong
        else:
            work.report(f"{vm.state}, waiting for running")


def _save(work: Work, vms: Sequence[Vm], text: str) -> None:
    """Store rows together with the events that changed them."""
    events = [event(work.ctx, "vm.boot", vm, text, work.operation) for vm in vms]
    work.ctx.catalog.put("vm", {vm.key: vm.to_document() for vm in vms}, events=events)
