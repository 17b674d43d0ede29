"""Variables: `$x`, `${x}`, `${x:-word}` and `{x}` in words, replaced by a parser and never evaluated."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cloudms.doors.shell.lexer import Word
from cloudms.errors import Invalid, NotFound
from cloudms.names import nearest

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_DOLLAR = re.compile(rf"\$(?:\{{(?P<braced>{NAME}|[0-9]+|[?#@])(?::-(?P<usual>[^}}]*))?\}}|(?P<bare>{NAME}|[0-9?#@]))")
_ANY = re.compile(rf"{_DOLLAR.pattern}|\{{({NAME})\}}")

Remembered = Callable[[str], str | None]
"""Returns the text of a setting by what a person calls it, or None."""


class Variables:
    """The values that words stand for in one shell.

    `own` are those of `var`; `arguments` what follows the name of a script, which is argument 0; `code` is the exit
    code of the last command. Parameters: `remembered`, looks a setting up; `free`, whether a setting has a name of the
    person's own, so that `{name}` may stand for it; `environ`, the environment.
    """

    def __init__(
        self,
        remembered: Remembered = lambda _: None,
        free: Callable[[str], bool] = lambda _: False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.own: dict[str, str] = {}
        self.arguments: tuple[str, ...] = ("cms",)
        self.code = 0
        self._remembered = remembered
        self._free = free
        self._environ = os.environ if environ is None else environ

    def put(self, name: str, value: str) -> None:
        """Give a variable a value; an empty one forgets it. Raises: Invalid."""
        if not re.fullmatch(NAME, name):
            raise Invalid(f"'{name[:80]}' is no name of a variable", hint="write it like: var count=3")
        self.own.pop(name, None)
        if value:
            self.own[name] = value

    def value(self, name: str) -> str | None:
        """Return what `$name` stands for: a variable, a setting, the environment's; None when there is none."""
        if name.isdigit():
            number = int(name[:9])  # there are never so many; int() refuses thousands of digits
            return self.arguments[number] if number < len(self.arguments) else None
        special = {"?": str(self.code), "#": str(len(self.arguments) - 1), "@": " ".join(self.arguments[1:])}
        for found in (special.get(name), self.own.get(name), self._remembered(name), self._environ.get(name)):
            if found is not None:
                return found
        return None

    def expand(self, words: Sequence[Word]) -> list[str]:
        """Return words as a command gets them. Raises: NotFound (a variable without a value)."""
        found: list[str] = []
        for word in words:
            if word.text == "$@" and not any(piece.quote == "'" for piece in word.pieces):
                found += self.arguments[1:]
            else:
                found.append(self.word(word))
        return found

    def word(self, word: Word) -> str:
        """Return one word with what its variables stand for; a value never becomes several words."""
        first = word.pieces[0] if word.pieces else None
        text = "".join(piece.text if piece.quote == "'" else self._replaced(piece.text) for piece in word.pieces)
        if first is not None and not first.quote and re.match(r"~(/|$)", first.text):
            return str(Path.home()) + text[1:]
        return text

    def _replaced(self, text: str) -> str:
        """Replace in one pass, so that a value that looks like a variable stays as it is."""
        return _ANY.sub(self._stands_for, text)

    def _stands_for(self, match: re.Match[str]) -> str:
        braced = match[4]
        if braced is not None:
            return self._in_braces(braced, match[0])
        name = match["braced"] or match["bare"]
        found = self.value(name)
        if found is None and match["usual"] is not None:
            return match["usual"]
        if found is None:
            raise self._missing(name)
        return found

    def _in_braces(self, name: str, text: str) -> str:
        """Return what `{name}` stands for, or the text itself: patterns such as {user}-{counter} have braces, too."""
        if name in self.own:
            return self.own[name]
        return (self._remembered(name) if self._free(name) else None) or text

    def _missing(self, name: str) -> NotFound:
        if name.isdigit():
            return NotFound(f"argument {name} of the script is missing", hint=f"cms {self.arguments[0]} VALUE …")
        close = nearest(name, [*self.own, *self._environ])
        hint = f"did you mean ${close}" if close else f"var {name}=VALUE gives it one; '${name}' means the text itself"
        return NotFound(f"the variable '{name}' has no value", hint=hint)

    def environment(self) -> dict[str, str]:
        """Return the environment of programs that are started from here: the variables are in it."""
        return {**self._environ, **self.own}
