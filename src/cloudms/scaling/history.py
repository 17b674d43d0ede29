"""Measurements by metric and time: what is none is sorted out and told, a level over a window is read from the rest.

One `History` can be made of all samples at once, or be kept and fed: what it says is the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Any

from cloudms.scaling.base import TOTALS, Level, Sample, Silence
from cloudms.scaling.words import count_of, span

PERCENT = frozenset(("cpu", "memory", "busy", "errors"))
"""Metrics of which a member can have no more than 100."""
SLACK = 5.0
"""Seconds that a sample may be ahead of the clock that looks at it: hosts differ by as much."""
ENOUGH = 2 / 3
"""The part of a window that samples have to reach over for what is sustained."""


class Row:
    """What was measured of one metric at one time, by member; its sum is reckoned once."""

    __slots__ = ("time", "total", "values")

    def __init__(self, time: float) -> None:
        self.time = time
        self.values: dict[str, float] = {}
        self.total: float | None = None

    def sum(self) -> float:
        """Return the sum over all members."""
        if self.total is None:
            self.total = sum(self.values.values())
        return self.total


class Series:
    """The rows of one metric, the oldest first."""

    __slots__ = ("rows", "times")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.rows: list[Row] = []

    def row(self, time: float) -> Row:
        """Return the row of a time, made when it is not there."""
        if not self.times or time > self.times[-1]:
            place = len(self.times)
        else:
            place = bisect_left(self.times, time)
            if self.times[place] == time:
                return self.rows[place]
        made = Row(time)
        self.times.insert(place, time)
        self.rows.insert(place, made)
        return made

    def between(self, since: float, until: float) -> tuple[int, list[Row]]:
        """Return the rows from `since` to `until`, both included, and how many are older."""
        first = bisect_left(self.times, since)
        return first, self.rows[first : bisect_right(self.times, until)]

    def forget(self, before: float) -> None:
        """Drop the rows that are older."""
        gone = bisect_left(self.times, before)
        if gone:
            del self.times[:gone], self.rows[:gone]


class History:
    """Samples that are measurements, by metric."""

    def __init__(self, samples: Iterable[Any] = (), now: float | None = None) -> None:
        self._series: dict[str, Series] = {}
        self.problems: tuple[str, ...] = ()
        if now is not None:
            self.problems = self.add(samples, now)

    def add(self, samples: Iterable[Any], now: float) -> tuple[str, ...]:
        """Take in what are measurements, and return a sentence for each kind of what was none."""
        faults: Counter[tuple[str, str]] = Counter()
        row: Row | None = None
        metric, time = "", -1.0
        limit = now + SLACK
        for sample in samples:
            metric_of, at, value = sample.metric, sample.time, sample.value
            plain = type(value) is float and type(at) is float and 0.0 <= value < inf and -inf < at <= limit
            fault = "" if plain else _fault(sample, limit)
            if fault:
                faults[fault, str(metric_of)] += 1
                continue
            if row is None or at != time or metric_of != metric:
                metric, time = metric_of, at
                row = self._series.setdefault(metric, Series()).row(time)
            values = row.values
            if value > 100.0 and metric in PERCENT:
                faults["counted as 100 % (they were above)", metric] += value > 101.0
                value = 100.0
            known = values.get(sample.member)
            if known is not None:  # of two at one time the larger counts: nobody goes because of the smaller
                faults["left out: they came twice", metric] += 1
                value = max(value, known)
            values[sample.member] = value
            row.total = None
        told = sorted((metric, fault, count) for (fault, metric), count in faults.items() if count)
        return tuple(f"{count_of(count, 'sample')} of {metric or 'no metric'} {fault}" for metric, fault, count in told)

    def forget(self, before: float) -> None:
        """Drop what is older than a time."""
        for series in self._series.values():
            series.forget(before)

    def values(self, metric: str, since: float, until: float) -> list[tuple[float, Mapping[str, float]]]:
        """Return (time, value by member) of a metric between two times."""
        _older, rows = self._series.get(metric, Series()).between(since, until)
        return [(row.time, row.values) for row in rows]

    def level(
        self, metric: str, window: float, now: float, voters: Mapping[str, float], *, sustained: bool = False,
        serving: Mapping[str, float] | None = None, lost: Mapping[str, float] | None = None, after: float = -inf,
    ) -> Level | Silence:  # fmt: skip
        """Return what a metric was in the last `window` seconds.

        Parameters: `voters`, the members that count and from when on each does; `sustained`, whether samples have to
        reach over the whole window; `serving`, those that share the load and since when (the voters without it);
        `lost`, those that no longer do and until when they did; `after`, when members last were taken out, before which
        the others had less to do than now.
        """
        series = self._series.get(metric, Series())
        older, rows = series.between(now - window, now + SLACK)
        if not rows:
            return Silence(metric=metric, reason=f"{metric} was not measured within {span(window)}")
        if metric not in TOTALS and rows[0].time <= after:
            older, rows = 0, [row for row in rows if row.time > after]
            if not rows:
                return Silence(metric=metric, reason=f"{metric} was not measured since the group shrank")
        if sustained:
            begin = rows[0].time
            if older and begin - series.times[older - 1] <= 2 * window:
                begin = series.times[older - 1]  # a sample stands for the time since the one before
            if now - begin < ENOUGH * window:
                return Silence(metric=metric, reason=f"{metric} is measured for {span(now - begin)} of {span(window)}")
        serving, lost = voters if serving is None else serving, lost or {}
        if not voters and metric not in TOTALS:
            return Silence(metric=metric, reason="no member votes yet")
        group = [row.values[""] for row in rows if "" in row.values]
        if group:
            value, sharing = sum(group) / len(group), len(serving) + len(lost)
            return Level(value=value, worst=value, voting=len(voters), sharing=sharing, total=metric in TOTALS)
        if not voters:
            return Silence(metric=metric, reason="no member votes yet")
        return _of_members(metric, rows, voters, serving, lost)


def _of_members(
    metric: str, rows: list[Row], voters: Mapping[str, float], serving: Mapping[str, float], lost: Mapping[str, float]
) -> Level | Silence:
    """Return the level over the members that vote: what all had to do at each time, shared out over those of now."""
    count, of = len(voters), len(voters) + len(lost)
    full = count == len(serving) and all(row.values.keys() == voters.keys() for row in rows)
    if full and max(voters.values()) <= rows[0].time:
        measured, whole = count, sum(row.sum() for row in rows) / len(rows)
    else:
        measured, whole = _together(rows, voters, serving, lost)
    if not measured or measured < of / 2:
        return Silence(metric=metric, reason=f"{metric} of only {measured} of {count_of(of, 'member')} was measured")
    missing, total = of - measured, metric in TOTALS
    value = whole if total else whole / len(serving)
    worst: float | None = value
    if missing:
        worst = (value * measured + 100.0 * missing) / of if metric in PERCENT else None
    return Level(
        value=value, worst=worst, voting=count, sharing=len(serving) + len(lost), measured=measured, of=of, total=total
    )


def _together(
    rows: list[Row], voters: Mapping[str, float], serving: Mapping[str, float], lost: Mapping[str, float]
) -> tuple[int, float]:
    """Return how many voters were measured, and the mean over time of what all members together had to do.

    A member that was not measured at a time is taken to be like the others then.
    """
    begins, ends = sorted(serving.values()), sorted(lost.values())
    seen: set[str] = set()
    loads = []
    for row in rows:
        at, sum_of, count = row.time, 0.0, 0
        for member, value in row.values.items():
            since = voters.get(member)
            if since is not None and at >= since:
                seen.add(member)
            elif member not in lost or at >= lost[member]:
                continue
            sum_of, count = sum_of + value, count + 1
        if count:
            there = bisect_right(begins, at) + len(ends) - bisect_right(ends, at)
            loads.append(sum_of / count * max(there, 1))
    return len(seen), sum(loads) / len(loads) if loads else 0.0


def _fault(sample: Sample, limit: float) -> str:
    """Return what is wrong with a sample, or nothing; `limit` is the latest time that it can have."""
    value, time = sample.value, sample.time
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int | float)):
        return "left out: they are no numbers"
    if type(time) is not float and (isinstance(time, bool) or not isinstance(time, int | float)):
        return "left out: nobody knows when"
    if not isfinite(value):
        return "left out: they are no numbers"
    if not isfinite(time):
        return "left out: nobody knows when"
    if value < 0 and sample.metric != "command":
        return "left out: they are negative"
    if time > limit:
        return "left out: they are from the future"
    return ""
