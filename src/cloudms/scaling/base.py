"""The words of scaling: what is observed, what a policy wishes, and what is decided.

    Observed ──▶ Policy ──▶ Wish | Silence ──▶ clamps ──▶ Decision
    (samples,    (pure)     (a raw number,                (stored, with
     members)                or no data)                   its sentence)

A number is only ever a wish until `decide` has clamped it; where there is no data there is no number, but a `Silence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from cloudms.model import Noun
from cloudms.record import Record

METRICS: Mapping[str, str] = {
    "cpu": "% of a member's vCPUs, 0 to 100",
    "memory": "% of a member's memory in use",
    "requests": "requests per second of the group",
    "queue": "requests that wait",
    "busy": "% of a member's slots that are taken",
    "latency": "seconds, 95th percentile",
    "errors": "% of the requests that failed",
    "tasks": "tasks that wait",
    "command": "any number",
}
"""What can be measured, and in what."""

TOTALS = frozenset(("requests", "queue", "tasks"))
"""Metrics that are sums over the group, so that twice the members have half of it each."""

STATUSES: Mapping[str, str] = {
    "booting": "on its way up; it takes no requests yet",
    "warming": "takes requests, but what it measures is not yet like the others",
    "in_service": "takes requests and votes",
    "sick": "failed its health checks; it is replaced",
    "draining": "ends what it has and gets no more; on its way out",
    "standby": "suspended, saved or stopped, and ready to come back",
}
"""The statuses of a member."""

SEATS = frozenset(("booting", "warming", "in_service", "sick"))
"""Statuses that fill a place of the group: its size is how many members are in one of them."""

ACTIONS: Mapping[str, str] = {
    "hold": "nothing changes",
    "out": "members are added",
    "in": "members are taken out",
    "replace": "sick members are replaced, and the size stays",
}
"""What a decision can be."""


class Sample(NamedTuple):
    """One measurement: `time` in epoch seconds, `value` in the unit of its metric, no `member` for the whole group."""

    metric: str
    time: float
    value: float
    member: str = ""
    source: str = ""


class MemberState(NamedTuple):
    """A member as the controller sees it.

    `status` is one of STATUSES, `since` when it came into it (epoch seconds), `price` what it costs per hour or None
    where nobody knows. A machine that a person stopped is no standby and stands in no list.
    """

    name: str
    status: str = "in_service"
    since: float = 0.0
    price: float | None = None
    protected: bool = False


class Observed(Record):
    """What is known at `now` (epoch seconds): the members, and samples for as long as the longest window of a policy.

    `samples` may be in any order and hold anything a source can say; `decide` sorts out what is no measurement. Who
    keeps a `scaling.history.History` and feeds it hands that over as `history`, and no samples.
    """

    now: float
    members: tuple[MemberState, ...] = ()
    samples: Sequence[Sample] = ()
    history: Any = None

    @property
    def size(self) -> int:
        """Return how many members fill a place."""
        return sum(member.status in SEATS for member in self.members)


class Wish(Record):
    """The raw number of members that a policy would have, and why: `reason` goes on from "3 members, since".

    `value` is what was measured, in the unit of `metric`. An `exact` wish is one of whole members, which no tolerance
    takes for the same as the present size.
    """

    count: float
    reason: str
    metric: str = ""
    value: float | None = None
    exact: bool = False


class Silence(Record):
    """No data, and why: a policy that is silent neither adds nor takes out, and keeps others from taking out."""

    reason: str
    metric: str = ""


class Level(Record):
    """What a metric was over a window: `value` is the mean of the members that vote, or the total of the group.

    `worst` is what it would be if every member that was not measured were at its limit (None: that has no limit), so
    that who is taken out is never missed. `measured` of `of` members told something; the sick belong to those that did
    not. `voting` are the members that count on the way out, `sharing` those that count on the way in, where the new and
    the sick are taken to carry as much as others. `total` is whether `value` is a sum over the group.
    """

    value: float
    worst: float | None
    voting: int
    sharing: int
    measured: int = 1
    of: int = 1
    total: bool = False

    @property
    def partly(self) -> str:
        """Return words for what is missing, or nothing."""
        return f" ({self.measured} of {self.of} members measured)" if self.measured < self.of else ""


class View(Protocol):
    """What a policy sees: the time, what was measured, and what it has learned."""

    @property
    def now(self) -> float:
        """Return the time in epoch seconds."""

    @property
    def memory(self) -> Mapping[str, Any]:
        """Return what policies have learned, by their name."""

    def level(self, metric: str, window: float, *, sustained: bool = False) -> Level | Silence:
        """Return what a metric was over `window` seconds; `sustained`: the samples have to reach over all of it."""


class Policy(Protocol):
    """What wishes for a number of members: a pure function of what is observed, with its settings.

    `name` is how sentences call it, `metrics` what it looks at (none: nothing but the time), `window` the seconds of
    samples that it needs.
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Return how sentences call it."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that it looks at."""

    @property
    def window(self) -> float:
        """Return the seconds of samples that it needs."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings, `kind` left out. Raises: Invalid, naming the setting."""

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them, `kind` left out."""

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return the number of members that what is observed calls for, at a size of `size`."""


@runtime_checkable
class Learner(Protocol):
    """A policy that learns: what it has learned comes back to it as `memory[name]` of the view, and is JSON."""

    def learn(self, observed: View, memory: Any) -> Any:
        """Return what is known after this look, given what was known before (None at first)."""


class LoopState(Record):
    """What the loop remembers from one decision to the next; JSON through `to_document`.

    `now` is the last time it looked; `wishes` are (time, number) of late, for stabilisation; `changes` are (time,
    members added, below 0 taken out) of late, for rate limits and cooldown; `replaced` are the times at which sick
    members were replaced; `memory` is what policies have learned, by their name.
    """

    now: float | None = None
    wishes: tuple[tuple[float, float], ...] = ()
    changes: tuple[tuple[float, int], ...] = ()
    replaced: tuple[float, ...] = ()
    memory: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """Accept JSON lists."""
        own = self.__dict__
        own["wishes"] = tuple((float(at), float(count)) for at, count in self.wishes)
        own["changes"] = tuple((float(at), int(count)) for at, count in self.changes)
        own["replaced"] = tuple(float(at) for at in self.replaced)


class Decision(Noun):
    """What was decided for a group at a time, and why.

    `size` is how many members it had, `wished` the raw number its policies asked for (None: silence), `clamped` what
    came of it: the size it shall have. `action` is hold, out, in or replace; `members` names those that go. `reason`
    is the whole explanation in a sentence; `clamps` has a sentence for each limit that changed the number, `inputs`
    what each policy saw, `problems` what was wrong with the samples or the clock. `outcome` says how the action ended.
    """

    kind: ClassVar[str] = "decision"
    columns: ClassVar[tuple[str, ...]] = ("at", "group", "action", "size", "wished", "clamped", "reason")

    group: str = ""
    at: float = 0.0
    size: int = 0
    wished: float | None = None
    clamped: int = 0
    action: str = "hold"
    members: tuple[str, ...] = ()
    reason: str = ""
    clamps: tuple[str, ...] = ()
    inputs: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    outcome: str = ""

    def __post_init__(self) -> None:
        """Accept JSON lists."""
        own = self.__dict__
        for name in ("members", "clamps", "problems"):
            own[name] = tuple(own[name])
        own["inputs"] = tuple(dict(each) for each in self.inputs)

    @property
    def key(self) -> str:
        """Return the catalog key: one decision of a group at a time."""
        return f"{self.group}/{self.at:.3f}"
