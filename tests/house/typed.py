"""The command lines that pages and messages print, read as the command line itself would read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cloudms.doors import words
from cloudms.doors.options import shared, spelled
from cloudms.doors.parse import HelpWanted, parse
from cloudms.errors import CloudmsError, NotFound
from cloudms.registry import VerbEntry
from cloudms.verb import parameters
from tests.house.commands import built_in
from tests.house.source import ROOT

CLOUDS = ("local", "fake", "lab", "aws", "azure")
"""Clouds that pages speak of."""

ALIASES = {"up": "vm boot --cloud=lab", "newawsvm": "aws vm"}
"""Aliases that pages speak of."""

ENDS = ("|", ">", ">>", "<", "&&", ";", "||", "&")


class Line(NamedTuple):
    """A command line in a page: `whole` in a block of its own, else part of a sentence, where words may be left out."""

    file: Path
    number: int
    text: str
    whole: bool

    @property
    def place(self) -> str:
        """Return file:line."""
        return f"{self.file.relative_to(ROOT)}:{self.number}"


def lines_of(file: Path) -> Iterator[Line]:
    """Yield the command lines of a page; what other programs are told and the ancestors' own are left out."""
    fence, old_first = "", False
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if text.startswith("```"):
            fence = "" if fence else text[3:] or "text"
        elif fence:
            yield from (Line(file, number, text.strip(), True) for _ in [0] if fence == "sh" and "cms" in text)
        elif text.startswith("    "):
            yield from (Line(file, number, text.strip(), True) for _ in [0] if is_ours(text))
        else:
            old_first = text.startswith("| there") or (old_first and text.startswith("|"))
            told = text.split("|", 2)[2] if old_first else text
            yield from (Line(file, number, found, False) for found in re.findall(r"`([^`]+)`", told) if is_ours(found))


def is_ours(text: str) -> bool:
    """Whether a text is a command line of ours."""
    return re.match(r"\s*(\$ )?(\./)?cms( |$)", text) is not None


def split(text: str) -> list[str]:
    """Return the words after `cms`, up to a comment, a pipe or a redirection."""
    lexer = shlex.shlex(text.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in ENDS:
            break
        found.append(word)
    while found and "=" in found[0]:
        found.pop(0)  # a variable for this command
    return [word for word in found[1:] if word not in ("…", "...")]


class Known:
    """What the configuration of a reader may hold."""

    def aliases(self) -> Mapping[str, str]:
        """Return the aliases."""
        return ALIASES

    def has_cloud(self, name: str) -> bool:
        """Whether a cloud has that name, or stands for one."""
        return name in CLOUDS or name == "CLOUD"


def entry_of(given: list[str]) -> tuple[VerbEntry | None, list[str]]:
    """Return the command that words begin with, and what follows it."""
    index = built_in()
    asked = list(words.sort_out(given, index, Known).words)
    for length in (3, 2, 1):
        entry = index.exact(asked[:length]) if len(asked) >= length else None
        if entry is not None:
            return entry, asked[length:]
    return None, asked


def problem(line: Line) -> str:
    """Return what is wrong with a command line, or nothing."""
    given = split(line.text)
    own = given[: given.index("--")] if "--" in given else given
    if not own or own[0] == "help" or set(own) & {"--help", "-h", "--version", "-V"}:
        given = [word for word in given if not word.startswith("-") and word != "help"]
        return "" if not given or built_in().below(given) else f"no command {given}"
    entry, rest = entry_of(["shell", *given] if words.is_script(given[0]) else given)
    if entry is None:
        part = not line.whole and built_in().below(rest)
        return "" if part else f"no command '{' '.join(given)}'"
    return _parsed(entry, rest, whole=line.whole)


def _parsed(entry: VerbEntry, rest: list[str], *, whole: bool) -> str:
    try:
        parse(entry.load(), rest)
    except HelpWanted:
        return ""
    except NotFound:
        return ""  # the file that the page speaks of
    except CloudmsError as error:
        if not whole and error.message.endswith(" is missing"):
            return ""
        plain = ["1" if re.fullmatch(r"[A-Z_]+", word) else word for word in rest]
        return error.message if whole or plain == rest else _parsed(entry, plain, whole=whole)
    return ""


def options_of(entry: VerbEntry) -> set[str]:
    """Return every option a command takes, as it is typed."""
    verb = entry.load()
    own = parameters(verb)
    known = [p for p in own if not p.argument] + shared(verb, own)
    return {name for parameter in known for name in spelled(parameter)} | {"-h", "--help"}
