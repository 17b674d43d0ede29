"""Which process works on something, and whether it still lives; how another program takes the terminal over."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from cloudms.context import Context


def this_process() -> str:
    """Return host/pid/start, which no other process ever has."""
    return f"{os.uname().nodename}/{os.getpid()}/{_started(os.getpid())}"


def alive(process: str) -> bool:
    """Whether the process of that name runs; one of another host is believed to, since it cannot be asked."""
    host, _, rest = process.partition("/")
    pid, _, started = rest.partition("/")
    if not pid.isdigit():
        return False
    return host != os.uname().nodename or _started(int(pid)) == started != ""


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, or an empty string (proc(5), field 22)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 (start-up path)
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def become(ctx: Context, argv: Sequence[str]) -> Never:
    """Become another program: terminal, signals and exit code are then its own; a lasting process waits for it instead.

    Raises: OSError (it cannot be started); SystemExit with its exit code where this process goes on.
    """
    if not ctx.lasting:
        ctx.close()
        os.execvp(argv[0], [*argv])  # noqa: S606 (no shell on this side)
    sys.exit(beside(argv))


def beside(argv: Sequence[str], environment: dict[str, str] | None = None) -> int:
    """Run a program on this terminal and return its exit code, 128 and the signal's number when a signal ended it.

    Ctrl-C is for the program alone while it runs. A program whose stdin would be a script of ours reads nothing.
    Raises: OSError (it cannot be started).
    """
    import subprocess

    with yielding():
        stdin = None if os.isatty(0) else subprocess.DEVNULL
        return code_of(subprocess.Popen(argv, stdin=stdin, stdout=_elsewhere(), env=environment).wait())


def code_of(returned: int) -> int:
    """Return an exit code as a shell tells it: 128 and the number of the signal that ended a program."""
    return 128 - returned if returned < 0 else returned


@contextmanager
def yielding() -> Iterator[None]:
    """Leave Ctrl-C to the program that has the terminal now."""
    import signal

    kept = signal.signal(signal.SIGINT, lambda _number, _frame: None)  # ignored would be ignored by the program, too
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def _elsewhere() -> int | None:
    """Return where stdout goes when it was redirected within this process."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    return None if number == 1 else number
