"""`cms group watch`: how a group scales, while it does."""

from __future__ import annotations

from collections.abc import Iterator

from cloudms.context import Context
from cloudms.engine import groups
from cloudms.scaling import store
from cloudms.scaling.base import Decision
from cloudms.scaling.turn import holder
from cloudms.verb import verb
from cloudms.verbs.group.look import OneGroup

_LOOK = 0.5


@verb("group", "watch", streams=True, columns=Decision.columns, example="cms group watch web")
def watch(ctx: Context, name: OneGroup) -> Iterator[Decision]:
    """Show every decision about a group as it is made, and on a terminal how its members are, until Ctrl-C.

    It only looks on: `cms scaler run` decides, here or in another process.
    """
    groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    store.find(ctx, name)
    last = ctx.clock.now()
    if not holder(ctx, name):
        ctx.progress(name, f"nobody scales it now: cms scaler run --group {name}")
    while not ctx.stopping.is_set():
        scaler = store.find(ctx, name)
        for decision in store.decisions(ctx, name, last):
            if decision.at > last:
                yield decision
                last = decision.at
        for member in scaler.roster().values():
            ctx.progress(member.name, member.status.replace("_", " ") + (f": {member.reason}" if member.reason else ""))
        ctx.pause(_LOOK)
