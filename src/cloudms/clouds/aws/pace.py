"""How fast AWS is asked by several threads together: all slow down when one was told to."""

from __future__ import annotations

import os
import threading

from cloudms.clock import Clock
from cloudms.errors import Interrupted

FIRST, LONGEST = 0.5, 30.0
"""Seconds of the first pause after a refusal, which doubles with each further one, and of the longest."""
_SLOWEST, _NONE = 2.0, 0.01
_SLICE = 0.5
"""Seconds after which a pause looks whether it is still wanted."""


class Pace:
    """Turns to ask, shared by threads.

    A refusal (`refused`) holds everybody back and doubles the distance between turns; each answer (`answered`)
    shortens it again by a tenth. Parameters: `clock`; `rate`, turns per second that are never exceeded (0: any number).
    """

    def __init__(self, clock: Clock, rate: float = 0.0) -> None:
        self._clock = clock
        self._least = 1.0 / rate if rate > 0 else 0.0
        self._gap = self._least
        self._next = 0.0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def turn(self) -> None:
        """Wait for a turn. Raises: Interrupted after `stop`."""
        with self._lock:
            now = self._clock.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._gap
        self.wait(begin - now)

    def wait(self, seconds: float) -> None:
        """Wait `seconds` of the clock. Raises: Interrupted after `stop`."""
        until = self._clock.monotonic() + seconds
        while not self.stopped.is_set():
            left = until - self._clock.monotonic()
            if left <= 1e-6:  # so short a wait might not move a clock that counts from 1970
                return
            self._clock.sleep(min(left, _SLICE))
        raise Interrupted("stopped on request")

    def free(self) -> bool:
        """Whether anybody may ask at once: no rate is set, nobody was refused lately, and nobody wants to stop."""
        return not self._gap and not self.stopped.is_set()

    def refused(self, attempt: int, retry_after: float = 0.0) -> float:
        """Hold everybody back after the failed `attempt` (from 1); return the seconds to wait."""
        dice = int.from_bytes(os.urandom(2)) / 0xFFFF
        pause: float = max(retry_after, min(FIRST * 2 ** (attempt - 1), LONGEST) * (1 - 0.5 * dice))
        with self._lock:
            self._gap = min(max(2 * self._gap, 0.05), _SLOWEST)
            self._next = max(self._next, self._clock.monotonic() + pause)
        return pause

    def answered(self) -> None:
        """Note that all is well."""
        with self._lock:
            if self._gap > self._least:
                self._gap = max(self._gap * 0.9 if self._gap > _NONE else 0.0, self._least)

    def stop(self) -> None:
        """Let everybody who waits go home."""
        self.stopped.set()
