"""What the line being typed may become; the commands of the house are completed as on the command line."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator

from cloudms.doors.completion import FILES, Candidate, candidates
from cloudms.doors.shell.builtins import BUILTINS
from cloudms.doors.shell.lexer import Lexer, Operator, Word
from cloudms.doors.shell.shell import Shell
from cloudms.record import Record

_SAFE = re.compile(r"[\w@%+=:,./~\[\]{}*^-]+")
_NO_NAMES = ("var", "echo", "banner", "sleep", "pause", "history", "true", "quit", "exit", "q")


class Offer(Record):
    """What the text from `start` on may become, and what that is."""

    value: str
    start: int
    text: str = ""


def offers(shell: Shell, text: str) -> list[Offer]:
    """Return what the end of `text` may become, in the order in which it is offered."""
    words, sign = _last_command(text)
    current = words.pop() if words and words[-1].end == len(text) else Word(pieces=(), start=len(text), end=len(text))
    if text.lstrip()[:1] == "!" or sign == "|":
        found: Iterable[Candidate] = ((value, "") for value in files(current.text))
    elif sign in (">", ">>"):
        found = ((value, "") for value in files(current.text))
    else:
        found = _candidates(shell, [word.text for word in words], current.text)
    return [Offer(value=_typed(value), start=current.start, text=about) for value, about in found]


def _last_command(text: str) -> tuple[list[Word], str]:
    """Return the words of the command that is being typed, and the sign before it."""
    words: list[Word] = []
    sign = ""
    for token in Lexer(text, lenient=True).tokens():
        if isinstance(token, Operator):
            words, sign = [], token.text
        else:
            words.append(token)
    return words, sign


def _candidates(shell: Shell, before: list[str], current: str) -> Iterator[Candidate]:
    if before[:1] == ["?"]:
        before = ["help", *before[1:]]
    elif not before and current[:1] == "?":
        before, current = ["help"], current[1:]
    first = before[0] if before else ""
    if current.startswith("$"):
        yield from _variables(shell, current)
    elif first in ("source", "cd"):
        yield from ((value, "") for value in files(current, folders=first == "cd"))
    elif first in _NO_NAMES:
        return
    else:
        yield from _house(shell, before[1:] if first in ("help", "cms") else before, current, first)


def _house(shell: Shell, before: list[str], current: str, first: str) -> Iterator[Candidate]:
    if not before and first != "cms":
        yield from ((word, _about(word)) for word in BUILTINS if word.startswith(current) and word != "q")
    for value, text in candidates(shell.branch(), [*before, current], door="shell"):
        if value == FILES:
            head, equals, tail = current.partition("=") if current.startswith("-") else ("", "", current)
            yield from ((head + equals + name, "") for name in files(tail))
        else:
            yield value, text


def _about(word: str) -> str:
    return (BUILTINS[word].__doc__ or "").partition("\n")[0]


def _variables(shell: Shell, current: str) -> Iterator[Candidate]:
    typed = current.lstrip("${")
    names = dict.fromkeys((*sorted(shell.variables.own), *sorted(os.environ)))
    yield from ((f"${name}", "") for name in names if name.startswith(typed))


def files(current: str, *, folders: bool = False) -> list[str]:
    """Return the files that `current` may become; a folder ends with a slash. `folders`, only those."""
    head, slash, tail = current.rpartition("/")
    try:
        entries = sorted(os.scandir(os.path.expanduser(head + slash) or "."), key=lambda e: e.name)  # noqa: PTH111
        kept = [(e.name, e.is_dir()) for e in entries if e.name.startswith(tail) and (tail or e.name[0] != ".")]
    except OSError:
        return []
    return [f"{head}{slash}{name}" + "/" * is_folder for name, is_folder in kept if is_folder or not folders]


def _typed(value: str) -> str:
    """Return a value as it is typed: quoted where it must be, and a blank after it where a new word follows."""
    plain = value if _SAFE.fullmatch(value) or value.startswith("$") else shlex.quote(value)
    return plain if value.endswith(("=", "/")) else plain + " "
