"""What is the same for many VMs of a boot: asked for once in a while, and several things at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cloudms.clock import Clock

HOLDS_S = 300.0
"""Seconds for which an answer is believed."""

Ask = Callable[[], Any]


class Known:
    """Answers by key, each asked for by one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, ...], tuple[float, Any]] = {}
        self._asking: dict[tuple[str, ...], threading.Lock] = {}

    def get(self, ask: Ask, *key: str) -> Any:
        """Return the answer to `key`, which `ask` brings when there is none or it is old. Raises: what `ask` raises."""
        with self._lock:
            turn = self._asking.setdefault(key, threading.Lock())
        with turn:
            answer = self._answers.get(key)
            now = self._clock.monotonic()
            if answer is None or now - answer[0] >= HOLDS_S:
                answer = self._answers[key] = now, ask()
            return answer[1]

    def begin(self, ask: Ask, *key: str) -> Ask:
        """Begin to ask for what is not known in a thread of its own; return what waits for the answer.

        Raises, then: what `ask` raises.
        """
        if key in self._answers:
            return lambda: self.get(ask, *key)
        return _Beside(lambda: self.get(ask, *key)).result

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._answers.clear()


class _Beside:
    """A question that another thread asks meanwhile."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._answer: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="aws-ask", daemon=True).start()

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
            self._error = error
        finally:
            self._ended.set()

    def result(self) -> Any:
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._answer
