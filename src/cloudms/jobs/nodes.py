"""Which VMs are the nodes of an experiment: the members of a group, or some that are booted for it and deleted again.

VMs are booted and deleted as by `cms vm boot` and `cms vm delete`: with operations that are written down first, so that
whoever goes on after a kill finds them and ends them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudms import registry
from cloudms.context import Context
from cloudms.engine import Plan, cancel, execute, resume, start
from cloudms.engine.groups import members
from cloudms.engine.process import alive
from cloudms.engine.refresh import natural
from cloudms.errors import CloudmsError, Exists, NotFound, NotReady
from cloudms.jobs.spec import Boot, Spec
from cloudms.model import Experiment, Node, Operation, OperationState, Vm, VmState

OWN = "experiment-id"
"""The label of VMs that were booted for an experiment; its value is the id of that."""
_LEASE = "24h"
"""The lease of such VMs, renewed while the experiment runs: they end without anybody when it is forgotten."""
_RENEW_S = 43200.0
"""Seconds before its end at which that lease is renewed."""
_OVER = (VmState.TERMINATING, VmState.TERMINATED)
_OFF = (VmState.STOPPED, VmState.DEALLOCATED, VmState.SAVED, VmState.SUSPENDED, VmState.ERROR, *_OVER)
"""States in which a VM runs no task and will not by itself."""


def wanted(ctx: Context, spec: Spec) -> list[Vm]:
    """Return the members of the group that an experiment is to run on, those that are on.

    Raises: NotFound (no such group), NotReady (none of its members runs).
    """
    found = members(ctx, spec.group)
    running = [vm for vm in found if vm.state not in _OFF]
    if not running:
        what = "none of its members is running" if found else "it has no members"
        raise NotReady(f"group '{spec.group}' cannot run anything: {what}", hint=f"cms group start {spec.group}")
    return running


def vms_of(ctx: Context, experiment: Experiment, spec: Spec) -> list[Vm]:
    """Return the VMs that an experiment runs on now, as the catalog knows them."""
    if spec.boot is not None:
        return [vm for vm in own(ctx, experiment) if vm.id and vm.state not in _OVER]
    try:
        return [vm for vm in members(ctx, spec.group) if vm.state not in _OFF]
    except NotFound:
        return []


def own(ctx: Context, experiment: Experiment) -> list[Vm]:
    """Return all VMs that were booted for an experiment, also those of which only the intent is written."""
    rows = ctx.catalog.find("vm", labels={OWN: experiment.id})
    return [Vm.from_document(row.document) for row in rows]


def fate(ctx: Context, node: Node) -> str | None:
    """Return why a VM that does not answer will not do so again, empty when its cloud says that it runs.

    None is returned when its cloud cannot be asked: it may be this machine that has lost its network.
    """
    stored = ctx.catalog.get("vm", node.vm)
    if stored is None:
        return f"{node.name} was deleted"
    vm = Vm.from_document(stored.document)
    try:
        seen = ctx.cloud(vm.cloud).get_vm(vm)
    except NotFound:
        return f"{node.name} is gone from its cloud"
    except CloudmsError:
        return None
    return f"{node.name} is {seen.state}{f': {seen.reason}' if seen.reason else ''}" if seen.state in _OFF else ""


def there(ctx: Context, node: Node) -> Vm | None:
    """Return the VM of a node when it still is on, as far as the catalog knows."""
    stored = ctx.catalog.get("vm", node.vm)
    vm = Vm.from_document(stored.document) if stored else None
    return vm if vm and vm.state not in _OFF else None


def boots(ctx: Context, experiment: Experiment) -> list[Operation]:
    """Return the operations that boot the nodes of an experiment, as far as they are, the oldest first.

    Those from before it was run again count as long as nodes are there.
    """
    rows = ctx.catalog.find("operation", labels={OWN: experiment.id})
    every = [Operation.from_document(row.document) for row in rows if row.document["verb"] == "vm boot"]
    every = sorted(every, key=lambda each: (each.started or 0.0, natural(each.name)))
    found = [each for each in every if (each.started or 0.0) >= (experiment.started or 0.0)]
    return found if found or not every or not own(ctx, experiment) else every


def booted(ctx: Context, experiment: Experiment) -> Operation | None:
    """Return the last operation that boots nodes of an experiment, as far as it is, or None when none was begun."""
    return next(reversed(boots(ctx, experiment)), None)


def ready(ctx: Context, experiment: Experiment) -> set[str]:
    """Return the keys of the VMs whose boot has ended well while that of others goes on."""
    steps = (step for begun in boots(ctx, experiment) for step in begun.steps)
    return {str(step.params["token"]) for step in steps if step.state == "done"}


def boot(ctx: Context, experiment: Experiment, wish: Boot) -> Operation | None:
    """Boot the nodes of an experiment, or go on where a process that was killed or stopped has left it.

    None is returned while another process is at it. Raises: what booting raises.
    """
    begun = booted(ctx, experiment)
    if begun is None:
        return execute(ctx, start(ctx, boot_plan(ctx, experiment, wish), labels={OWN: experiment.id}))
    if begun.state in (OperationState.DONE, OperationState.PARTIAL, OperationState.FAILED):
        return begun
    if begun.state is OperationState.RUNNING and alive(begun.process):
        return None
    return resume(ctx, begun.name)


def replace(ctx: Context, experiment: Experiment, wish: Boot, count: int) -> Operation:
    """Boot so many nodes more, in place of others. Raises: what booting raises."""
    number = 1 + sum(len(each.steps) for each in boots(ctx, experiment))
    plan = boot_plan(ctx, experiment, wish.with_(size=count), number)
    return execute(ctx, start(ctx, plan, labels={OWN: experiment.id}))


def boot_plan(ctx: Context, experiment: Experiment, wish: Boot, number: int = 0) -> Plan:
    """Return the plan that boots the nodes of an experiment, the first of them with a `number`.

    Raises: what `cms vm boot` raises.
    """
    options = {
        "count": wish.size,
        "cloud": wish.cloud or None,
        "flavor": wish.flavor or None,
        "label": {"experiment": experiment.name, OWN: experiment.id},
        "ttl": _LEASE,
        "wait": "ready",
    }
    name = f"{experiment.name[:40]}-node" + (f"-{number}" if number else "")
    try:
        return _planned(ctx, "vm boot", wish.image or None, name=name, **options)
    except Exists:  # a single one takes exactly this name
        return _planned(ctx, "vm boot", wish.image or None, name=f"{name}-{experiment.id[:6]}", **options)


def release(ctx: Context, experiment: Experiment) -> list[str]:
    """Delete what was booted for an experiment and return the names of what is left. Raises: what deleting raises."""
    begun = booted(ctx, experiment)
    if begun and begun.state is OperationState.RUNNING and not alive(begun.process):
        cancel(ctx, begun.name)
    found = own(ctx, experiment)
    if not found:
        return []
    plan = _planned(ctx, "vm delete", label={OWN: experiment.id}, missing_ok=True)
    if plan.steps:
        execute(ctx, start(ctx, plan))
    return [vm.name for vm in own(ctx, experiment)]


def renew_short(ctx: Context, vms: Sequence[Vm], now: float) -> str:
    """Give VMs that were booted for an experiment their lease again when half of it is over; return what went wrong."""
    short = [vm for vm in vms if vm.expires and vm.expires - now < _RENEW_S and vm.state == "running"]
    if not short:
        return ""
    try:
        plan = _planned(ctx, "vm renew", [vm.token or vm.name for vm in short], ttl=_LEASE)
        execute(ctx, start(ctx, plan))
    except CloudmsError as error:
        return f"the leases of its nodes could not be renewed: {error.message}"
    return ""


def _planned(ctx: Context, words: str, *args: Any, **options: Any) -> Plan:
    """Return the plan of a verb, which stands above this layer and is found by its words, as a resume finds it."""
    entry = registry.index().exact(words.split())
    if entry is None:
        raise NotFound(f"there is no command '{words}'")
    plan: Plan = entry.load().function(ctx, *args, **options)
    return plan
