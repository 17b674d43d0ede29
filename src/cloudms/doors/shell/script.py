"""Scripts: lines of a file or of stdin, carried out until one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cloudms.doors.caught import BROKEN_PIPE, told
from cloudms.doors.screen import Screen
from cloudms.doors.shell.lexer import Unfinished, items
from cloudms.doors.shell.shell import Shell
from cloudms.errors import CloudmsError, Denied, Interrupted, Invalid, NotFound

STDIN = "-"
DEEPEST = 20
"""How many scripts may call each other."""


def run(shell: Shell, script: str, arguments: Sequence[str] = (), *, keep_going: bool = False) -> int:
    """Carry out a script and return the exit code of the line that failed first.

    Parameters: `script`, a file, or - for stdin; `arguments`, what `$1` and so on stand for in it; `keep_going`, go on
    with the next line after a failure.
    Raises: NotFound, Denied (the file), Invalid (too many scripts call each other), Leave.
    """
    if shell.depth >= DEEPEST:
        raise Invalid(f"more than {DEEPEST} scripts call each other", hint="does one call itself?")
    lines = _stdin() if script == STDIN else _file(Path(os.path.expanduser(script)))  # noqa: PTH111 (Path's fails for ~nobody)
    name = "stdin" if script == STDIN else script
    kept, strict = shell.variables.arguments, shell.strict
    shell.variables.arguments, shell.strict = (name, *arguments), not keep_going
    shell.depth += 1
    try:
        return run_lines(shell, lines, name, keep_going=keep_going)
    finally:
        shell.depth -= 1
        shell.variables.arguments, shell.strict = kept, strict


def run_lines(shell: Shell, lines: Iterable[str], name: str, *, keep_going: bool = False) -> int:
    """Carry out lines that stand in `name`, and return the exit code of the one that failed first."""
    first = 0
    for number, text in _whole(lines):
        place = f"{name}:{number}"
        code = shell.line(text, place) if text is not None else _unfinished(shell, place)
        first = first or code
        if shell.left or shell.ending or code == Interrupted.exit_code:
            return BROKEN_PIPE if shell.left else Interrupted.exit_code
        if code and not keep_going:
            return code
    return first


def _whole(lines: Iterable[str]) -> Iterator[tuple[int, str | None]]:
    """Yield the number of the first line of each command and its text; None when the last one has no end."""
    begun, text = 0, ""
    for number, line in enumerate(lines, 1):
        begun, text = (begun, f"{text}\n{line}") if text else (number, line)
        if not goes_on(text):
            yield begun, text
            text = ""
    if text:
        yield begun, None


def goes_on(text: str) -> bool:
    """Whether a command is not at its end: a quote is open, or a backslash, `|`, `&&` or `||` ends the line."""
    stripped = text.strip()
    if stripped[:1] in ("!", "?"):
        return stripped.endswith("\\") and not stripped.endswith("\\\\")
    try:
        items(text)
    except Unfinished:
        return True
    except CloudmsError:
        return False  # carrying it out says what is wrong
    return False


def _unfinished(shell: Shell, place: str) -> int:
    error = Invalid("the command has no end", hint="a quote is open, or the last line ends with a backslash")
    screen = Screen(output=shell.options.output, place=place)
    shell.variables.code = told(error, screen)
    return shell.code


def _stdin() -> Iterator[str]:
    """Yield the lines of stdin as they come."""
    while sys.stdin is not None and (line := sys.stdin.readline()):
        yield line.rstrip("\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as stdin has them: form feeds and the separators of Unicode end none."""
    return text.removesuffix("\n").split("\n") if text else []


def _file(path: Path) -> list[str]:
    try:
        return lines_of(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise NotFound(f"there is no script {path}", hint="its name is relative to the folder you are in") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not UTF-8 text", hint="is it a script?") from None
    except OSError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}", hint="check its mode") from None
