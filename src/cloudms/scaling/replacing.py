"""Replacement of sick members without a storm: few at a time, and fewer when it does not help."""

from __future__ import annotations

from cloudms.scaling.base import LoopState, MemberState
from cloudms.scaling.choice import sick
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.words import count_of, listed, span

HOUR = 3600.0


def hourly(spec: ScalingSpec, size: int) -> int:
    """Return how many replacements an hour may have: each member once, and a small group a few times."""
    return max(3 * spec.replace, size)


def replaced(
    spec: ScalingSpec, members: tuple[MemberState, ...], state: LoopState, now: float
) -> tuple[tuple[str, ...], str]:
    """Return the names of the members to replace now, and a sentence about those that have to wait."""
    found = sick(members)
    ill = [member.name for member in found if not member.protected]
    kept = [member.name for member in found if member.protected]
    told = f"{listed(kept)} {'is' if len(kept) == 1 else 'are'} sick and protected, and left alone" if kept else ""
    if not ill:
        return (), told
    size = sum(member.status in ("booting", "warming", "in_service", "sick") for member in members)
    lately = sum(at > now - spec.replace_per for at in state.replaced)
    within_hour = sum(at > now - HOUR for at in state.replaced)
    room = min(spec.replace - lately, hourly(spec, size) - within_hour)
    names = tuple(ill[: max(room, 0)])
    waiting = ill[len(names) :]
    if waiting:
        if hourly(spec, size) <= within_hour + len(names):
            why = f"{count_of(within_hour + len(names), 'replacement')} within an hour did not help"
        else:
            why = f"at most {count_of(spec.replace, 'member')} is replaced within {span(spec.replace_per)}"
            why = why if spec.replace == 1 else why.replace(" is ", " are ")
        told = f"{listed(waiting)} {'is' if len(waiting) == 1 else 'are'} sick and waits, since {why}"
        told = told if len(waiting) == 1 else told.replace("and waits", "and wait")
    return names, told
