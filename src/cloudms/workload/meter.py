"""What is measured while load is put on a service: counts and latencies, for every interval and in all."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from cloudms.workload.nouns import LoadRow

_FACTOR = math.log(1.02)
_LEAST = 0.0001


class Latencies:
    """A histogram of seconds whose buckets are two percent wide, so that a million values take no room."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.most = max(self.most, seconds)
        self._buckets[math.ceil(math.log(max(seconds, _LEAST) / _LEAST) / _FACTOR)] += 1

    def quantile(self, share: float) -> float | None:
        """Return the seconds that `share` of all did not exceed, at most two percent too many, or None without any."""
        left = max(math.ceil(share * self.count), 1)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(_LEAST * math.exp(bucket * _FACTOR), self.most)
        return None


class Tally:
    """The counts of one interval, or of all."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.counts: Counter[str] = Counter()
        self.members: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def row(self, name: str, seconds: float, rate: float | None, open_: int) -> LoadRow:
        """Return it as a row; `rate` is what was asked for, `open_` how many requests had no answer at its end."""
        counts = self.counts
        found = {share: self.latencies.quantile(share) for share in (0.5, 0.95, 0.99)}
        return LoadRow(
            name=name,
            seconds=round(seconds, 3),
            rate=None if rate is None else round(rate, 3),
            sent=counts["sent"],
            answered=counts["answered"],
            failed=counts["failed"],
            retries=counts["retries"],
            open=open_,
            p50=_rounded(found[0.5]),
            p95=_rounded(found[0.95]),
            p99=_rounded(found[0.99]),
            slowest=_rounded(self.latencies.most if self.latencies.count else None),
            members=dict(sorted(self.members.items())),
            reasons=dict(self.reasons.most_common(5)),
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


class Meter:
    """Counts from any thread. A request is counted as sent when it was due, as answered or failed when it was.

    Parameters: `every`, the seconds of an interval. All moments are seconds from the beginning.
    """

    def __init__(self, every: float) -> None:
        self.every = every
        self.total = Tally()
        self.open = 0
        self._open_at: dict[int, int] = {}
        self._lock = threading.Lock()
        self._intervals: dict[int, Tally] = {}
        self._shown = 0

    def _of(self, at: float) -> tuple[Tally, ...]:
        """Return the tallies that count what is `at` a moment; what comes late counts in the interval that is open."""
        return self._intervals.setdefault(max(int(at // self.every), self._shown), Tally()), self.total

    def sent(self, at: float) -> None:
        """Count a request that was due `at` a moment."""
        with self._lock:
            self.open += 1
            for tally in self._of(at):
                tally.counts["sent"] += 1

    def retried(self, at: float, reason: str) -> None:
        """Count a try that brought no answer, for a `reason`."""
        with self._lock:
            for tally in self._of(at):
                tally.counts["retries"] += 1
                tally.reasons[reason] += 1

    def answered(self, at: float, seconds: float, member: str) -> None:
        """Count an answer that came after `seconds`, from a member."""
        with self._lock:
            self.open -= 1
            for tally in self._of(at):
                tally.counts["answered"] += 1
                tally.latencies.add(seconds)
                if member:
                    tally.members[member] += 1

    def failed(self, at: float, reason: str) -> None:
        """Count a request that was given up, for a `reason`."""
        with self._lock:
            self.open -= 1
            for tally in self._of(at):
                tally.counts["failed"] += 1
                tally.reasons[reason] += 1

    def rows(self, until: float, rate: Callable[[float], float | None]) -> Iterator[LoadRow]:
        """Yield the intervals that have ended `until` a moment and were not shown; `rate` was asked for at a moment."""
        while (self._shown + 1) * self.every <= until + 1e-9:
            with self._lock:
                index = self._shown
                tally = self._intervals.pop(index, None) or Tally()
                self._shown += 1
                open_ = self.open
            yield tally.row(moment((index + 1) * self.every), self.every, rate((index + 0.5) * self.every), open_)

    def whole(self, seconds: float) -> LoadRow:
        """Return the row of all; `seconds` is how long it took."""
        with self._lock:
            return self.total.row("total", seconds, None, self.open)


def moment(seconds: float) -> str:
    """Return seconds from the beginning as people read them: 0:05, 12:30, 1:00:00."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
