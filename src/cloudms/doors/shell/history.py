"""What was typed: one file for all sessions, readable by the person alone, in which no secret stands."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cloudms import paths
from cloudms.config.secret import is_reference
from cloudms.config.tree import is_secret
from cloudms.doors.shell.lexer import Lexer, Word
from cloudms.errors import CloudmsError

MOST = 5000
"""Entries kept."""


class History:
    """The lines of all sessions, the oldest first. Parameters: `file`, where they are kept.

    An entry of several lines has a backslash at the end of each but the last.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or paths.home() / "history"

    def entries(self) -> list[str]:
        """Return what was typed, as far as it can be read; longer files are cut to the newest."""
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        found = list(_joined(text.removesuffix("\n").split("\n"))) if text else []
        if len(found) > MOST + MOST // 10:
            found = found[-MOST:]
            self._write(found)
        return found

    def add(self, entry: str) -> bool:
        """Keep an entry unless it is empty, begins with a blank or holds a secret; return whether it was kept."""
        entry = entry.rstrip() if not entry.rstrip().endswith("\\") else entry
        if not entry.strip() or entry[0] == " " or holds_secret(entry):
            return False
        try:
            paths.private(self.file.parent)
            with open(self.file, "a", encoding="utf-8", opener=_private) as file:
                file.write(_line(entry))
        except OSError:
            return False  # a full disk is no reason to refuse a command
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._write([])

    def _write(self, entries: list[str]) -> None:
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        try:
            with open(temporary, "w", encoding="utf-8", opener=_private) as file:
                file.writelines(map(_line, entries))
            temporary.replace(self.file)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(entry: str) -> str:
    ends = entry + " " if entry.endswith("\\") else entry
    return ends.replace("\n", "\\\n") + "\n"


def _joined(lines: list[str]) -> Iterator[str]:
    entry: list[str] = []
    for line in lines:
        if line.endswith("\\"):
            entry.append(line[:-1])
        else:
            yield "\n".join([*entry, line])
            entry = []


def holds_secret(line: str) -> bool:
    """Whether a secret may stand in a line: after the key or option of one (`KEY=VALUE`, `KEY VALUE`), or in a URL.

    A reference such as env:NAME is none.
    """
    words = _words(line)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        key, equals, value = word.partition("=")
        path = tuple(key.lstrip("-").removeprefix("cloudmesh.").split("."))
        told = value if equals else following
        if told and not is_reference(told) and is_secret(path, told):
            return True
    return False


def _words(line: str) -> list[str]:
    """Return the words of a line, what cannot be read included."""
    try:
        found = [token.text for token in Lexer(line.lstrip("!"), lenient=True).tokens() if isinstance(token, Word)]
    except CloudmsError:
        return line.split()
    return found
