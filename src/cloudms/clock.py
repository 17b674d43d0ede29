"""Time that tests can hand in: nothing else in the house calls `time.time` or `time.sleep`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the house needs of time."""

    def now(self) -> float:
        """Return the seconds since the Unix epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""


class SystemClock:
    """The real time of this machine."""

    def now(self) -> float:
        """Return the seconds since the Unix epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        time.sleep(seconds)


class ManualClock:
    """A clock for tests: `sleep` moves it forward at once."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the time the test has set."""
        return self.time

    def monotonic(self) -> float:
        """Return the time the test has set."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move forward by `seconds` without waiting."""
        self.slept.append(seconds)
        self.time += seconds


def iso(seconds: float | None) -> str | None:
    """Return `seconds` since the epoch as RFC 3339 text in UTC with whole seconds, or None."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def backoff(vain: int, first: float = 60.0, longest: float = 900.0) -> float:
    """Return the seconds to wait after so many tries in vain: twice as long each time, `longest` at most."""
    return min(first * 2.0 ** min(vain - 1, 30), longest) if vain > 0 else 0.0


def age(seconds: float) -> str:
    """Return a duration of `seconds` for people: 5s, 12m, 3h, 2d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"
