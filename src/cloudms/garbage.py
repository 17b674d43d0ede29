"""Python's search for circles of garbage, made seldom while rows come and go by the thousand.

Each search through everything takes nearly a tenth of a second once an SDK is loaded, and the more rows are made, the
more often it comes; but rows hold no circles.
"""

from __future__ import annotations

import gc
from threading import Lock

_SELDOM = (100_000, 10, 100)


class _Seldom:
    """A context in which the search is seldom; several threads may be inside at once, and the last to leave ends it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        """Begin."""
        with self._lock:
            if not self._inside:
                self._usual = gc.get_threshold()
                if 0 < self._usual[0] < _SELDOM[0]:  # 0: somebody has switched it off
                    gc.set_threshold(*_SELDOM)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        """End."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                gc.set_threshold(*self._usual)


seldom = _Seldom()
