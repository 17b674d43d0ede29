"""`cms group history`: what was decided about the size of a group, and why, in sentences."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Listing, groups
from cloudms.scaling import store
from cloudms.scaling.base import Decision
from cloudms.units import duration
from cloudms.verb import Doc, Least, Short, verb
from cloudms.verbs.group.look import OneGroup

_COLUMNS = ("at", "action", "size", "wished", "clamped", "reason", "outcome")


@verb("group", "history", newest=True, columns=_COLUMNS, example="cms group history web --limit 20")
def history(
    ctx: Context,
    name: OneGroup,
    *,
    since: Annotated[str | None, Doc("only the last so long, such as 2h or 1d")] = None,
    all: Annotated[bool, Doc("also looks after which nothing changed")] = False,  # noqa: A002 (the option's name)
    limit: Annotated[int, Doc("at most so many; 0 shows all"), Least(0), Short("n")] = 50,
) -> Listing:
    """Show what was decided about the size of a group and why, the newest first.

    Looks after which nothing changed are left out, except the first of several that say the same: at its most although
    the load asks for more, no data, something wrong with what was measured.
    """
    groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    begin = ctx.clock.now() - duration(since) if since else 0.0
    found = store.decisions(ctx, name, begin)
    shown = list(reversed(found if all else telling(found)))
    return Listing(items=tuple(shown[:limit] if limit > 0 else shown))


def telling(found: list[Decision]) -> list[Decision]:
    """Return the decisions that say something new: changes, and the first look of each reason to stay."""
    kept: list[Decision] = []
    last = ""
    for decision in found:
        head = decision.reason.partition(":")[0]
        said = head if decision.action == "hold" else ""
        said += " no data" * (decision.wished is None) + "; ".join(each.partition(" ")[2] for each in decision.problems)
        if decision.action != "hold" or said != last:
            kept.append(decision)
        last = said
    return kept
