"""What the service says while it runs, on stderr: a line per request, never a query, a header or a body."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TextIO

from cloudms.clock import Clock, iso
from cloudms.doors.screen import plain

_LONGEST = 200


class Log:
    """Writes lines that begin with the time.

    Parameters: `requests`, whether each request is a line; `stream`, where to, stderr when None.
    """

    def __init__(self, clock: Clock, *, requests: bool = True, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._requests = requests
        self._stream = stream
        self._lock = threading.Lock()

    def request(self, who: str, method: str, path: str, status: int, seconds: float) -> None:
        """Tell of one request that was answered."""
        if self._requests:
            self.say(f"{who} {method[:20]} {path[:_LONGEST]} {status} {seconds * 1000:.0f} ms")

    def bug(self, where: str, error: BaseException) -> None:
        """Tell of what should not happen, with the place in the code; the client is told only that it did."""
        self.say(f"bug in cloudms: {where}: {type(error).__name__}")
        self._write("".join(traceback.format_exception(error)))

    def say(self, text: str) -> None:
        """Write one line."""
        self._write(f"{iso(self._clock.now())} {plain(text)}\n")

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stderr
        try:
            with self._lock:
                stream.write(text)
                stream.flush()
        except (OSError, ValueError):
            return  # nobody reads it
