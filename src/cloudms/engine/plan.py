"""Plans and actions: a changing verb returns the first, the engine finds the second by name.

A plan is plain data, so that a dry run prints it, an operation stores it and a resume repeats it. An action is the one
function that carries out a kind of step; it MUST be idempotent, because a resume calls it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cloudms.context import Context
from cloudms.errors import CloudmsError
from cloudms.model import Noun, Step
from cloudms.record import Record


class Plan(Record):
    """What a changing verb wants done.

    `verb` is its words (a resume finds the actions through it); `steps` may run in parallel; `question` is asked on a
    terminal before anything happens (empty: not asked); `notes` are sentences shown before (price, lease, what stays);
    `resume` names the operation that is to be taken over, whose open steps these are, instead of beginning a new one;
    `shows` are texts by title that a dry run shows and that are written down nowhere (user data); `tells` whether its
    steps leave a result also where they fail or are stopped (`records`), or say lines of text before that (`lines`).
    """

    verb: str
    summary: str
    steps: tuple[Step, ...]
    question: str = ""
    notes: tuple[str, ...] = ()
    resume: str = ""
    shows: Mapping[str, str] = {}
    tells: str = ""


class Listing(Record):
    """What a list verb found: `items`, and by cloud the public error of each one that did not answer.

    `asked` names the clouds that were asked where a person named them by themselves (empty: those of the command);
    `fetched` is the age of the oldest part (epoch seconds), None when nothing was cached.
    """

    items: tuple[Noun, ...] = ()
    failed: Mapping[str, Mapping[str, Any]] = {}
    asked: tuple[str, ...] = ()
    fetched: float | None = None
    cached: bool = False


class Work:
    """One step being carried out: what an action receives; `begun` is the monotonic time when it, or its batch, was."""

    def __init__(self, ctx: Context, step: Step, operation: str, begun: float | None = None) -> None:
        self.ctx = ctx
        self.step = step
        self.operation = operation
        self.begun = ctx.clock.monotonic() if begun is None else begun

    def report(self, text: str) -> None:
        """Tell the person what happens now."""
        self.ctx.progress(self.step.target, text)


class Demand(Record):
    """What a step adds to what runs: so many VMs, and so much per hour (None: its price is not known)."""

    vms: int = 0
    price: float | None = 0.0


class Left(Record):
    """What is left of a step that failed or was stopped: its error, and the noun that tells of it."""

    error: CloudmsError
    noun: Noun


Outcome = Noun | CloudmsError | Left | None
"""How a step of a batch has ended; None when it goes on alone."""


class Batch(Record):
    """How steps share calls.

    `of` names the batch that a step is in, empty for none. `run` carries out what the open steps of one batch share,
    given all steps of the batch in order, those that are done included; it yields every open one with its outcome as
    soon as it is known. An error that it raises is that of all steps it has not yielded yet.
    """

    of: Callable[[Step], str]
    run: Callable[[Sequence[Work], Sequence[Step]], Iterator[tuple[Work, Outcome]]]


class Action(Record):
    """A kind of step.

    `run` carries out one; `prepare` writes the intents of all of a plan before any call, and again before a resume,
    where it keeps those that are there (a step then has the state in which it was left); `withdraw` takes back the
    intent of a step that was cancelled before it began; `batch` lets several share calls; `demand` tells what ceilings
    have to allow.
    """

    name: str
    run: Callable[[Work], Noun | Left | None]
    prepare: Callable[[Context, Sequence[Step]], Sequence[Step]] | None = None
    withdraw: Callable[[Context, Step], None] | None = None
    batch: Batch | None = None
    demand: Callable[[Context, Step], Demand] | None = None


ACTIONS: dict[str, Action] = {}
F = TypeVar("F", bound=Callable[[Work], Noun | Left | None])


def action(
    name: str,
    *,
    prepare: Callable[[Context, Sequence[Step]], Sequence[Step]] | None = None,
    withdraw: Callable[[Context, Step], None] | None = None,
    batch: Batch | None = None,
    demand: Callable[[Context, Step], Demand] | None = None,
) -> Callable[[F], F]:
    """Register the function that carries out steps named `name`."""

    def mark(run: F) -> F:
        ACTIONS[name] = Action(name=name, run=run, prepare=prepare, withdraw=withdraw, batch=batch, demand=demand)
        return run

    return mark
