"""A changing verb at the command line: plan, question, progress, results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from cloudms.context import Context
from cloudms.doors.lines import Lines
from cloudms.doors.options import Options
from cloudms.doors.outcome import of_operation, public_plan, results
from cloudms.doors.progress import Progress
from cloudms.doors.screen import Screen, is_terminal, paint, plain
from cloudms.doors.show import Show
from cloudms.doors.table import words_of
from cloudms.engine import execute, rehearse, start
from cloudms.engine.operation import find
from cloudms.engine.plan import Plan
from cloudms.errors import Interrupted
from cloudms.model import Operation
from cloudms.names import compress


def change(ctx: Context, screen: Screen, show: Show, progress: Progress, plan: Plan, options: Options) -> int:
    """Show the plan or carry it out, and return the exit code. Raises: Interrupted and what the engine raises."""
    if options.dry_run:
        dry_run(screen, show, rehearse(ctx, plan))
        return 0
    for note in plan.notes:
        screen.say(note, kind="note")
    if not plan.steps:
        screen.say("nothing to do")
        show.rows([])
        return 0
    if plan.question and not options.yes and is_terminal(sys.stdin):
        ask(screen, plan.question)
    if plan.tells:
        return told(ctx, screen, show, progress, plan)
    operation = start(ctx, plan)
    try:
        operation = _carried_out(ctx, operation)
    except Interrupted:
        progress.close()
        in_part(screen, show, Operation.from_document(find(ctx, operation.name).document))
        raise
    progress.close()
    return ended(screen, show, operation)


def told(ctx: Context, screen: Screen, show: Show, progress: Progress, plan: Plan) -> int:
    """Carry out a plan that says lines while it runs; what became of every target is shown whatever happens."""
    progress.drawn_only = True
    lines = Lines(screen, progress, ctx.stop)
    ctx.heard = lines if screen.output == "table" and plan.tells == "lines" else None
    operation = start(ctx, plan)
    try:
        operation = execute(ctx, operation)
    except Interrupted as stopped:
        progress.close()
        lines.check()
        ended(screen, show, Operation.from_document(find(ctx, operation.name).document), lines=ctx.heard is not None)
        raise stopped from None
    finally:
        progress.close()
        lines.close()
    lines.check()
    return ended(screen, show, operation, lines=ctx.heard is not None)


def dry_run(screen: Screen, show: Show, plan: Plan) -> None:
    """Show what would be done."""
    if screen.output == "table":
        screen.write(_told(plan))
    elif screen.output in ("json", "yaml"):
        show.one(public_plan(plan))
    else:
        show.rows(public_plan(plan)["steps"])


def _told(plan: Plan) -> Iterator[str]:
    """Yield a plan as sentences: what, then a line for steps that differ in their target only, notes and texts."""
    yield f"would {plain(plan.summary)}\n"
    alike: dict[str, list[str]] = {}
    for step in plan.steps:
        given = (key for key, value in step.params.items() if value not in ("", None, {}, []) and key != "token")
        params = " ".join(f"{key}={plain(words_of(step.params[key]))}" for key in given)
        alike.setdefault(f"{step.action}  {plain(step.cloud)}  {params}".rstrip(), []).append(plain(step.target))
    rows = [(compress(targets) if len(targets) > 1 else targets[0], what) for what, targets in alike.items()]
    size = max((len(target) for target, _what in rows), default=0)
    for target, what in rows:
        yield f"  {target:<{size}}  {what}\n"
    for note in plan.notes:
        yield f"  {plain(note)}\n"
    for title, text in plan.shows.items():
        yield f"  {plain(title)}:\n"
        yield from (f"    {plain(line)}\n" for line in text.splitlines())
    yield "nothing was changed (dry run)\n"


def ask(screen: Screen, question: str) -> None:
    """Ask the person at the terminal. Raises: Interrupted unless they say yes."""
    if screen.err is not None:
        screen.err.write(f"{paint('?', 'yellow', screen.err)} {plain(question)} [y/N] ")
        screen.err.flush()
    answer = sys.stdin.readline() if sys.stdin else ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Interrupted("nothing was changed", hint="--yes answers the question")


def _carried_out(ctx: Context, operation: Operation) -> Operation:
    try:
        return execute(ctx, operation)
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped at once; calls on their way may still take effect",
            hint=f"cms operation resume {operation.name}  or  cms sweep",
            details={"operation": operation.name},
        ) from None


def in_part(screen: Screen, show: Show, operation: Operation) -> None:
    """Show what was done before somebody stopped it; a program also gets a line for each that was not."""
    if screen.output != "table":
        ended(screen, show, operation)
    elif done := results(operation):
        show.rows(done)


def ended(screen: Screen, show: Show, operation: Operation, *, lines: bool = False) -> int:
    """Show what became of every step, and return the exit code; after `lines` there is no need for a table."""
    done = results(operation)
    if not lines and (done or screen.output != "table"):
        show.rows(done)
    for error, cloud, targets in _failures(operation, together=not screen.json):
        target = compress(targets) if len(targets) > 1 else targets[0]
        screen.error(error, target=target, cloud=cloud, operation=operation.name)
    problem = of_operation(operation)
    return problem.exit_code if problem else 0


def _failures(operation: Operation, *, together: bool) -> Iterator[tuple[Mapping[str, Any], str, list[str]]]:
    """Yield what went wrong, on which cloud and with what; `together`, those that failed alike are one."""
    alike: dict[tuple[str, ...], tuple[Mapping[str, Any], str, list[str]]] = {}
    for number, step in enumerate(operation.steps):
        if step.state == "done":
            continue
        begun = Interrupted("was not begun", hint=f"cms operation resume {operation.name}")
        error = step.error or begun.to_public()
        key = (
            step.cloud,
            *(str(error.get(part)) for part in ("code", "message", "hint")),
            *([] if together else [str(number)]),
        )
        alike.setdefault(key, (error, step.cloud, []))[2].append(step.target)
    yield from alike.values()
