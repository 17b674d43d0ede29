"""Trying a policy on what was measured: the same judgement, on members that are only thought of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cloudms.scaling.base import Decision, LoopState, MemberState, Observed, Sample
from cloudms.scaling.decide import decide
from cloudms.scaling.history import PERCENT
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.store import Look


@dataclass
class _Thought:
    """A group that is only thought of: its members' names with the time since when each serves."""

    since: dict[str, float] = field(default_factory=dict)
    number: int = 0

    def resize(self, size: int, now: float) -> None:
        """Add members, or take the youngest out."""
        while len(self.since) < size:
            self.number += 1
            self.since[f"member-{self.number}"] = now
        while len(self.since) > size:
            del self.since[max(self.since, key=lambda name: (self.since[name], len(name), name))]

    def members(self) -> tuple[MemberState, ...]:
        return tuple(MemberState(name, "in_service", since) for name, since in self.since.items())


def replayed(spec: ScalingSpec, looks: Sequence[Look], group: str) -> Iterator[Decision]:
    """Yield what a policy would have decided at each look; members come and go at once.

    What each member used is what all used together, shared out over those that are thought of, and no more than 100 %.
    """
    thought = _Thought()
    thought.resize(max(next((look.size for look in looks if look.size), spec.min), 1), looks[0].at - spec.warm_up)
    state: LoopState | None = None
    samples: list[Sample] = []
    for look in looks:
        samples += _shared(look, thought)
        while samples and samples[0].time < look.at - spec.window - 2 * spec.interval:
            samples.pop(0)
        observed = Observed(now=look.at, members=thought.members(), samples=tuple(samples))
        decision, state = decide(spec, observed, state, group=group)
        yield decision
        if decision.action in ("out", "in"):
            thought.resize(decision.clamped, look.at)


def _shared(look: Look, thought: _Thought) -> Iterator[Sample]:
    """Yield the samples of a look as the members that are thought of would have measured them."""
    own: dict[tuple[str, float], list[Sample]] = defaultdict(list)
    for sample in look.samples:
        if sample.member:
            own[sample.metric, sample.time].append(sample)
        else:
            yield sample
    for (metric, time), found in own.items():
        each = sum(sample.value for sample in found) / max(len(thought.since), 1)
        value = min(each, 100.0) if metric in PERCENT else each
        for name in thought.since:
            yield Sample(metric, time, value, name, found[0].source)
