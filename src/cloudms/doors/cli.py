"""The command line: `cms NOUN VERB`, derived from the verbs.

Exit codes are those of `cloudms.errors`: 0 success, 1 a bug in cloudms, 2 to 12 by class of error, 130 when the person
stopped it (Ctrl-C, SIGTERM), 141 when the reader of the output went away.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence

from cloudms.doors import words
from cloudms.doors.screen import Screen
from cloudms.doors.session import Session
from cloudms.errors import CloudmsError, Interrupted

BROKEN_PIPE = 141
"""What a shell reports for a process that SIGPIPE ended."""


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
    session = Session(screen)
    code = _caught(lambda: session.run(argv), screen)
    if code != Interrupted.exit_code:  # a person who is in a hurry does not wait for connections to be closed
        return _caught(session.close, screen) or code
    return code


def _caught(act: Callable[[], int | None], screen: Screen) -> int:
    """Return the exit code of what `act` does or raises."""
    try:
        return act() or 0
    except BrokenPipeError:
        _unplug()
        return BROKEN_PIPE
    except BaseException as error:  # noqa: BLE001 (the one place where everything ends as a line and a number)
        return told(error, screen)


def told(error: BaseException, screen: Screen) -> int:
    """Show what was raised as one line and a hint, and return its exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("stopped", hint="cms operation list shows what was begun")
    if isinstance(error, CloudmsError):
        screen.error(error)
        return error.exit_code
    if screen.debug:
        import traceback

        traceback.print_exception(error)
    screen.error(_bug(error))
    return CloudmsError.exit_code


def _bug(error: BaseException) -> CloudmsError:
    what = " ".join(str(error).split())[:200]
    return CloudmsError(
        f"this is a bug in cloudms: {type(error).__name__}" + (f": {what}" if what else ""),
        hint="the same command with --debug shows where; please report it",
    )


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


def _unplug() -> None:
    """Point stdout nowhere, so that the flush at exit finds nobody missing."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return


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
