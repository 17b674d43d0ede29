"""Lines that targets say while a change runs: each with the name of its target, above the display of progress."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TextIO

from cloudms.doors.progress import Progress
from cloudms.doors.screen import Screen, is_terminal, paint, plain
from cloudms.errors import CloudmsError, NoCapacity

_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")


class Lines:
    """Writes lines, what was said on stderr to stderr.

    Parameters: `stop` is called when they cannot be written any more; why is raised by `check`.
    """

    def __init__(self, screen: Screen, progress: Progress, stop: Callable[[], None]) -> None:
        self._screen = screen
        self._progress = progress
        self._stop = stop
        self._problem: OSError | CloudmsError | None = None
        self._closed = False

    def __call__(self, target: str, stream: str, text: str) -> None:
        """Write whole lines of a target; called from any thread, it raises nothing."""
        if self._problem is not None or self._closed:
            return
        where = self._screen.out if stream == "stdout" else self._screen.err
        if where is None:
            return
        shown = "".join(self._lines(target, text, where))
        try:
            self._progress.above(lambda: _write(where, shown))
        except (OSError, ValueError) as error:
            self._problem = error if isinstance(error, BrokenPipeError) else _unwritten(error)
            self._stop()

    def _lines(self, target: str, text: str, where: TextIO) -> list[str]:
        head = paint(f"{plain(target)}: ", "cyan" if where is self._screen.out else "yellow", where)
        lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        if is_terminal(where):
            lines = [_harmless(line) for line in lines]
        return [f"{head}{line}\n" for line in lines]

    def check(self) -> None:
        """Raise what writing raised: BrokenPipeError (the reader went away), NoCapacity."""
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        """Write nothing any more."""
        self._closed = True


def _write(where: TextIO, text: str) -> None:
    where.write(text)
    where.flush()


def _harmless(line: str) -> str:
    """Return a line that cannot steer the terminal: colours stay, of a line drawn anew the last one."""
    last = line.rstrip("\r").rpartition("\r")[2]
    parts = _COLOURS.split(last.expandtabs())
    coloured = "".join(part if number % 2 else plain(part) for number, part in enumerate(parts))
    return coloured + ("\x1b[0m" if len(parts) > 1 else "")


def _unwritten(error: OSError | ValueError) -> NoCapacity:
    reason = getattr(error, "strerror", None) or error
    return NoCapacity(f"the output cannot be written: {reason}", hint="look at its disk")
