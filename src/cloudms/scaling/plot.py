"""What a group went through, as a drawing: load above, members below, and a mark for each decision.

chart(...)  ──▶  svg.drawn(chart)       a file that any browser shows
            └─▶  terminal.drawn(chart)  lines of text
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cloudms.record import Record
from cloudms.scaling.base import METRICS, Decision, Sample
from cloudms.scaling.history import History
from cloudms.scaling.spec import ScalingSpec

MOST_POINTS = 1200
"""Points of a line; more than a drawing has pixels say nothing."""

Point = tuple[float, float]


class Line(Record):
    """One metric: `points` are (epoch seconds, value), `unit` what it is in, `limit` where a policy would have it."""

    name: str
    points: tuple[Point, ...]
    unit: str = ""
    limit: float | None = None

    @property
    def top(self) -> float:
        """Return the end of its scale: 100 for percent, else a little above what it reaches."""
        most = max([value for _at, value in self.points] + ([self.limit] if self.limit else []), default=0.0)
        return 100.0 if self.unit == "%" and most <= 100 else most * 1.1 or 1.0


class Mark(Record):
    """A decision: when, what (one of `base.ACTIONS`), its sentence, and the `size` that the group shall have."""

    at: float
    action: str
    text: str
    size: int


class Chart(Record):
    """What is drawn. `sizes` and `wished` are (epoch seconds, members); `least` and `most` the bounds of the group.

    `beside` is drawn in place of what was wished: the sizes of another group on the same load, called `beside_name`.
    """

    title: str
    lines: tuple[Line, ...] = ()
    sizes: tuple[Point, ...] = ()
    wished: tuple[Point, ...] = ()
    marks: tuple[Mark, ...] = ()
    least: int | None = None
    most: int | None = None
    beside: tuple[Point, ...] = ()
    beside_name: str = ""

    @property
    def span(self) -> tuple[float, float]:
        """Return when it begins and ends."""
        times = [at for line in self.lines for at, _value in line.points]
        times += [at for at, _size in (*self.sizes, *self.wished)] + [mark.at for mark in self.marks]
        begin, end = min(times, default=0.0), max(times, default=1.0)
        return begin, max(end, begin + 1.0)

    @property
    def tallest(self) -> float:
        """Return the end of the scale of members."""
        drawn = max([size for _at, size in (*self.sizes, *self.beside)], default=0.0)
        asked = max([count for _at, count in self.wished], default=0.0)
        bound = self.most if self.most is not None else drawn
        return max(drawn, min(asked, max(bound, drawn) * 1.25), min(bound, drawn * 2 + 2), 1.0) * 1.1


def chart(
    title: str, decisions: Iterable[Decision], spec: ScalingSpec | None = None, *, samples: Iterable[Sample] = ()
) -> Chart:
    """Return the chart of the decisions of a group.

    Parameters: `spec`, for bounds and targets; `samples`, what was measured; without them the values are drawn that
    policies told in their decisions.
    """
    told = sorted(decisions, key=lambda decision: decision.at)
    measured = list(samples)
    lines = _measured(measured) if measured else _inputs(told)
    limits = _limits(spec)
    return Chart(
        title=title,
        lines=tuple(
            Line(name=name, unit=unit(name), limit=limits.get(name), points=thinned(points))
            for name, points in lines.items()
            if points
        ),
        sizes=thinned([(decision.at, float(decision.size)) for decision in told]),
        wished=thinned([(decision.at, decision.wished) for decision in told if decision.wished is not None]),
        marks=tuple(
            Mark(at=decision.at, action=decision.action, text=decision.reason, size=decision.clamped)
            for decision in told
            if decision.action != "hold"
        ),
        least=spec.min if spec else None,
        most=spec.max if spec else None,
    )


def unit(metric: str) -> str:
    """Return the short unit of a metric: %, s, /s or nothing."""
    text = METRICS.get(metric, "")
    if text.startswith("%"):
        return "%"
    return "s" if text.startswith("seconds") else "/s" if metric == "requests" else ""


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> tuple[Point, ...]:
    """Return at most about `most` points: of each stretch the first, the lowest, the highest and the last."""
    if len(points) <= most:
        return tuple(points)
    length = -(-len(points) * 4 // most)
    kept: list[Point] = []
    for begin in range(0, len(points), length):
        part = points[begin : begin + length]
        ends = {0, len(part) - 1}
        ends |= {part.index(each(part, key=lambda point: point[1])) for each in (min, max)}
        kept += [part[place] for place in sorted(ends)]
    return tuple(kept)


def _inputs(decisions: Sequence[Decision]) -> Mapping[str, list[Point]]:
    found: dict[str, list[Point]] = defaultdict(list)
    for decision in decisions:
        values = {str(each["metric"]): each.get("value") for each in decision.inputs if each.get("metric")}
        for metric, value in values.items():
            if value is not None:
                found[metric].append((decision.at, float(value)))
    return found


def _measured(samples: Sequence[Sample]) -> Mapping[str, list[Point]]:
    """Return the value of the group at each time, or the mean of its members."""
    found: dict[str, list[Point]] = {}
    history = History(samples, max(sample.time for sample in samples))
    for metric in dict.fromkeys(sample.metric for sample in samples):
        rows = history.values(metric, float("-inf"), float("inf"))
        found[metric] = [(at, values.get("", sum(values.values()) / len(values))) for at, values in rows]
    return found


def _limits(spec: ScalingSpec | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for policy in spec.policies if spec else ():
        plain = policy.to_plain()
        limit = plain.get("above", plain.get("value"))
        if plain.get("metric") and isinstance(limit, int | float) and unit(plain["metric"]) != "/s":
            found.setdefault(plain["metric"], float(limit))
    return found
