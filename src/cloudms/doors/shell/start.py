"""How the shell begins: at a prompt, with a script, or with a line, and how it ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from cloudms.doors.caught import BROKEN_PIPE, unplug
from cloudms.doors.options import Options
from cloudms.doors.screen import is_terminal
from cloudms.doors.shell import script
from cloudms.doors.shell.builtins import BUILTINS
from cloudms.doors.shell.shell import Leave, Shell


def run(
    options: Options,
    *,
    file: str = "",
    arguments: Sequence[str] = (),
    line: str = "",
    keep_going: bool = False,
) -> int:
    """Carry out a line, a script (- for stdin), or what a person types, and return the exit code.

    Parameters: `options`, those of every command; `keep_going`, go on after a line of the script that fails.
    Raises: NotFound, Denied, Invalid (the script).
    """
    shell = Shell(options, builtins=BUILTINS)
    _listen(shell)
    try:
        return _begun(shell, file, arguments, line, keep_going)
    except Leave as wish:
        return wish.code
    finally:
        if shell.left:
            unplug()
        shell.close()


def _begun(shell: Shell, file: str, arguments: Sequence[str], line: str, keep_going: bool) -> int:
    if line:
        shell.strict = not keep_going
        code = script.run_lines(shell, script.lines_of(line), "command", keep_going=keep_going)
        return BROKEN_PIPE if shell.left else code
    if file or not is_terminal(sys.stdin):
        return script.run(shell, file or script.STDIN, arguments, keep_going=keep_going)
    from cloudms.doors.shell.terminal import talk

    return talk(shell)


def _listen(shell: Shell) -> None:
    """Let SIGTERM and SIGHUP end the shell, not only the command that runs, where they would end a command."""

    def end(number: int, frame: FrameType | None) -> None:
        shell.ending = True
        signal.default_int_handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, end)
