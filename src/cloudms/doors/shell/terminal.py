"""The prompt: history, completion and suggestions on a terminal that can show them, plain lines on one that cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cloudms import __version__
from cloudms.doors.caught import BROKEN_PIPE, told
from cloudms.doors.screen import Screen
from cloudms.doors.shell.completer import offers
from cloudms.doors.shell.history import holds_secret
from cloudms.doors.shell.script import goes_on
from cloudms.doors.shell.shell import Leave, Shell
from cloudms.errors import Interrupted

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

Read = Callable[[], str]
"""Returns what was typed. Raises: EOFError (Ctrl-D), KeyboardInterrupt (Ctrl-C)."""

MORE = "> "
"""The prompt of a further line of one command."""


def talk(shell: Shell) -> int:
    """Carry out what a person types until they leave, and return the exit code of the last command."""
    read = plain(shell) if os.environ.get("TERM", "dumb") in ("dumb", "unknown") else _rich(shell)
    Screen(quiet=shell.options.quiet).say(f"cms {__version__}: 'help' lists the commands, Ctrl-D leaves")
    while not shell.ending:
        try:
            text = read()
        except EOFError:
            break
        except KeyboardInterrupt:  # also that of a line which has just been entered
            shell.variables.code = Interrupted.exit_code
            continue
        try:
            shell.line(text)
        except Leave as wish:
            return wish.code
        except KeyboardInterrupt:
            shell.variables.code = Interrupted.exit_code
            continue
        except Exception as error:  # noqa: BLE001 (a bug ends neither the session nor what is on its way)
            shell.variables.code = told(error, Screen(debug=shell.options.debug))
        if shell.left:
            return BROKEN_PIPE
    return Interrupted.exit_code if shell.ending else shell.code


def plain(shell: Shell) -> Read:
    """Return what reads lines without moving the cursor (TERM=dumb, editors that run a shell)."""

    def read() -> str:
        try:
            text = input(shell.prompt())
            while goes_on(text):
                text += "\n" + input(MORE)
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)  # noqa: T201 (the line that was begun ends here)
            raise
        shell.history.add(text)
        return text

    return read


def _rich(shell: Shell) -> Read:
    """Return what reads lines with editing, completion and suggestions."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory

    session: PromptSession[str] = PromptSession(
        history=_history(shell),
        completer=_completer(shell),
        auto_suggest=AutoSuggestFromHistory(),
        complete_while_typing=False,
        enable_history_search=True,
        multiline=True,
        prompt_continuation=MORE,
        key_bindings=_keys(),
    )

    def read() -> str:
        return session.prompt(shell.prompt())

    return read


def _history(shell: Shell) -> History:
    from prompt_toolkit.history import History

    class Kept(History):
        """The history of all sessions; what is not kept cannot be called back in this one either."""

        def load_history_strings(self) -> Iterable[str]:
            return reversed(shell.history.entries())

        def append_string(self, string: str) -> None:
            if string.strip() and string[0] != " " and not holds_secret(string):
                super().append_string(string)

        def store_string(self, string: str) -> None:
            shell.history.add(string)

    return Kept()


def _completer(shell: Shell) -> Completer:
    from prompt_toolkit.completion import Completer, Completion

    class Offered(Completer):
        """Asks our own completer."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            text = document.text_before_cursor
            try:
                found = offers(shell, text)
            except Exception:  # noqa: BLE001 (a person is typing: whatever is wrong, the command itself will say it)
                return
            for offer in found:
                yield Completion(
                    offer.value, offer.start - len(text), display=offer.value.rstrip(), display_meta=offer.text
                )

    return Offered()


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    def enter(event: KeyPressEvent) -> None:
        """Take what is chosen in the menu, begin a further line where the command goes on, or carry it out."""
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None
        elif goes_on(buffer.text):
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    keys.add("enter")(enter)
    return keys
