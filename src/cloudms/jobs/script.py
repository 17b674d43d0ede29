"""What a task runs: one text for all tasks of an experiment, and the variables in which they differ.

A placeholder such as {alpha} becomes the shell's own reference to the variable `alpha`, quoted as its place wants. No
value ever stands in the text, so none can be taken for a command, whatever characters it has.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from cloudms.jobs.fields import spelled
from cloudms.jobs.spec import Spec
from cloudms.names import nearest

OWN = ("task", "repeat", "number")
"""What every task has beside its parameters: its name, which repeat it is, and its number."""
_TOKEN = re.compile(
    r"""\\. | ' | " | \$\( | \( | \) | \n
    | (?<![^\s;&|()])\#[^\n]*
    | <<-?[ \t]*(?P<quoted>['"\\]?)(?P<end>\w+)['"]?
    | \{\{(?P<escaped>\w+)\}\} | (?<!\$)\{(?P<name>\w+)\} | .""",
    re.DOTALL | re.VERBOSE,
)
"""What the shell reads differently: quotes, brackets, comments, here-documents; and our placeholders."""


def script(spec: Spec) -> str:
    """Return the text for `sh` that a task runs: its commands one after another until one fails."""
    known = (*spec.parameters, *OWN)
    return "set -e\n" + "".join(f"{placed(command, known)}\n" for command in spec.commands)


def variables(spec: Spec, name: str, number: int, params: Mapping[str, Any], repeat: int) -> dict[str, str]:
    """Return the variables of one task: those of the experiment, which may be references to secrets, its parameters,
    and what it is called.
    """
    own = {"task": name, "repeat": str(repeat), "number": str(number)}
    told = {"CMS_EXPERIMENT": spec.name, **{f"CMS_{key.upper()}": value for key, value in own.items()}}
    return {**spec.environment, **{key: spelled(value) for key, value in params.items()}, **own, **told}


def placed(text: str, known: Collection[str]) -> str:
    """Return a command with {name} as references to variables; {{name}} stays {name}, and so does what is not known.

    A here-document whose end is quoted (<<'EOF') stays as it is, as it does for the shell.
    """
    return "".join(_Pieces(known, lambda name, quote: _REFERENCE[quote].format(name)).of(text))


def shown(text: str, values: Mapping[str, Any]) -> str:
    """Return a command as people read it, each {name} as its value in quotes where it needs them."""
    return "".join(_Pieces(values, lambda name, _quote: shlex.quote(spelled(values[name]))).of(text))


def misspelled(commands: Sequence[str], known: Collection[str]) -> list[tuple[str, str]]:
    """Return placeholders that are none, each with the parameter that was probably meant."""
    words = {found["name"] for text in commands for found in _TOKEN.finditer(text) if found["name"]}
    close = ((word, nearest(word, known)) for word in sorted(words - set(known)))
    return [(word, near) for word, near in close if near]


_REFERENCE = {"": '"${{{}}}"', '"': "${{{}}}", "'": "'\"${{{}}}\"'"}
"""A reference outside of quotes, inside of double ones, and inside of single ones, which it leaves for a moment."""


class _Pieces:
    """Goes through a command as the shell does, as far as it takes to know where quotes are open.

    What it takes wrongly is only quoted wrongly: a value is never part of the text.
    """

    def __init__(self, known: Collection[str], reference: Callable[[str, str], str]) -> None:
        self._known = known
        self._reference = reference
        self._quotes = [""]
        self._ends: list[tuple[str, bool]] = []

    def of(self, text: str) -> Iterator[str]:
        place = 0
        while found := _TOKEN.match(text, place):
            place = found.end()
            if (found["escaped"] or found["name"]) in self._known:
                yield self._placeholder(found)
                continue
            quote = self._quotes[-1]
            if quote == "'" and found[0][0] == "\\":  # a backslash says nothing in single quotes
                place = found.start() + 1
            elif not quote and found["end"]:
                self._ends.append((found["end"], bool(found["quoted"])))
            else:
                place = self._follow(found, quote)
            yield text[found.start() : place]
            if text[place - 1] == "\n" and self._ends and not quote:
                body = self._here(text[place:])
                place += len(body)
                yield self._filled(body)

    def _placeholder(self, found: re.Match[str]) -> str:
        return f"{{{found['escaped']}}}" if found["escaped"] else self._reference(found["name"], self._quotes[-1])

    def _follow(self, found: re.Match[str], quote: str) -> int:
        """Keep track of what opens and closes, and return where the next token begins."""
        piece = found[0]
        if quote and (found["end"] or piece[0] == "#"):
            return found.start() + 1
        if piece == quote:
            self._quotes.pop()
        elif (piece in "'\"" and not quote) or (piece in ("$(", "(") and quote != "'" and (piece != "(" or not quote)):
            self._quotes.append(piece if piece in "'\"" else "")
        elif piece == ")" and not quote and len(self._quotes) > 1:
            self._quotes.pop()
        return found.end()

    def _here(self, rest: str) -> str:
        """Return the lines of a here-document, its end included."""
        end, _quoted = self._ends[0]
        found = re.search(rf"^\t*{end}$\n?", rest, re.MULTILINE)
        return rest[: found.end()] if found else rest

    def _filled(self, body: str) -> str:
        _end, quoted = self._ends.pop(0)
        if quoted:
            return body
        pieces = (self._reference(found["name"], '"') if found["name"] in self._known else found[0] for found in
                  _TOKEN.finditer(body))  # fmt: skip
        return "".join(pieces)
