"""How a load is shown while it runs: one line that moves."""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.workload.meter import Meter, moment

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24


class Live:
    """Remembers the last moments of a load, for the line of now."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._before = (0.0, 0)
        self._speeds: list[float] = []

    def line(self, now: float, rate: float | None) -> str:
        """Return the line of `now` (seconds from the beginning), at which `rate` requests per second are asked for."""
        counts = self._meter.total.counts
        then, answered = self._before
        if now - then >= 0.4:
            self._speeds = [*self._speeds, (counts["answered"] - answered) / (now - then)][-_WIDTH:]
            self._before = (now, counts["answered"])
        speed = self._speeds[-1] if self._speeds else 0.0
        p95 = self._meter.total.latencies.quantile(0.95)
        parts = [
            moment(now),
            f"{rate:.1f}/s asked" if rate is not None else "",
            f"{speed:.1f}/s answered {bars(self._speeds)}",
            f"{self._meter.open} open",
            f"{counts['failed']} given up" if counts["failed"] else "",
            f"p95 {p95:.2f} s" if p95 is not None else "",
        ]
        return "  ".join(part for part in parts if part)


def bars(values: Sequence[float]) -> str:
    """Return numbers as bars, the largest as high as a bar gets."""
    most = max(values, default=0.0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(int(value / most * (len(_BARS) - 1) + 0.5), len(_BARS) - 1)] for value in values)
