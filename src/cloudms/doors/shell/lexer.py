"""From a line to words, quoted as in sh(1): quotes, backslashes, comments, and the signs between commands.

A word is kept as pieces, since only what does not stand between single quotes is substituted later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cloudms.errors import Invalid
from cloudms.record import Record

OPERATORS = ("&&", "||", ">>", ";", "|", ">", "\n")
"""The signs between commands, the longest first."""

_PLAIN = re.compile(r"[^ \t\r\n;|>&<'\"\\]+")
"""Letters that mean themselves; taken together, since letter by letter a long line takes minutes."""

_QUOTED = {"'": re.compile(r"[^']+"), '"': re.compile(r'[^"\\]+')}
"""The same between quotes."""

_REFUSED = {"&": "commands do not run in the background here", "<": "a command reads no file here"}


class Unfinished(Exception):
    """The line goes on: a quote is open, or a backslash stands at the end."""


class Piece(Record):
    """A part of a word; `quote` is what it stands between, a single quote where nothing in it is substituted."""

    text: str
    quote: str = ""


class Word(Record):
    """A word, and where it stands in the line."""

    pieces: tuple[Piece, ...]
    start: int = 0
    end: int = 0

    @property
    def text(self) -> str:
        """Return the word without its quotes, nothing substituted."""
        return "".join(piece.text for piece in self.pieces)


class Operator(Record):
    """A sign between commands, and where it stands in the line."""

    text: str
    start: int
    end: int


Token = Word | Operator


class Lexer:
    """Reads one line. Parameters: `text`; `lenient`, an open quote ends with the line (while a person still types)."""

    def __init__(self, text: str, *, lenient: bool = False) -> None:
        self.text = text
        self.lenient = lenient
        self.at = 0

    def tokens(self) -> Iterator[Token]:
        """Yield words and operators. Raises: Unfinished, Invalid (a sign that has no meaning here)."""
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r" or self.text.startswith("\\\n", self.at):
                self.at += 1 + (self.text[self.at] == "\\")
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif sign := self._operator():
                self.at += len(sign)
                yield Operator(text=sign, start=self.at - len(sign), end=self.at)
            else:
                yield self._word()

    def _operator(self) -> str:
        sign = next((sign for sign in OPERATORS if self.text.startswith(sign, self.at)), "")
        if not sign and self.text[self.at] in _REFUSED and not self.lenient:
            raise Invalid(f"'{self.text[self.at]}': {_REFUSED[self.text[self.at]]}", hint="quote it to mean the sign")
        return sign

    def _word(self) -> Word:
        start, pieces, plain = self.at, list[Piece](), ""
        while self.at < len(self.text):
            if run := _PLAIN.match(self.text, self.at):
                plain += run[0]
                self.at = run.end()
                continue
            letter = self.text[self.at]
            if letter in " \t\r\n;|>" or (letter in "&<" and not (self.lenient and self.at == start)):
                break
            self.at += 1
            if letter in "'\"\\":
                pieces += [Piece(text=plain)] * bool(plain)
                plain = ""
                pieces += self._escaped() if letter == "\\" else self._quoted(letter)
            else:
                plain += letter
        pieces += [Piece(text=plain)] * bool(plain)
        return Word(pieces=tuple(pieces), start=start, end=self.at)

    def _escaped(self) -> list[Piece]:
        """Return the letter after a backslash as it is; a backslash at the end of a line joins it with the next."""
        if self.at >= len(self.text):
            return self._open()
        self.at += 1
        letter = self.text[self.at - 1]
        return [] if letter == "\n" else [Piece(text=letter, quote="'")]

    def _quoted(self, quote: str) -> list[Piece]:
        """Return what stands between quotes; a backslash means something between double ones only."""
        pieces, plain = list[Piece](), ""
        while self.at < len(self.text):
            if run := _QUOTED[quote].match(self.text, self.at):
                plain += run[0]
                self.at = run.end()
                continue
            letter = self.text[self.at]
            self.at += 1
            if letter == quote:
                return [*pieces, Piece(text=plain, quote=quote)]
            if letter == "\\" and quote == '"' and self.text[self.at : self.at + 1] in ('"', "\\", "$", "`", "\n"):
                pieces += [Piece(text=plain, quote=quote), *self._escaped()]
                plain = ""
            else:
                plain += letter
        return [*pieces, Piece(text=plain, quote=quote), *self._open()]

    def _open(self) -> list[Piece]:
        if not self.lenient:
            raise Unfinished
        return []


class Item(Record):
    """One command of a line.

    `join` is the sign before it; `words` are not substituted yet; `pipe` is what follows `|`, untouched, for the
    person's own shell; `file` is where its output goes, at the end of what is there when `append`.
    """

    words: tuple[Word, ...]
    join: str = ";"
    pipe: str = ""
    file: Word | None = None
    append: bool = False


def items(text: str) -> list[Item]:
    """Return the commands of a line. Raises: Unfinished, Invalid."""
    found: list[Item] = []
    lexer = Lexer(text)
    join, words, file, append = ";", list[Word](), None, False
    tokens = lexer.tokens()
    for token in tokens:
        if isinstance(token, Word):
            words.append(token)
            continue
        if token.text in (">", ">>"):
            if words and words[-1].text.isdigit() and words[-1].end == token.start:
                raise Invalid(f"'{words[-1].text}>': only results go into a file", hint="-q leaves notes out")
            if file is not None:
                raise Invalid("results go into one file only", hint="vm list > a.txt; vm list > b.txt writes two")
            file, append = _file(next(tokens, None), token.text), token.text == ">>"
            continue
        if token.text == "|":
            return [*found, _piped(join, words, text[token.end :], file)]
        if token.text == "\n" and join != ";" and not words:
            continue
        found += _item(join, words, file, append, token.text)
        join, words, file, append = ";" if token.text == "\n" else token.text, [], None, False
    if join in ("&&", "||") and not words:
        raise Unfinished
    return found + _item(join, words, file, append, "")


def _file(token: Token | None, sign: str) -> Word:
    if not isinstance(token, Word):
        raise Invalid(f"no file is named after '{sign}'", hint="write it like: vm list -o json > vms.json")
    return token


def _piped(join: str, words: list[Word], rest: str, file: Word | None) -> Item:
    if not rest.strip():
        raise Unfinished
    if not words or file is not None:
        raise Invalid("nothing comes out before '|'", hint="write it like: vm list -o name | sort")
    return Item(words=tuple(words), join=join, pipe=rest.strip())


def _item(join: str, words: list[Word], file: Word | None, append: bool, sign: str) -> list[Item]:
    if words:
        return [Item(words=tuple(words), join=join, file=file, append=append)]
    if file is not None or sign in (";", "&&", "||"):
        raise Invalid(f"no command before '{sign or '>'}'", hint="quote it to mean the sign")
    return []
