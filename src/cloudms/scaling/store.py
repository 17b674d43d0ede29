"""What a controller writes down: how a group scales, how its members are, what was measured, and what was decided.

All of it is in the catalog, so that whoever goes on after a kill knows what the one before knew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from cloudms.context import Context
from cloudms.engine.refresh import event
from cloudms.errors import Conflict, NotFound
from cloudms.model import Group
from cloudms.record import Record
from cloudms.scaling.base import Decision, LoopState, MemberState, Sample
from cloudms.scaling.spec import ScalingSpec

KIND, LOOKS, DECISIONS = "scaler", "look", "decision"
_PAGE = 1000
_MOST_DECISIONS = 5000
"""Decisions of a group that are kept."""
_KEPT_S = 24 * 3600.0
"""Seconds for which looks are kept, so that a policy can be tried on them."""


class Member(Record):
    """A member as the controller knows it: its `status` (one of `base.STATUSES`, or `off`) `since` when, and why.

    `off` is what a person stopped: it is nobody's standby, and stands in no list that a policy sees. `begun` is when it
    began to come up, `ill` since when it does not answer, `failed` when waking it failed last (epoch seconds, or None).
    `hooked` tells that the hook before service has run, `ran` since when it ran already when it was first seen.
    """

    name: str
    key: str
    cloud: str = ""
    status: str = "booting"
    since: float = 0.0
    reason: str = ""
    begun: float | None = None
    ill: float | None = None
    failed: float | None = None
    hooked: bool = False
    ran: float | None = None
    price: float | None = None
    protected: bool = False

    def moved(self, seconds: float) -> Member:
        """Return it with all its times moved."""
        times = {name: getattr(self, name) for name in ("since", "begun", "ill", "failed", "ran")}
        return self.with_(**{name: time + seconds for name, time in times.items() if time is not None})

    def state(self) -> MemberState:
        """Return it as policies see it."""
        return MemberState(self.name, self.status, self.since, self.price, self.protected)


class Pending(Record):
    """The one action of a group that is in flight.

    `kind` is out, in, replace, roll or stock; `phase` up (members are woken and booted), down (members end what they
    have and go) or done. `wake` are keys of standbys, `boot` how many are booted, `gone` the keys of those that go,
    `tries` how often its phase was begun. `decision` is the catalog key of what it comes from.
    """

    token: str
    kind: str
    phase: str = "up"
    wake: tuple[str, ...] = ()
    boot: int = 0
    gone: tuple[str, ...] = ()
    begun: float = 0.0
    decision: str = ""
    said: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept JSON lists."""
        own = self.__dict__
        for name in ("wake", "gone", "said"):
            own[name] = tuple(own[name])


class Scaler(Record):
    """The controller of a group: its `spec` as plain data, and what it remembers.

    `state` is that of the loop, `members` by key, `pending` the action in flight; `roll` what all members are to be
    like (`group roll`); `process` the one that drives it or did last, `seen` when it last looked (epoch seconds),
    `wait` until when it does nothing because something failed, `failures` how often in a row.
    """

    name: str
    spec: Mapping[str, Any]
    state: Mapping[str, Any] = {}
    members: Mapping[str, Mapping[str, Any]] = {}
    pending: Mapping[str, Any] | None = None
    roll: Mapping[str, Any] | None = None
    process: str = ""
    seen: float | None = None
    wait: float | None = None
    failures: int = 0
    asleep: bool = False

    @property
    def loop(self) -> LoopState:
        """Return what the loop remembers."""
        return LoopState.from_document(self.state)

    def roster(self) -> dict[str, Member]:
        """Return the members by key."""
        return {key: Member.from_document(each) for key, each in self.members.items()}

    def settings(self) -> ScalingSpec:
        """Return how it scales. Raises: Invalid (a newer version wrote it)."""
        return ScalingSpec.from_document(self.spec)


