"""One look at a group: who its members are, who of them votes, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

from cloudms.errors import Invalid
from cloudms.record import Record
from cloudms.scaling.base import STATUSES, Level, LoopState, MemberState, Observed, Silence
from cloudms.scaling.history import SLACK, History
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.words import count_of, listed


class Look(Record):
    """What policies see of an `Observed`; `problems` are what was wrong with it.

    `serving` are the members that take requests, `voters` those of them that are warm, `lost` those that are sick, each
    with the time since when; `shrank` is when members last were taken out.
    """

    now: float
    members: tuple[MemberState, ...]
    voters: Mapping[str, float]
    serving: Mapping[str, float]
    history: History
    lost: Mapping[str, float] = {}
    shrank: float = -inf
    memory: Mapping[str, Any] = {}
    problems: tuple[str, ...] = ()

    def level(self, metric: str, window: float, *, sustained: bool = False) -> Level | Silence:
        """Return what a metric was over `window` seconds, of the members that vote."""
        return self.history.level(
            metric,
            window,
            self.now,
            self.voters,
            sustained=sustained,
            serving=self.serving,
            lost=self.lost,
            after=self.shrank,
        )


def look(spec: ScalingSpec, observed: Observed, state: LoopState) -> Look:
    """Return what policies see. Raises: Invalid (the time is none)."""
    now = observed.now
    if not isinstance(now, int | float) or not isfinite(now):
        raise Invalid(f"{now!r} is no time to observe at", hint="give the seconds since 1970")
    history = observed.history if observed.history is not None else History(observed.samples, now)
    members, problems = _members(observed.members)
    serving = _serving(members, now)
    return Look(
        now=now,
        members=members,
        voters=_voters(members, serving, now, spec.warm_up),
        serving=serving,
        history=history,
        lost={member.name: member.since for member in members if member.status == "sick"},
        shrank=_shrank(spec, state, now),
        memory=state.memory,
        problems=(*problems, *history.problems),
    )


def _shrank(spec: ScalingSpec, state: LoopState, now: float) -> float:
    """Return until when samples do not show yet that members were taken out: those of the same look are among them."""
    last = max((at for at, change in state.changes if change < 0 and at <= now), default=-inf)
    return last + min(spec.interval / 2, 1.0)


def _members(members: tuple[MemberState, ...]) -> tuple[tuple[MemberState, ...], list[str]]:
    """Return each member once, and only those whose status is one."""
    named = {member.name: member for member in members}
    odd = [member.name for member in named.values() if member.status not in STATUSES]
    problems = []
    if len(named) < len(members):
        problems.append(f"{count_of(len(members) - len(named), 'member')} told of twice: the last counts")
    if odd:
        problems.append(f"{listed(odd)} left out: of no status that is known")
    if not problems:
        return members, problems
    return tuple(member for member in named.values() if member.status in STATUSES), problems


def _serving(members: tuple[MemberState, ...], now: float) -> dict[str, float]:
    """Return who serves, and since when; who came in the future came before the clock went back."""
    latest = now + SLACK
    return {
        member.name: member.since if member.since <= latest else 0.0
        for member in members
        if member.status in ("in_service", "warming")
    }


def _voters(
    members: tuple[MemberState, ...], serving: Mapping[str, float], now: float, warm_up: float
) -> Mapping[str, float]:
    """Return who is in service and warm, and since when."""
    new = {member.name for member in members if member.status == "warming"}
    if not warm_up and not new:
        return serving
    warm = ((name, since + warm_up if since else 0.0) for name, since in serving.items() if name not in new)
    return {name: since for name, since in warm if since <= now}
