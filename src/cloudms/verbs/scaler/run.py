"""`cms scaler run`: scale groups in the foreground, until a person ends it."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from typing import Annotated, Literal

from cloudms.clock import iso
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.errors import Interrupted, NotFound
from cloudms.scaling import ending, store
from cloudms.scaling.controller import Pass
from cloudms.verb import LOCAL, Doc, Names, Short, verb
from cloudms.verbs.scaler.crew import Crew

Groups = Annotated[
    list[str] | None, Doc("group to scale, or several; all that have a policy otherwise"), Short("g"), Names("group")
]
AtEnd = Annotated[Literal["keep", "stop", "delete"], Doc("what becomes of the VMs when it ends")]

WORDS = ("terminate", "quit", "exit")
"""What a person types to end it."""


@verb("scaler", "run", streams=True, doors=LOCAL, example="cms scaler run --group web --at-end keep")
def run(
    ctx: Context,
    *,
    group: Groups = None,
    at_end: AtEnd = "keep",
    seconds: Annotated[float | None, Doc("end by itself after so many seconds")] = None,
    all: Annotated[bool, Doc("also tell of looks after which nothing changed")] = False,  # noqa: A002 (the option's name)
) -> Iterator[str]:
    """Make groups larger and smaller as their policies say, until `terminate` is typed, Ctrl-C or SIGTERM.

    It prints what it decides and does. Where another process scales the same group this one stands by, and goes on when
    that one ends or dies. All that it knows is written down: killed at any moment, the next one continues.

    At the end VMs are kept as they are, or stopped (a later run starts them again), or those that were booted for the
    group deleted and others stopped; balancers end with them.
    """
    for name in group or ():
        groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
        store.find(ctx, name)
    if not group and not store.every(ctx):
        raise NotFound("no group has a policy", hint="cms group policy set NAME FILE")
    crew = Crew(ctx, list(group) if group else None)
    begun = ctx.clock.monotonic()
    try:
        for name, made in crew.heard():
            if made is not None:
                yield from told(ctx, name, made, quiet=not all)
            if typed() or (seconds is not None and ctx.clock.monotonic() - begun >= seconds):
                break
    except (KeyboardInterrupt, Interrupted):
        yield f"{_time(ctx)}  ending: what was begun comes to its next step"
    finally:
        crew.end()
    ctx.stopping.clear()  # what was asked for the end is done all the same
    for name, made in crew.left():
        yield from told(ctx, name, made, quiet=not all)
    for name in crew.names:
        yield from ending.ended(ctx, name, at_end)


def told(ctx: Context, name: str, made: Pass, *, quiet: bool) -> Iterator[str]:
    """Yield lines about one pass of a group."""
    for text in made.news:
        yield f"{_time(ctx)}  {name}: {text}"
    if not quiet and made.decision is not None and made.decision.action == "hold":
        yield f"{_time(ctx)}  {name}: {made.decision.reason}"


def _time(ctx: Context) -> str:
    return (iso(ctx.clock.now()) or "")[11:19]


def typed() -> bool:
    """Whether a person has typed a word that ends it; nobody is waited for."""
    try:
        if sys.stdin is None or sys.stdin.closed or not select.select([sys.stdin], [], [], 0)[0]:
            return False
        line = sys.stdin.readline()
    except (OSError, ValueError):
        return False
    return line.strip().lower() in WORDS
