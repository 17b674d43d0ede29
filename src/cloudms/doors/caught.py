"""The one place where whatever a command raises ends as a line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from cloudms import registry
from cloudms.doors.screen import Screen
from cloudms.errors import CloudmsError, Interrupted

BROKEN_PIPE = 141
"""What a shell reports for a process that SIGPIPE ended."""


def caught(act: Callable[[], int | None], screen: Screen, gone: Callable[[], None]) -> int:
    """Return the exit code of what `act` does or raises.

    Parameters: `screen`, where it is told; `gone`, what to do when the reader of stdout has left.
    """
    try:
        return act() or 0
    except BrokenPipeError:
        gone()
        return BROKEN_PIPE
    except BaseException as error:  # noqa: BLE001 (the one place where everything ends as a line and a number)
        return told(error, screen)


def told(error: BaseException, screen: Screen) -> int:
    """Show what was raised as one line and a hint, and return its exit code."""
    if isinstance(error, SystemExit) and _is_meant(error):
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


def _is_meant(error: SystemExit) -> bool:
    """Whether the house wants to end with that code; a plug-in that exits has a bug."""
    step, module = error.__traceback__, ""
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        step = step.tb_next
    return module.partition(".")[0] == "cloudms" or not registry.plugin_of(error)


def _bug(error: BaseException) -> CloudmsError:
    what = " ".join(str(error).split())[:200]
    plugin = registry.plugin_of(error)
    whose = f"the plug-in '{plugin}'" if plugin else "cloudms"
    return CloudmsError(
        f"this is a bug in {whose}: {type(error).__name__}" + (f": {what}" if what else ""),
        hint="the same command with --debug shows where; please report it" + " to its authors" * bool(plugin),
    )


def unplug() -> None:
    """Point stdout nowhere, so that the flush at exit finds nobody missing."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return
