"""A changing verb at the command line: plan, question, progress, results."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from cloudms.context import Context
from cloudms.doors.options import Options
from cloudms.doors.outcome import of_operation, public_plan, results
from cloudms.doors.progress import Progress
from cloudms.doors.screen import Screen, is_terminal, paint, plain
from cloudms.doors.show import Show
from cloudms.doors.table import words_of
from cloudms.engine import execute, start
from cloudms.engine.plan import Plan
from cloudms.errors import Interrupted
from cloudms.model import Operation


def change(ctx: Context, screen: Screen, show: Show, progress: Progress, plan: Plan, options: Options) -> int:
    """Show the plan or carry it out, and return the exit code. Raises: Interrupted and what the engine raises."""
    if options.dry_run:
        dry_run(screen, show, plan)
        return 0
    for note in plan.notes:
        screen.say(note, kind="note")
    if not plan.steps:
        screen.say("nothing to do")
        show.rows([])
        return 0
    if plan.question and not options.yes and is_terminal(sys.stdin):
        ask(screen, plan.question)
    operation = _carried_out(ctx, plan)
    progress.close()
    return ended(screen, show, operation)


def dry_run(screen: Screen, show: Show, plan: Plan) -> None:
    """Show what would be done."""
    if screen.output == "table":
        screen.write(_told(plan))
    elif screen.output in ("json", "yaml"):
        show.one(public_plan(plan))
    else:
        show.rows(public_plan(plan)["steps"])


def _told(plan: Plan) -> Iterator[str]:
    """Yield a plan as sentences: what, then a line per step."""
    yield f"would {plain(plan.summary)}\n"
    size = max((len(step.target) for step in plan.steps), default=0)
    for step in plan.steps:
        given = (key for key, value in step.params.items() if value not in ("", None, {}, []) and key != "token")
        params = " ".join(f"{key}={plain(words_of(step.params[key]))}" for key in given)
        yield f"  {plain(step.target):<{size}}  {step.action}  {plain(step.cloud)}  {params}".rstrip() + "\n"
    for note in plan.notes:
        yield f"  {plain(note)}\n"
    yield "nothing was changed (dry run)\n"


def ask(screen: Screen, question: str) -> None:
    """Ask the person at the terminal. Raises: Interrupted unless they say yes."""
    if screen.err is not None:
        screen.err.write(f"{paint('?', 'yellow', screen.err)} {plain(question)} [y/N] ")
        screen.err.flush()
    answer = sys.stdin.readline() if sys.stdin else ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Interrupted("nothing was changed", hint="--yes answers the question")


def _carried_out(ctx: Context, plan: Plan) -> Operation:
    operation = start(ctx, plan)
    try:
        return execute(ctx, operation)
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped at once; calls on their way may still take effect",
            hint=f"cms operation resume {operation.name}  or  cms sweep",
            details={"operation": operation.name},
        ) from None


def ended(screen: Screen, show: Show, operation: Operation) -> int:
    """Show what became of every step, and return the exit code."""
    done = results(operation)
    if done or screen.output != "table":
        show.rows(done)
    for step in operation.steps:
        if step.state == "done":
            continue
        error = step.error or Interrupted("was not begun", hint=f"cms operation resume {operation.name}").to_public()
        screen.error(error, target=step.target, cloud=step.cloud, operation=operation.name)
    problem = of_operation(operation)
    return problem.exit_code if problem else 0
