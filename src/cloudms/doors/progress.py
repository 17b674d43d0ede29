"""What happens while a person waits: a display that redraws itself on a terminal, one line per change elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from cloudms.clock import Clock, age
from cloudms.doors.screen import Screen, paint, plain, width

_TICK = 0.25
"""Seconds between two drawings, so that elapsed times move."""
_MANY, _BUSY = 50, 0.05
"""From so many targets on, so many seconds after a drawing, a word waits for the next: a thousand VMs say much."""


class Progress:
    """Hears (target, what happens now) from any thread and shows it; nothing is drawn before the first word."""

    def __init__(self, screen: Screen, clock: Clock) -> None:
        self._screen = screen
        self._clock = clock
        self._lock = threading.Lock()
        self._now: dict[str, tuple[str, float]] = {}
        self._display: _Display | None = None
        self._latest = 0.0
        self.drawn_only = False
        """Whether nothing is said where nothing can be drawn: a change that tells what it does has lines of its own."""

    def __call__(self, target: str, text: str) -> None:
        """Show that `text` is what now happens to `target`."""
        if self._screen.quiet or (self.drawn_only and (not self._screen.live or self._screen.json)):
            return
        with self._lock:
            if self._now.get(target, ("", 0.0))[0] == text:
                return
            now = self._clock.monotonic()
            self._now[target] = (text, now)
            if not self._screen.live or self._screen.json:
                self._line(target, text)
            elif self._display is None:
                self._display, self._latest = _Display(self._screen, self._lock, self._drawing), now
            elif len(self._now) < _MANY or now - self._latest >= _BUSY:
                self._display.draw()
                self._latest = now

    def above(self, write: Callable[[], None]) -> None:
        """Let `write` put lines where the display stands; it is drawn anew below them. Raises what `write` does."""
        with self._lock:
            if self._display is not None:
                self._display.lift()
            write()

    def close(self) -> None:
        """Take the display away, so that the next line stands where it stood."""
        display, self._display = self._display, None
        if display is not None:
            display.close()
        with self._lock:
            self._now.clear()

    def _line(self, target: str, text: str) -> None:
        if not text.startswith("failed: "):  # its error is shown at the end
            self._screen.say(f"{plain(target)}: {plain(text)}", kind="progress", target=target, now=text)

    def _drawing(self, lines: int, columns: int) -> list[str]:
        """Return what is to be seen now: what goes on first, at most `lines` of it."""
        now = self._clock.monotonic()
        busy = [(t, text, since) for t, (text, since) in self._now.items() if not _ended(text)]
        done = sum(text == "done" for text, _ in self._now.values())
        failed = [(t, text, since) for t, (text, since) in self._now.items() if text.startswith("failed: ")]
        shown = (failed + busy)[: max(lines - 1, 1)]
        size = min(max((len(target) for target, _, _ in shown), default=0), 32)
        drawn = [self._row(target, text, now - since, size, columns) for target, text, since in shown]
        left = len(failed) + len(busy) - len(shown)
        counts = [f"{done} done"] * (done > 0) + [f"{left} more"] * (left > 0)
        return drawn + ([paint(f"  {', '.join(counts)}", "dim", self._screen.err)] if counts else [])

    def _row(self, target: str, text: str, seconds: float, size: int, columns: int) -> str:
        waited = "" if text.startswith("failed: ") or seconds < 1 else f"  {age(seconds)}"
        room = max(columns - size - 6 - len(waited), 10)
        shown = plain(text)
        shown = shown if len(shown) <= room else shown[: room - 1] + "…"
        style = "red" if text.startswith("failed: ") else ""
        head = f"  {plain(target)[:size]:<{size}}  "
        return head + paint(shown, style, self._screen.err) + paint(waited, "dim", self._screen.err)


def _ended(text: str) -> bool:
    return text == "done" or text.startswith("failed: ")


class _Display:
    """A few lines at the bottom of a terminal, drawn anew by moving the cursor up (ECMA-48: CUU, ED)."""

    def __init__(self, screen: Screen, lock: threading.Lock, drawing: Callable[[int, int], list[str]]) -> None:
        self._screen = screen
        self._lock = lock
        self._drawing = drawing
        self._drawn = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="cms-progress", daemon=True)
        self.draw()
        self._thread.start()

    def draw(self) -> None:
        """Draw what is to be seen now in the place of what was; the lock is held."""
        columns = width(self._screen.err) or 80
        lines = self._drawing(max(_height(self._screen) - 2, 2), columns)
        self._put(self._cleared() + "".join(line + "\n" for line in lines))
        self._drawn = len(lines)

    def lift(self) -> None:
        """Take the lines away until they are drawn again; the lock is held."""
        self._put(self._cleared())
        self._drawn = 0

    def close(self) -> None:
        """Remove the lines."""
        self._ended.set()
        self._thread.join(timeout=2 * _TICK)
        with self._lock:
            self.lift()

    def _cleared(self) -> str:
        return f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""

    def _put(self, text: str) -> None:
        if text and self._screen.err is not None:
            try:
                self._screen.err.write(text)
                self._screen.err.flush()
            except OSError:
                self._ended.set()  # the terminal is gone; the work goes on

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self._lock:
                if not self._ended.is_set():
                    self.draw()


def _height(screen: Screen) -> int:
    try:
        return (os.get_terminal_size(screen.err.fileno()).lines if screen.err else 0) or 24
    except (OSError, ValueError):
        return 24
