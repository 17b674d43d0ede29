"""The command line: `cms NOUN VERB`, derived from the verbs.

Exit codes are those of `cloudms.errors`: 0 success, 1 a bug in cloudms, 2 to 12 by class of error, 130 when the person
stopped it (Ctrl-C, SIGTERM), 141 when the reader of the output went away.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from cloudms.doors import words
from cloudms.doors.caught import caught, unplug
from cloudms.doors.options import Options
from cloudms.doors.screen import Screen, is_terminal
from cloudms.doors.session import Session
from cloudms.errors import Interrupted
from cloudms.verb import Door


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit code.

    Parameters: `argv`, the words after `cms`; None takes those of this process, and then ends the process.
    """
    if argv is not None:
        return guarded(list(argv))
    try:
        gc.set_threshold(50_000)  # what a start makes stays: looking for garbage in it takes 5 % of a short command
        _signals()
        code = guarded(sys.argv[1:])
        _leave(code)
    except KeyboardInterrupt:
        code = Interrupted.exit_code
    return code


def guarded(argv: list[str]) -> int:
    """Carry out one command line; whatever is raised becomes a line on stderr and an exit code."""
    if argv[:1] == ["__complete"]:
        from cloudms.doors.completion import main as complete

        return complete(argv[1:])
    screen = Screen(
        output=words.option_of(argv, "-o", "--output") or "table",
        quiet=_has(argv, "-q", "--quiet"),
        debug=_has(argv, "--debug"),
    )
    session = Session(screen, over=_over)
    code = caught(lambda: session.run(_meant(argv)), screen, unplug)
    if code != Interrupted.exit_code:  # a person who is in a hurry does not wait for connections to be closed
        return caught(session.close, screen, unplug) or code
    return code


def _meant(argv: list[str]) -> list[str]:
    """Return the words of a command line; none at all, or a script alone, are a matter of the shell.

    Without a terminal there is nobody to prompt: then the commands come from stdin.
    """
    if not argv and sys.stdin is not None and (not is_terminal(sys.stdin) or is_terminal(sys.stdout)):
        return ["shell"]
    return ["shell", *argv] if argv and words.is_script(argv[0]) else argv


def _over(door: Door, options: Options) -> int:
    """Go over to the shell and return its exit code."""
    from cloudms.doors.shell import start

    return start.run(options, **door.values)


def _has(argv: list[str], *names: str) -> bool:
    """Whether a flag is among words that are not parsed yet."""
    end = argv.index("--") if "--" in argv else len(argv)
    return any(word in names for word in argv[:end])


def _signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, unless they are ignored (nohup).

    Who starts `cms` may have held Ctrl-C back until now: during the start it would be a traceback.
    """
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _leave(code: int) -> None:
    """End the process now.

    Taking the interpreter apart takes 15 % of a short command, and for ever when a thread still waits for a cloud.
    """
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue  # its reader is gone, and has been told by the exit code
    os._exit(code)
