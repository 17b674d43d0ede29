"""Clamps: each may change the number that was asked for, and then adds the sentence that says so.

    wish ─▶ silence ─▶ tolerance ─▶ whole ─▶ stabilisation ─▶ cooldown ─▶ rates ─▶ cost ─▶ min and max ─▶ protection

They are pure and know nothing of policies. Only what a person stated as `min` and `max` is stronger than silence.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from cloudms.record import Record
from cloudms.scaling.base import LoopState, MemberState
from cloudms.scaling.choice import may_go
from cloudms.scaling.spec import Rate, ScalingSpec
from cloudms.scaling.words import count_of, number, span

ROUNDING = 1e-6
"""What a wish may be above a whole number and still be that number."""


class Frame(Record):
    """What clamps look at: the specification, the time, the members and their number, what was done of late.

    `wish` is the raw number, `exact` whether it is one of whole members, `silent` whether some policy had no data.
    """

    spec: ScalingSpec
    now: float
    size: int
    members: tuple[MemberState, ...]
    state: LoopState
    wish: float
    exact: bool = False
    silent: bool = False


Clamp = Callable[[Frame, float], tuple[float, str]]
"""Takes the number so far; returns the number from here on, and a sentence if it changed."""


def silence(frame: Frame, count: float) -> tuple[float, str]:
    """Take nobody out while a policy has no data."""
    if frame.silent and count < frame.size:
        return frame.size, "nobody is taken out while data is missing"
    return count, ""


def tolerance(frame: Frame, count: float) -> tuple[float, str]:
    """Take a number near the size for the size itself."""
    if frame.exact or not frame.size or count == frame.size:
        return count, ""
    off = abs(count - frame.size) / frame.size
    if off <= frame.spec.tolerance + 1e-9:
        allowed = f"{number(frame.spec.tolerance * 100)}%"
        return frame.size, f"{number(count)} is within the tolerance of {allowed} of {frame.size}"
    return count, ""


def whole(frame: Frame, count: float) -> tuple[float, str]:
    """Round up to whole members: nobody is overloaded for a fraction."""
    return max(ceil(count - ROUNDING), 0), ""


def stabilisation(frame: Frame, count: float) -> tuple[float, str]:
    """Follow the most careful number of the window: the largest on the way in, the smallest on the way out."""
    spec, now = frame.spec, frame.now
    if count < frame.size and spec.stabilise_down:
        recent = [asked for at, asked in frame.state.wishes if at > now - spec.stabilise_down]
        most = min(max([count, *recent]), frame.size)
        if most > count:
            told = f"as many as {number(max(recent))} were asked for within {span(spec.stabilise_down)}"
            return most, f"{told}, so {_going(frame, most)}"
    if count > frame.size and spec.stabilise_up:
        recent = [asked for at, asked in frame.state.wishes if at > now - spec.stabilise_up]
        least = max(min([count, *recent]), frame.size)
        if least < count:
            told = f"as few as {number(min(recent))} were enough within {span(spec.stabilise_up)}"
            return least, f"{told}, so {_coming(frame, least)}"
    return count, ""


def cooldown(frame: Frame, count: float) -> tuple[float, str]:
    """Rest after a change: no more out soon after the last out, no in soon after any change."""
    way, rest = ("out", frame.spec.cooldown_up) if count > frame.size else ("in", frame.spec.cooldown_down)
    if count == frame.size or not rest:
        return count, ""
    changes = [at for at, change in frame.state.changes if way == "in" or change > 0]
    left = max(changes) + rest - frame.now if changes else 0.0
    if left > 0:
        return frame.size, f"the last change is {span(frame.now - max(changes))} ago, and the cooldown is {span(rest)}"
    return count, ""


def rates(frame: Frame, count: float) -> tuple[float, str]:
    """Go no faster than every rate allows, reckoned from the size at the beginning of its time."""
    out = count > frame.size
    limits = frame.spec.rate_up if out else frame.spec.rate_down
    found, told = count, ""
    for rate in limits if count != frame.size else ():
        bound = _bound(frame, rate, out=out)
        if (bound < found) if out else (bound > found):
            word = "added" if out else "taken out"
            amount = f"{number(rate.count)}%" if rate.percent else number(rate.count)
            found, told = bound, f"at most {amount} may be {word} within {span(rate.per)}"
    return found, told


def _bound(frame: Frame, rate: Rate, *, out: bool) -> float:
    """Return the size that a rate allows, never on the other side of the present one."""
    recent = [change for at, change in frame.state.changes if at > frame.now - rate.per]
    begin = frame.size - sum(recent)
    step = max(ceil(begin * rate.count / 100 - ROUNDING), 1) if rate.percent else rate.count
    return max(begin + step, frame.size) if out else min(begin - step, frame.size)


def cost(frame: Frame, count: float) -> tuple[float, str]:
    """Add no member that would make the group cost more per hour than its ceiling."""
    ceiling = frame.spec.max_cost
    if not ceiling or count <= frame.size:
        return count, ""
    running = [member for member in frame.members if member.status != "standby"]
    prices = [member.price for member in frame.members if member.price is not None]
    if not prices:
        return frame.size, f"no price is known, so the ceiling of {number(ceiling)} per hour cannot be kept with more"
    each = max(prices)
    present = sum(each if member.price is None else member.price for member in running)
    room = int((ceiling - present) / each + ROUNDING) if each > 0 else count
    allowed = frame.size + max(room, 0)
    if allowed < count:
        told = f"more than {count_of(allowed, 'member')} would cost more than {number(ceiling)} per hour"
        return allowed, f"{told} ({number(present)} now, {number(each)} for one more)"
    return count, ""


def bounds(frame: Frame, count: float) -> tuple[float, str]:
    """Stay between min and max, whatever else is said."""
    spec = frame.spec
    if count > spec.max:
        return spec.max, f"the group has at most {count_of(spec.max, 'member')}"
    if count < spec.min:
        return spec.min, f"the group has at least {count_of(spec.min, 'member')}"
    return count, ""


def protection(frame: Frame, count: float) -> tuple[float, str]:
    """Take out only members that are not protected."""
    if count >= frame.size:
        return count, ""
    kept = frame.size - len(may_go(frame.members))
    if kept > count:
        names = sum(member.protected for member in frame.members)
        return min(kept, frame.size), f"{count_of(names, 'member')} {'is' if names == 1 else 'are'} protected"
    return count, ""


CLAMPS: tuple[tuple[str, Clamp], ...] = (
    ("silence", silence),
    ("tolerance", tolerance),
    ("whole", whole),
    ("stabilisation", stabilisation),
    ("cooldown", cooldown),
    ("rates", rates),
    ("cost", cost),
    ("bounds", bounds),
    ("protection", protection),
)
"""All of them, in the order in which they are asked."""


def _going(frame: Frame, count: float) -> str:
    return "nobody is taken out yet" if count == frame.size else f"only {number(frame.size - count)} are taken out"


def _coming(frame: Frame, count: float) -> str:
    return "nobody is added yet" if count == frame.size else f"only {number(count - frame.size)} are added"
