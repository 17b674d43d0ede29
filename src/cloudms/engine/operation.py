"""Operations: a plan written down before its first call, executed step by step, cancelled and resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloudms import registry
from cloudms.catalog.base import Stored
from cloudms.context import Context, not_found
from cloudms.engine.ceilings import check, within
from cloudms.engine.plan import ACTIONS, Plan
from cloudms.engine.process import alive, this_process
from cloudms.engine.runner import Runner, Watch
from cloudms.errors import Conflict, Interrupted, Invalid
from cloudms.garbage import seldom
from cloudms.model import Operation, OperationState, Step


def start(ctx: Context, plan: Plan, *, labels: Mapping[str, str] | None = None) -> Operation:
    """Check the plan's actions, write the intents and then the operation, and return it. Nothing is called yet.

    A plan that resumes takes its operation over instead. Parameters: `labels`, what the operation is found by later,
    written together with it. Raises: what the actions' checks and `take_over` raise.
    """
    if plan.resume:
        return take_over(ctx, plan.resume, labels=labels)
    with seldom, within(ctx, plan.steps):
        steps = _prepared(ctx, plan.steps)
        number = ctx.catalog.counter("operation", add=1)
        operation = Operation(
            name=f"op-{number}",
            verb=plan.verb,
            summary=plan.summary,
            labels=dict(labels or {}),
            steps=steps,
            actor=ctx.actor,
            process=this_process(),
            started=ctx.clock.now(),
        )
        ctx.catalog.put("operation", {operation.name: operation.to_document()})
    return operation


def rehearse(ctx: Context, plan: Plan) -> Plan:
    """Return a plan that is only to be shown, when the ceilings would allow it now. Raises: NoCapacity, ConfigError."""
    check(ctx, plan.steps)
    return plan


def run(ctx: Context, plan: Plan) -> Operation:
    """Write a plan down and execute it."""
    return execute(ctx, start(ctx, plan))


def execute(ctx: Context, operation: Operation, watch: Watch | None = None) -> Operation:
    """Carry out every step that is not done, in parallel per cloud, and return the operation with its records.

    Parameters: `watch` hears the record of every step as it changes, from any thread.
    Raises: Interrupted after Ctrl-C or `operation cancel`, when what had begun has ended; in the words of a step that
    raised it with a hint of its own, since what it was at goes on elsewhere.
    """
    with seldom:
        return _executed(ctx, Runner(ctx, operation, watch))


def _executed(ctx: Context, runner: Runner) -> Operation:
    try:
        runner.run()
    except (KeyboardInterrupt, Interrupted):
        ctx.stop()
        runner.wait()
        ended = runner.end(interrupted=True)
        said = (step.error for step in ended.steps if step.state == "cancelled" and not step.result)
        left = next((error for error in said if error), {})
        raise Interrupted(
            left.get("message") or f"stopped; {_count(ended.steps, 'done')} of {len(ended.steps)} steps were done",
            hint=left.get("hint") or f"cms operation resume {ended.name}  or  cms sweep",
            details={"operation": ended.name},
        ) from None
    except Exception:
        runner.wait()
        runner.end()
        raise
    return runner.end()


def resume(ctx: Context, name: str) -> Operation:
    """Take over an operation whose process is gone and carry out what it left. Raises: NotFound, Conflict, Invalid."""
    return execute(ctx, take_over(ctx, name))


def take_over(ctx: Context, name: str, *, labels: Mapping[str, str] | None = None) -> Operation:
    """Make an operation whose process is gone this process's own, its open steps waiting again, and return it.

    Parameters: `labels`, what is added to its own.
    Raises: NotFound, Conflict (its process lives, or another one was faster), Invalid (done, or its verb is gone),
    NoCapacity (a ceiling).
    """
    stored = find(ctx, name)
    operation = Operation.from_document(stored.document)
    check_open(operation)
    registry.index().find(operation.verb.split())[0].load()
    left = [step for step in operation.steps if step.state != "done"]
    with within(ctx, left, but=name):
        again = (step.with_(state="waiting", error=None) for step in _prepared(ctx, left))
        taken = operation.with_(
            state=OperationState.RUNNING,
            labels={**operation.labels, **(labels or {})},
            process=this_process(),
            cancel=False,
            ended=None,
            steps=tuple(step if step.state == "done" else next(again) for step in operation.steps),
        )
        if not ctx.catalog.replace("operation", name, taken.to_document(), version=stored.version):
            raise Conflict(f"{name} was just taken over by another process", hint="cms operation list")
    return taken


def check_open(operation: Operation) -> None:
    """Refuse to resume what is done or still being worked on. Raises: Invalid, Conflict."""
    name = operation.name
    if operation.state is OperationState.DONE:
        raise Invalid(f"{name} is done", hint=f"cms operation show {name}")
    if operation.state is OperationState.RUNNING and alive(operation.process):
        raise Conflict(f"{name} is still being worked on by {operation.process}", hint=f"cms operation cancel {name}")


def find(ctx: Context, name: str) -> Stored:
    """Return an operation as it is stored. Raises: NotFound."""
    stored = ctx.catalog.get("operation", name)
    if stored is None:
        raise not_found("operation", name, (row.key for row in ctx.catalog.find("operation")), "cms operation list")
    return stored


def cancel(ctx: Context, name: str) -> Operation:
    """Ask the process that works on an operation to stop; steps not begun will not begin. Raises: NotFound."""
    while True:
        stored = find(ctx, name)
        operation = Operation.from_document(stored.document)
        if operation.state is not OperationState.RUNNING:
            return operation
        gone = not alive(operation.process)
        asked = operation.with_(cancel=True, state=OperationState.CANCELLED if gone else operation.state)
        if ctx.catalog.replace("operation", name, asked.to_document(), version=stored.version):
            return asked


def observed(operation: Operation) -> Operation:
    """Return the operation with state `interrupted` when its process is gone."""
    if operation.state is OperationState.RUNNING and not alive(operation.process):
        return operation.with_(state=OperationState.INTERRUPTED)
    return operation


def _prepared(ctx: Context, steps: Iterable[Step]) -> tuple[Step, ...]:
    waiting = list(steps)
    for name in dict.fromkeys(step.action for step in waiting):
        prepare = ACTIONS[name].prepare
        if prepare:
            ready = iter(prepare(ctx, [step for step in waiting if step.action == name]))
            waiting = [next(ready) if step.action == name else step for step in waiting]
    return tuple(waiting)


def _count(steps: Iterable[Step], state: str) -> int:
    return sum(step.state == state for step in steps)