class Look(Record):
    """One look at a group: `at` (epoch seconds), what was measured, and how many members had which status."""

    at: float
    samples: tuple[Sample, ...] = ()
    statuses: Mapping[str, int] = {}
    problems: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return how many members took requests then."""
        return sum(self.statuses.get(status, 0) for status in ("in_service", "warming"))


def get(ctx: Context, group: str) -> Scaler | None:
    """Return the controller of a group, or None where it has no policy."""
    stored = ctx.catalog.get(KIND, group)
    return Scaler.from_document(stored.document) if stored else None


def find(ctx: Context, group: str) -> Scaler:
    """Return the controller of a group. Raises: NotFound."""
    found = get(ctx, group)
    if found is None:
        hint = f"cms group policy set {group} FILE"
        raise NotFound(f"the group '{group}' has no policy", hint=hint)
    return found


def every(ctx: Context) -> list[Scaler]:
    """Return every group that has a policy."""
    return [Scaler.from_document(row.document) for row in ctx.catalog.find(KIND)]


def change(
    ctx: Context, group: str, to: Callable[[Scaler], Scaler], *, mine: str = "", action: str = "", text: str = ""
) -> Scaler:
    """Store what `to` makes of a controller as it stands now, and return it.

    Parameters: `mine`, the process that must still have it; with `action` an event tells of the change.
    Raises: NotFound (its policy is gone), Conflict (another process has taken it over).
    """
    while True:
        stored = ctx.catalog.get(KIND, group)
        if stored is None:
            find(ctx, group)
            continue
        now = Scaler.from_document(stored.document)
        if mine and now.process != mine:
            raise Conflict(f"another process scales the group '{group}' now", hint=f"cms group watch {group}")
        after = to(now)
        if after == now:
            return now
        told = event(ctx, action, Group(name=group), text) if action else None
        if ctx.catalog.replace(KIND, group, after.to_document(), version=stored.version, event=told):
            return after


def put(ctx: Context, group: str, spec: ScalingSpec) -> Scaler:
    """Give a group a policy, or another one; what it remembers stays."""
    plain = spec.to_plain()
    told = event(ctx, "group.policy", Group(name=group), f"{len(spec.policies)} policies, {spec.min} to {spec.max}")
    fresh = Scaler(name=group, spec=plain)
    if ctx.catalog.insert(KIND, group, fresh.to_document(), event=told):
        return fresh
    return change(
        ctx, group, lambda now: now.with_(spec=plain, wait=None, failures=0), action="group.policy", text="changed"
    )


def drop(ctx: Context, group: str) -> None:
    """Forget the policy of a group with all that was measured and decided."""
    for kind in (LOOKS, DECISIONS):
        while rows := [row.key for row in _below(ctx, kind, group, limit=_PAGE)]:
            ctx.catalog.delete(kind, rows)
    ctx.catalog.delete(KIND, [group])


def put_look(ctx: Context, group: str, look: Look) -> None:
    """Keep what was seen at a time; what is no number is kept as text."""
    samples = [[*each[:2], each.value if isfinite(each.value) else str(each.value), *each[3:]] for each in look.samples]
    document = {**look.to_document(), "name": group, "samples": samples}
    ctx.catalog.put(LOOKS, {_key(group, look.at): document})


def looks(ctx: Context, group: str, since: float = 0.0) -> list[Look]:
    """Return the looks at a group from a time on (epoch seconds), the oldest first."""
    return [_look(row.document) for row in _below(ctx, LOOKS, group, since=since)]


def _look(document: Mapping[str, Any]) -> Look:
    samples = tuple(
        Sample(str(metric), float(time), float(value), str(member), str(source))
        for metric, time, value, member, source in document["samples"]
    )
    return Look.from_document({**document, "samples": samples, "problems": tuple(document.get("problems", ()))})


def put_decision(ctx: Context, decision: Decision) -> None:
    """Keep a decision."""
    ctx.catalog.put(DECISIONS, {_key(decision.group, decision.at): decision.to_document()})


def ended(ctx: Context, key: str, outcome: str) -> None:
    """Write down how what was decided has ended."""
    stored = ctx.catalog.get(DECISIONS, key)
    if stored is not None:
        ctx.catalog.put(DECISIONS, {key: {**stored.document, "outcome": outcome}})


def decision_key(decision: Decision) -> str:
    """Return the catalog key of a decision."""
    return _key(decision.group, decision.at)


def decisions(ctx: Context, group: str, since: float = 0.0) -> list[Decision]:
    """Return the decisions about a group from a time on (epoch seconds), the oldest first."""
    return [Decision.from_document(row.document) for row in _below(ctx, DECISIONS, group, since=since)]


def prune(ctx: Context, group: str, window: float) -> None:
    """Forget looks that nobody needs any more, and the oldest of too many decisions."""
    oldest = ctx.clock.now() - max(window * 2, _KEPT_S)
    gone = [row.key for row in _below(ctx, LOOKS, group, limit=_PAGE) if row.document["at"] < oldest]
    ctx.catalog.delete(LOOKS, gone)
    keys = [row.key for row in _below(ctx, DECISIONS, group)]
    ctx.catalog.delete(DECISIONS, keys[: max(len(keys) - _MOST_DECISIONS, 0)])


def _key(group: str, at: float) -> str:
    """Return a key that sorts by time."""
    return f"{group}/{at:017.6f}"


def _below(ctx: Context, kind: str, group: str, *, since: float = 0.0, limit: int = 0) -> Iterator[Any]:
    """Yield the rows of a group from a time on, in their order, at most `limit`."""
    prefix, after = f"{group}/", _key(group, max(since - 1e-6, 0.0))
    left = limit or -1
    while rows := ctx.catalog.find(kind, after=after, limit=_PAGE):
        for row in rows:
            if not row.key.startswith(prefix) or left == 0:
                return
            yield row
            left -= 1
        after = rows[-1].key


def counted(members: Sequence[Member]) -> dict[str, int]:
    """Return how many members have which status."""
    found: dict[str, int] = {}
    for member in members:
        found[member.status] = found.get(member.status, 0) + 1
    return found
