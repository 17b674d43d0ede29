"""Plans and actions: a changing verb returns the first, the engine finds the second by name.

A plan is plain data, so that a dry run prints it, an operation stores it and a resume repeats it. An action is the one
function that carries out a kind of step; it MUST be idempotent, because a resume calls it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudms.context import Context
from cloudms.model import Noun, Step
from cloudms.record import Record


class Plan(Record):
    """What a changing verb wants done.

    `verb` is its words (a resume finds the actions through it); `steps` may run in parallel; `question` is asked on a
    terminal before anything happens (empty: not asked); `notes` are sentences shown before (price, lease, what stays);
    `resume` names the operation that is to be taken over, whose open steps these are, instead of beginning a new one.
    """

    verb: str
    summary: str
    steps: tuple[Step, ...]
    question: str = ""
    notes: tuple[str, ...] = ()
    resume: str = ""


class Listing(Record):
    """What a list verb found: `items`, and by cloud the public error of each one that did not answer.

    `fetched` is the age of the oldest part (epoch seconds), None when nothing was cached.
    """

    items: tuple[Noun, ...] = ()
    failed: Mapping[str, Mapping[str, Any]] = {}
    fetched: float | None = None
    cached: bool = False


class Work:
    """One step being carried out: what an action receives."""

    def __init__(self, ctx: Context, step: Step, operation: str) -> None:
        self.ctx = ctx
        self.step = step
        self.operation = operation

    def report(self, text: str) -> None:
        """Tell the person what happens now."""
        self.ctx.progress(self.step.target, text)


class Action(Record):
    """A kind of step.

    `run` carries out one; `prepare` writes the intents of all of a plan before any call, and again before a resume,
    where it keeps those that are there; `withdraw` takes back the
    intent of a step that was cancelled before it began.
    """

    name: str
    run: Callable[[Work], Noun | None]
    prepare: Callable[[Context, Sequence[Step]], Sequence[Step]] | None = None
    withdraw: Callable[[Context, Step], None] | None = None


ACTIONS: dict[str, Action] = {}


def action(
    name: str,
    *,
    prepare: Callable[[Context, Sequence[Step]], Sequence[Step]] | None = None,
    withdraw: Callable[[Context, Step], None] | None = None,
) -> Callable[[Callable[[Work], Noun | None]], Callable[[Work], Noun | None]]:
    """Register the function that carries out steps named `name`."""

    def mark(run: Callable[[Work], Noun | None]) -> Callable[[Work], Noun | None]:
        ACTIONS[name] = Action(name=name, run=run, prepare=prepare, withdraw=withdraw)
        return run

    return mark
