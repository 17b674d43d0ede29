"""What stays between two commands: configuration, catalog and clouds, variables, the exit code of the last command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from cloudms.config import Secret
from cloudms.config.settings import PER_CLOUD, SHORT
from cloudms.context import Context
from cloudms.doors.caught import BROKEN_PIPE, caught
from cloudms.doors.options import Options
from cloudms.doors.screen import Screen, is_terminal
from cloudms.doors.session import Session
from cloudms.doors.shell.history import History
from cloudms.doors.shell.lexer import Item, items
from cloudms.doors.shell.variables import Variables
from cloudms.doors.words import option_of
from cloudms.engine.process import beside, code_of, yielding
from cloudms.errors import CloudmsError, Denied, Interrupted, Invalid, NotFound

Builtin = Callable[["Shell", list[str], Screen], int]
"""A command of the shell itself: it gets the words that follow its own, and returns an exit code."""


class Leave(Exception):
    """The person is done here."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Shell:
    """One session: carries out lines, each with a stop of its own.

    Parameters: `options`, those of every command when a line gives none; `builtins`, the commands of the shell itself
    by their word; `history`, what was typed; `make`, makes what verbs work with.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        builtins: dict[str, Builtin] | None = None,
        history: History | None = None,
        make: Callable[[], Context] = Context,
    ) -> None:
        self.options = options or Options()
        self.builtins = builtins or {}
        self.history = history or History()
        self.variables = Variables(self._setting, self._is_free)
        self.depth = 0
        """How many scripts call each other now."""
        self.strict = False
        """Whether a line ends at the first command that fails."""
        self.left = False
        """Whether the reader of stdout has gone."""
        self.ending = False
        """Whether a signal has asked the process to end."""
        self._told = False
        self._wish: Leave | None = None
        self._make = make
        self._trunk: Context | None = None

    @property
    def code(self) -> int:
        """Return the exit code of the last command."""
        return self.variables.code

    @property
    def context(self) -> Context:
        """Return what every command shares, made anew when another process has changed a file of the configuration."""
        if self._trunk is not None and self._trunk.config.outdated:
            self.close()
        if self._trunk is None:
            self._trunk = self._make()
            self._trunk.lasting = True
        return self._trunk

    def branch(self) -> Context:
        """Return the context of one command, with a stop and warnings of its own."""
        made = self.context.branch()
        made.warnings = []
        return made

    def close(self) -> None:
        """Close clouds and catalog; the next command opens them again."""
        trunk, self._trunk = self._trunk, None
        if trunk is not None:
            trunk.close()

    def prompt(self) -> str:
        """Return what is shown before a line: the cloud that new things go to."""
        try:
            return f"cms {self.context.config.default_cloud()}> "
        except CloudmsError:
            return "cms ?> "  # the next command says what is wrong with the configuration

    def line(self, text: str, place: str = "") -> int:
        """Carry out one line and return the exit code of its last command.

        Parameters: `place`, the file and line of a script, which errors name.
        Raises: Unfinished (the line goes on), Leave.
        """
        stripped = text.strip()
        if "\0" in text:
            zero = Invalid("a command cannot hold a zero byte", hint="is it text?")
            return self._ended(lambda _: _raise(zero), self._screen([], place))
        if stripped[:1] in ("!", "?"):
            act = self._escape if stripped[0] == "!" else self._help
            return self._ended(lambda screen: act(stripped[1:], screen), self._screen([], place))
        try:
            found = items(text)
        except CloudmsError as error:
            wrong = error
            return self._ended(lambda _: _raise(wrong), self._screen([], place))
        begun = False
        for item in found:
            if item.join == ";" and begun and self.code and (self.strict or self.code == Interrupted.exit_code):
                break
            if (item.join == "&&" and self.code) or (item.join == "||" and not self.code):
                continue
            begun = True
            self._ended(lambda screen, item=item: self._item(item, screen, place), self._screen([], place))  # type: ignore[misc]
        return self.code

    def _ended(self, act: Callable[[Screen], int], screen: Screen) -> int:
        """Carry something out whose errors are told on `screen`, and keep its exit code. Raises: Leave."""
        self.variables.code = self._caught(lambda: act(screen), screen, self._unplugged)
        wish, self._wish = self._wish, None
        if wish is not None:
            raise wish
        return self.code

    def _caught(self, act: Callable[[], int], screen: Screen, gone: Callable[[], None]) -> int:
        """Return the exit code of what `act` does or raises; a wish to leave is kept until the line has ended."""

        def acted() -> int:
            try:
                return act()
            except Leave as wish:
                self._wish = wish
                return wish.code

        return caught(acted, screen, gone)

    def _unplugged(self) -> None:
        self.left = True

    def _screen(self, words: Sequence[str], place: str) -> Screen:
        """Return where a command writes, as far as its words tell before they are understood."""
        output = option_of(words, "-o", "--output") or self.options.output
        own = words[: words.index("--")] if "--" in words else words
        return Screen(
            output=output,
            quiet=self.options.quiet or bool({"-q", "--quiet"} & set(own)),
            debug=self.options.debug or "--debug" in own,
            place=place,
        )

    def _item(self, item: Item, screen: Screen, place: str) -> int:
        words = self.variables.expand(item.words)
        with self._output(item, screen) as piped:
            told = self._screen(words, place)
            gone = _nobody if piped else self._unplugged
            code = self._caught(lambda: self._command(words, told), told, gone)
        if not piped:
            return code
        return piped[0] if code in (0, BROKEN_PIPE) else code

    @contextlib.contextmanager
    def _output(self, item: Item, screen: Screen) -> Iterator[list[int]]:
        """Let stdout go where a line says; afterwards the list holds the exit code of the program it was piped to."""
        codes: list[int] = []
        if item.file is not None:
            with _opened(self.variables.word(item.file), item.append) as file, contextlib.redirect_stdout(file):
                yield codes
        elif item.pipe:
            codes.append(0)
            with _Piped(item.pipe, self.variables.environment()) as pipe:
                with contextlib.redirect_stdout(pipe.stream):
                    yield codes
                codes[0] = pipe.ended()
        else:
            yield codes

    def _command(self, words: list[str], screen: Screen) -> int:
        builtin = self.builtins.get(words[0]) if words else None
        if builtin is not None:
            return builtin(self, words[1:], screen)
        return self.house(words[1:] if words[:1] == ["cms"] else words, screen)

    def house(self, words: list[str], screen: Screen) -> int:
        """Carry out a command that the command line has, too. Raises: CloudmsError, KeyboardInterrupt, any bug."""
        session = Session(screen, self.branch(), door="shell", usual=self.options, notices=not self._told)
        self._told = True
        return session.run(words)

    def _escape(self, command: str, screen: Screen) -> int:
        """Run a line of the person's own shell and tell its exit code when it failed."""
        words = [own_shell(), "-c", command] if command.strip() else [own_shell()]
        with _started():
            code = beside(words, self.variables.environment())
        if code and is_terminal(screen.err):
            screen.say(f"exit code {code}")
        return code

    def _help(self, about: str, screen: Screen) -> int:
        return self._command(["help", *about.split()], screen)

    def _setting(self, name: str) -> str | None:
        """Return the text of a setting that `$name` stands for; a configuration that cannot be read has none."""
        try:
            config = self.context.config
            found = config.get(config.key_for(name))
        except CloudmsError:
            return None
        plain = isinstance(found, str | int | float) and not isinstance(found, Secret)
        return str(found) if plain else None

    def _is_free(self, name: str) -> bool:
        """Whether a setting has a name of the person's own, and not one that patterns of names may mean."""
        if name in SHORT or name in PER_CLOUD:
            return False
        try:
            return name in self.context.config.settings.values()
        except CloudmsError:
            return False


