"""From what is observed to a decision: pure, and the same for the controller, the simulation and a dry run.

Each policy wishes, the largest number wins, clamps limit it one after the other, and the decision explains itself. No
data never takes a member out; a clock that jumps neither ends nor begins a window.
"""

from __future__ import annotations

from typing import Any

from cloudms.record import Record
from cloudms.scaling import choice
from cloudms.scaling.base import SEATS, Decision, Learner, LoopState, Observed, Policy, Silence, Wish
from cloudms.scaling.clamps import CLAMPS, Frame
from cloudms.scaling.look import Look, look
from cloudms.scaling.replacing import HOUR, replaced
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.words import count_of, listed, number, span

_MOST = 1e9
"""Members that a wish can have, so that a metric without a measure does no harm."""
_JUMP = 10
"""Intervals without a look after which the clock has jumped, or nobody looked."""


class Asked(Record):
    """What the policies asked for together: the number, why, and which of them had no data."""

    count: float
    reason: str
    exact: bool
    silent: tuple[str, ...]
    inputs: tuple[dict[str, Any], ...]
    known: bool


def decide(
    spec: ScalingSpec, observed: Observed, state: LoopState | None = None, *, group: str = "", busy: str = ""
) -> tuple[Decision, LoopState]:
    """Return what shall happen to a group, and what to remember for the next time.

    Parameters: `busy`, words for the action in flight ("web-2 boots"): while there is one nothing else begins.
    Raises: Invalid (the time of the observation is none).
    """
    before = state or LoopState()
    before, jumped = _steady(spec, before, observed.now)
    seen = look(spec, observed, before)
    size = sum(member.status in SEATS for member in seen.members)
    if before.now is None or jumped:
        before = before.with_(wishes=(*before.wishes, (seen.now, float(size))))
    asked = _asked(spec, seen, size)
    frame = Frame(
        spec=spec, now=seen.now, size=size, members=seen.members, state=before, wish=asked.count, exact=asked.exact,
        silent=bool(asked.silent),
    )  # fmt: skip
    wanted, clamped, told = _clamped(frame)
    names, waits = replaced(spec, seen.members, before, seen.now)
    told += [each for each in (_new(spec, seen), waits) if each]
    action = "replace" if names else "out" if clamped > size else "in" if clamped < size else "hold"
    if busy and action != "hold":
        action, names = "hold", ()
        told.append(f"{busy}, and one thing is done at a time")
    if action in ("hold", "replace"):
        clamped = size
    elif action == "out":
        names = choice.comers(seen.members, clamped - size)
    else:
        names = choice.leavers(seen.members, size - clamped)
    decision = Decision(
        name=group or "group", group=group, at=seen.now, size=size, wished=asked.count if asked.known else None,
        clamped=clamped, action=action, members=names, clamps=tuple(told), inputs=asked.inputs,
        problems=(*jumped, *seen.problems),
        reason=_sentence(spec, action, size, clamped, names, asked, told),
    )  # fmt: skip
    return decision, _remembered(spec, before, seen, wanted, decision)


def _asked(spec: ScalingSpec, seen: Look, size: int) -> Asked:
    """Ask every policy; the largest number wins."""
    wishes: list[tuple[Policy, Wish]] = []
    silent: list[str] = []
    inputs = []
    for policy in spec.policies:
        found = policy.wish(seen, size)
        inputs.append(_input(policy, found))
        if isinstance(found, Silence):
            silent.append(found.reason)
        else:
            wishes.append((policy, found))
    if not wishes:
        reason = "; ".join(silent) or "it has no policy"
        return Asked(
            count=float(size), reason=reason, exact=True, silent=tuple(silent), inputs=tuple(inputs), known=False
        )
    policy, best = max(wishes, key=lambda each: each[1].count)
    return Asked(
        count=min(max(best.count, 0.0), _MOST),
        reason=best.reason + (f" ({policy.name})" if len(spec.policies) > 1 else ""),
        exact=best.exact,
        silent=tuple(silent),
        inputs=tuple(inputs),
        known=True,
    )


def _input(policy: Policy, found: Wish | Silence) -> dict[str, Any]:
    own: dict[str, Any] = {"policy": policy.name, "metric": found.metric, "reason": found.reason}
    if isinstance(found, Wish):
        own |= {"value": found.value, "count": min(found.count, _MOST)}
    return own


