"""The contract of a metric source.

Rules for every source:

- It MUST return samples only of what was measured: no number is no load of zero, and silence is an answer.
- It MUST name in `metrics` all that it can measure; a group asks it for those of them that its policies look at.
- It MAY keep what it needs from look to look (a counter's last value); it is made anew when a controller begins.
- It MUST raise only the errors of `cloudms.errors`; then there are no samples, and the reason is written down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from cloudms import registry
from cloudms.context import Context
from cloudms.errors import CloudmsError, Invalid, NotFound
from cloudms.model import Vm
from cloudms.scaling.base import METRICS, Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.spec import ScalingSpec


class View:
    """What a source may look at: the group's name, its members that are on, its balancer (or None), and the time."""

    def __init__(self, ctx: Context, group: str, vms: Sequence[Vm], balancer: Any = None) -> None:
        self.ctx = ctx
        self.group = group
        self.vms = vms
        self.balancer = balancer
        self.now = ctx.clock.now()


class Source(ABC):
    """One source. Parameters: `settings`, what stands below its name in the policy."""

    name: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ()
    """What it can measure, as `scaling.base.METRICS` names it."""
    KEYS: ClassVar[tuple[str, ...]] = ()
    """Its settings beside `metrics`, which narrows what it measures."""

    def __init__(self, settings: Section) -> None:
        settings.known("metrics", *self.KEYS)
        self.settings = settings
        listed = settings.plain.get("metrics") or self.metrics
        chosen = list(listed) if isinstance(listed, list | tuple) else [listed]
        wrong = [str(each) for each in chosen if each not in self.metrics]
        if wrong:
            raise settings.wrong(f"cannot be '{wrong[0][:60]}'", f"it measures {', '.join(self.metrics)}", "metrics")
        self.chosen = tuple(chosen)

    @abstractmethod
    def samples(self, view: View) -> list[Sample]:
        """Measure once. Raises: CloudmsError."""

    def sample(self, view: View, metric: str, value: float, member: str = "", at: float | None = None) -> Sample:
        """Return one number as a sample of this source."""
        return Sample(metric, view.now if at is None else at, float(value), member, self.name)


USUAL: Mapping[str, str] = {
    "cpu": "cloud", "memory": "cloud", "requests": "balancer", "queue": "balancer", "busy": "balancer",
    "latency": "balancer", "errors": "balancer",
}  # fmt: skip
"""The source of a metric of which the policy does not say another."""


def sources_of(spec: ScalingSpec) -> list[Source]:
    """Return the sources of a policy: those it names, and the usual ones of other metrics that it looks at.

    Raises: Invalid (no such source, a setting of one, a metric that nothing measures).
    """
    found = [_made(name, settings) for name, settings in spec.sources.items()]
    measured = {metric for source in found for metric in source.chosen}
    for metric in spec.metrics:
        if metric in measured:
            continue
        usual = USUAL.get(metric)
        if usual is None:
            text = f"nothing measures '{metric}', which a policy looks at"
            raise Invalid(text, hint=_hint(metric), details={"path": ["sources"]})
        if usual == "balancer" and not spec.balancer:
            text = f"'{metric}' is measured by the balancer, and the policy has none"
            raise Invalid(text, hint="write balancer: and its settings", details={"path": ["balancer"]})
        found.append(_made(usual, {"metrics": [each for each in spec.metrics if USUAL.get(each) == usual]}))
        measured |= set(found[-1].chosen)
    return found


def _made(name: str, settings: Any) -> Source:
    section = Section({"x": settings}).section("x").plain if settings else {}
    place = Section(section, ("sources", name))
    try:
        cls = registry.load("cloudms.sources", name)
    except NotFound as error:
        raise Section({}, ("sources",)).wrong("is no source", error.hint, name) from None
    made: Source = cls(place)
    return made


def _hint(metric: str) -> str:
    return {
        "tasks": "sources: {experiment: {name: NAME}}",
        "command": "sources: {command: {run: 'PROGRAM ARGUMENT'}}",
    }.get(metric, f"known metrics: {', '.join(METRICS)}")


def gathered(found: Iterable[Source], view: View) -> tuple[list[Sample], list[str]]:
    """Ask sources one after the other, and return what they measured and what went wrong."""
    samples: list[Sample] = []
    problems = []
    for source in found:
        try:
            samples += [each for each in source.samples(view) if each.metric in source.chosen]
        except CloudmsError as error:
            problems.append(f"{source.name}: {error.message}")
    return samples, problems