class _Piped:
    """A program of the person's own shell that reads what is written to `stream`."""

    def __init__(self, command: str, environment: dict[str, str]) -> None:
        import subprocess

        with _started():
            self._child = subprocess.Popen(
                [own_shell(), "-c", command], stdin=subprocess.PIPE, env=environment, encoding="utf-8"
            )
        assert self._child.stdin is not None  # noqa: S101 (it is a pipe)
        self.stream = self._child.stdin

    def __enter__(self) -> _Piped:
        """Return itself."""
        return self

    def ended(self) -> int:
        """Tell the program that nothing more comes, and return its exit code when it has ended."""
        with contextlib.suppress(OSError):
            self.stream.close()
        with yielding():
            return code_of(self._child.wait())

    def __exit__(self, *_: object) -> None:
        """Leave no program behind, also when something was raised."""
        self.ended()


def own_shell() -> str:
    """Return the person's own shell."""
    return os.environ.get("SHELL") or "/bin/sh"


@contextlib.contextmanager
def _opened(name: str, append: bool) -> Iterator[TextIO]:
    try:
        file = open(name, "a" if append else "w", encoding="utf-8")  # noqa: PTH123, SIM115 (closed below)
    except FileNotFoundError:
        what = f"there is no folder {Path(name).parent}" if name else "no file is named after '>'"
        raise NotFound(what, hint="make the folder first, or name another file after '>'") from None
    except OSError as error:
        raise Denied(f"{name} cannot be written: {error.strerror}", hint="name another file after '>'") from None
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # a full disk has been told of when the output was flushed
            file.close()


@contextlib.contextmanager
def _started() -> Iterator[None]:
    """Say what keeps the person's own shell from being started. Raises: Denied."""
    try:
        yield
    except OSError as error:
        raise Denied(f"{own_shell()} cannot be started: {error.strerror}", hint="look at $SHELL") from None


def _nobody() -> None:
    """Mind nothing: the program that was piped to has read what it wanted."""


def _raise(error: CloudmsError) -> int:
    raise error