def _clamped(frame: Frame) -> tuple[float, int, list[str]]:
    """Return the number as it was asked for (whole, silence heeded), what clamps leave of it, and their sentences."""
    count, wanted, told = frame.wish, frame.wish, []
    for name, clamp in CLAMPS:
        count, sentence = clamp(frame, count)
        told += [sentence] if sentence else []
        if name == "whole":
            wanted = count
    return wanted, int(count), told


def _new(spec: ScalingSpec, seen: Look) -> str:
    """Return a sentence about the members that serve and do not vote yet, or nothing."""
    names = [name for name in seen.serving if name not in seen.voters]
    if not names:
        return ""
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'} new and not asked yet (warm-up {span(spec.warm_up)})"


def _steady(spec: ScalingSpec, state: LoopState, now: float) -> tuple[LoopState, tuple[str, ...]]:
    """Return the state with its times moved along when the clock has jumped, and a sentence about the jump."""
    if state.now is None:
        return state, ()
    gap = now - state.now
    if 0 <= gap <= max(_JUMP * spec.interval, 60.0):
        return state, ()
    if gap < 0:
        told = f"the clock went back by {span(-gap)}"
    else:
        told = f"nothing looked for {span(gap)}, or the clock went ahead"
    move = gap - spec.interval  # so long it is from look to look, whatever the clock says
    moved = state.with_(
        now=now,
        wishes=tuple((at + move, count) for at, count in state.wishes),
        changes=tuple((at + move, count) for at, count in state.changes),
        replaced=tuple(at + move for at in state.replaced),
    )
    return moved, (told,)


def _remembered(spec: ScalingSpec, before: LoopState, seen: Look, wanted: float, decision: Decision) -> LoopState:
    """Return the state after a decision; what no window reaches any more is dropped."""
    now = seen.now
    changes, went = before.changes, before.replaced
    if decision.action in ("out", "in"):
        changes = (*changes, (now, decision.clamped - decision.size))
    if decision.action == "replace":
        went = (*went, *(now for _name in decision.members))
    reach = max(
        [spec.window, spec.cooldown_up, spec.cooldown_down, *(rate.per for rate in (*spec.rate_up, *spec.rate_down))]
    )
    memory = {
        policy.name: policy.learn(seen, before.memory.get(policy.name))
        for policy in spec.policies
        if isinstance(policy, Learner)
    }
    return LoopState(
        now=now,
        wishes=_needed(spec, (*before.wishes, (now, wanted)), now),
        changes=tuple(each for each in changes if each[0] > now - reach),
        replaced=tuple(at for at in went if at > now - max(HOUR, spec.replace_per)),
        memory=memory,
    )


def _needed(spec: ScalingSpec, wishes: tuple[tuple[float, float], ...], now: float) -> tuple[tuple[float, float], ...]:
    """Return the wishes that a window can still ask for: those that no later one makes pointless."""
    kept: list[tuple[float, float]] = []
    most, least = float("-inf"), float("inf")
    for at, count in reversed(wishes):
        largest = count > most and at > now - spec.stabilise_down
        smallest = count < least and at > now - spec.stabilise_up
        if largest or smallest or at == now:
            kept.append((at, count))
        most, least = max(most, count), min(least, count)
    return tuple(reversed(kept))


def _sentence(
    spec: ScalingSpec, action: str, size: int, clamped: int, names: tuple[str, ...], asked: Asked, told: list[str]
) -> str:
    """Return the whole explanation."""
    members = count_of(clamped, "member")
    head = {
        "out": f"grows from {size} to {members}",
        "in": f"shrinks from {size} to {members}, without {listed(names)}",
        "replace": f"replaces {listed(names)} and stays at {members}",
        "hold": f"stays at {members}",
    }[action]
    if action == "hold" and size >= spec.max and asked.count > size * (1 + spec.tolerance) + 1e-9:
        head = f"stays at its most, {members}, though the load asks for more"
    if asked.known and asked.count != clamped:
        why = f"{number(asked.count)} {'is' if asked.count == 1 else 'are'} wanted, since {asked.reason}"
    else:
        why = asked.reason
    silent = [reason for reason in asked.silent if reason not in why]
    return f"{head}: " + "; ".join([why, *silent, *told])
