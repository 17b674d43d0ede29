"""Carrying out the one action that a group has in flight, phase by phase, so that another process can go on with it.

    up:   standbys are woken and new members booted; it ends when each of them serves, or is sick
    down: members that go get no more requests, end what they have, and are put to rest or deleted

Each phase is one operation, which bears the token of the action: whoever goes on finds it, resumes it when its process
died, and begins it when it was never written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cloudms.context import Context
from cloudms.engine import Plan, execute, start
from cloudms.engine.operation import take_over
from cloudms.engine.process import alive
from cloudms.errors import CloudmsError, NotReady
from cloudms.janitor import UNFINISHED, settle
from cloudms.model import Operation, OperationState, Vm
from cloudms.scaling.members import resting, waking
from cloudms.scaling.store import Pending

LABEL = "scaler-action"
VERB = "scaler run"
"""The command that operations of a controller belong to: a resume finds their actions through it."""
_POLL = 0.5


class Grow(Protocol):
    """How new members are booted: as `group scale` boots them."""

    def __call__(self, ctx: Context, name: str, more: int, **fresh: Any) -> Plan:
        """Return the plan that boots so many. Raises: what booting raises."""


def of(ctx: Context, pending: Pending, phase: str) -> Operation | None:
    """Return the operation of a phase as far as it is, or None when it was never written down."""
    rows = ctx.catalog.find("operation", labels={LABEL: f"{pending.token}-{phase}"})
    return Operation.from_document(rows[0].document) if rows else None


def up(ctx: Context, group: str, pending: Pending, grow: Grow, **fresh: str) -> Operation | None:
    """Wake and boot, or go on where it was left. Raises: CloudmsError (nothing was begun)."""
    begun = of(ctx, pending, "up")
    if begun is not None:
        return _go_on(ctx, begun)
    known = (ctx.catalog.get("vm", key) for key in pending.wake)
    asleep = [Vm.from_document(row.document) for row in known if row]
    steps = waking(asleep)
    words = [f"wake {', '.join(vm.name for vm in asleep)}"] * bool(asleep)
    if pending.boot:
        steps += grow(ctx, group, pending.boot, **fresh).steps
        words.append(f"boot {pending.boot}")
    if not steps:
        return None
    return _run(ctx, pending, "up", f"{group}: {' and '.join(words)}", steps)


def down(ctx: Context, group: str, pending: Pending, vms: Sequence[Vm], way: str) -> Operation | None:
    """Put members to rest, or go on where it was left. Raises: CloudmsError (nothing was begun)."""
    begun = of(ctx, pending, "down")
    if begun is not None:
        return _go_on(ctx, begun)
    steps = resting(ctx, vms, way, group)
    names = ", ".join(vm.name for vm in vms)
    return _run(ctx, pending, "down", f"{group}: {way} {names}", steps) if steps else None


def _run(ctx: Context, pending: Pending, phase: str, summary: str, steps: Sequence[object]) -> Operation:
    plan = Plan(verb=VERB, summary=summary, steps=tuple(steps))  # type: ignore[arg-type]
    return execute(ctx, start(ctx, plan, labels={LABEL: f"{pending.token}-{phase}"}))


def _go_on(ctx: Context, begun: Operation) -> Operation:
    """Take over what a process that died has left, and wait for one that lives."""
    while begun.state is OperationState.RUNNING:
        if not alive(begun.process):
            return execute(ctx, take_over(ctx, begun.name))
        ctx.pause(_POLL)
        stored = ctx.catalog.get("operation", begun.name)
        if stored is None:
            raise NotReady(f"{begun.name} is gone")
        begun = Operation.from_document(stored.document)
    return begun


def problems(operation: Operation | None) -> list[str]:
    """Return why steps of an operation failed."""
    steps = operation.steps if operation else ()
    return [f"{step.target}: {step.error['message']}" for step in steps if step.error and step.state == "failed"]


def forget_unbegun(ctx: Context, vms: Sequence[Vm]) -> list[str]:
    """Forget members that were written down by a process that died before anything was begun, and return their names.

    What an operation names is left to it.
    """
    open_ = [vm for vm in vms if not vm.id and _nobody_at(ctx, vm)]
    if not open_:
        return []
    rows = ctx.catalog.find("operation")
    named = {str(step.get("params", {}).get("token", "")) for row in rows for step in row.document["steps"]}
    gone = []
    for vm in open_:
        if vm.token in named:
            continue
        try:
            settle(ctx, UNFINISHED, vm.name, vm.cloud, vm.key, vm.id, "forget it with its leftovers")
        except CloudmsError:
            continue
        gone.append(vm.name)
    return gone


def _nobody_at(ctx: Context, vm: Vm) -> bool:
    stored = ctx.catalog.get("name", vm.name)
    return not (stored and stored.document["token"] == vm.token and alive(stored.document["process"]))
