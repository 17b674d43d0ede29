"""A clock that proves that work is done side by side: every thread has time of its own, and waits for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 120.0
"""Real seconds after which threads that wait for others in vain are one after the other."""


class Together:
    """Time of several threads: each sleeps by itself, and what they all take is as long as the slowest.

    With `parties`, the first sleep of a thread waits until so many threads sleep: work that one thread does after the
    other never comes that far, and fails.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.base = start
        self.parties = 0
        self._own: dict[object, float] = {}
        self._thread = threading.local()
        self._changed = threading.Condition()

    def now(self) -> float:
        """Return the time of this thread."""
        return self.base + self._own.get(self._me(), 0.0)

    def _me(self) -> object:
        """Return what stands for this thread and no later one: the number of a thread that has ended is used again."""
        if not hasattr(self._thread, "me"):
            self._thread.me = object()
        return self._thread.me

    def monotonic(self) -> float:
        """Return the time of this thread."""
        return self.now()

    def sleep(self, seconds: float) -> None:
        """Move the time of this thread, once all parties are there."""
        me = self._me()
        with self._changed:
            if me not in self._own:
                self._own[me] = 0.0
                self._changed.notify_all()
                here = self._changed.wait_for(lambda: len(self._own) >= self.parties, timeout=PATIENCE)
                assert here, f"{self.parties} threads were to sleep at the same time, and {len(self._own)} did"
            self._own[me] += seconds

    def took(self, parties: int, do: Callable[[], Any]) -> float:
        """Return how long it takes to `do` something that so many threads work on."""
        self.parties = parties
        do()
        self.parties = 0
        longest = max(self._own.values(), default=0.0)
        self.base += longest
        self._own.clear()
        return longest
