"""Changes that were begun: how far they came, to cancel and to resume."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine import operation as engine
from cloudms.errors import Invalid
from cloudms.model import Noun, Operation, OperationState, Step
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.limits import Limit

OneOperation = Annotated[str, Doc("name of the operation, such as op-7"), Names("operation")]


@verb("operation", "list", newest=True, columns=Operation.columns, example="cms operation list --state interrupted")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only operations in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    state: Annotated[str | None, Doc("only in this state: running, done, failed, interrupted …")] = None,
    limit: Limit = 50,
) -> Listing:
    """List changes, the newest first; one whose process died is interrupted."""
    wanted = _state(state) if state else None
    rows = ctx.catalog.find("operation", text=" ".join(words), newest=True, limit=0 if wanted else max(limit, 0))
    found = [engine.observed(Operation.from_document(row.document)) for row in rows]
    items = [operation for operation in found if wanted in (None, operation.state)]
    return Listing(items=tuple(items[:limit] if limit > 0 else items))


def _state(word: str) -> OperationState:
    try:
        return OperationState(word)
    except ValueError:
        raise Invalid(f"'{word}' is not a state of operations", hint=f"one of: {', '.join(OperationState)}") from None


@verb("operation", "show", example="cms operation show op-1")
def show(ctx: Context, name: OneOperation) -> Operation:
    """Show everything that is known of one change, with the record of every step."""
    return engine.observed(Operation.from_document(engine.find(ctx, name).document))


@verb("operation", "cancel", changes=True, columns=Operation.columns, example="cms operation cancel op-1")
def cancel(ctx: Context, name: OneOperation) -> Plan:
    """Ask for a running change to stop: what has begun ends its current call, nothing else begins."""
    operation = show(ctx, name)
    if operation.state not in (OperationState.RUNNING, OperationState.INTERRUPTED):
        raise Invalid(f"{name} is {operation.state}: there is nothing to cancel", hint=f"cms operation show {name}")
    steps = (Step(action="operation.cancel", cloud="", target=name),)
    return Plan(verb="operation cancel", summary=f"cancel {name}: {operation.summary}", steps=steps)


@action("operation.cancel")
def _cancel(work: Work) -> Noun:
    return engine.cancel(work.ctx, work.step.target)


@verb("operation", "resume", changes=True, example="cms operation resume op-1")
def resume(ctx: Context, name: OneOperation) -> Plan:
    """Carry out what a change left undone when it failed, was stopped or its process died.

    Steps that are done are not repeated; each of the others is safe to repeat.
    """
    operation = Operation.from_document(engine.find(ctx, name).document)
    engine.check_open(operation)
    left = tuple(step.with_(**_FRESH) for step in operation.steps if step.state != "done")
    return Plan(
        verb=operation.verb,
        summary=f"resume {name}: {operation.summary}",
        steps=left or operation.steps,
        notes=(f"{len(left)} of {len(operation.steps)} steps are left of {name}",),
        resume=name,
    )


_FRESH: dict[str, Any] = {"state": "waiting", "error": None}
