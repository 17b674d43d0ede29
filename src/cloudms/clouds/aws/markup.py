"""EC2's XML as rows in boto3's shape, several times as fast as a general parser.

EC2 writes the plainest XML there is: no attributes below the root, no comments, no CDATA. `quick` splits such text at
its tags and checks that every tag it opens is closed; whatever is not as plain is read again by expat, so that the
result is the same for all XML. tests/unit/clouds/aws/test_markup.py compares both with botocore.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from itertools import chain
from typing import Any

from cloudms.clouds.aws.shapes import BOOL, FLOAT, INT, LIST, STRUCT, TEXT, TIME, Entry, Shape, Table

_PART = 1 << 16
"""Bytes that are split at a time, so that the pieces of one part fit a processor's cache."""
_ENTITIES = {"lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&"}


class Malformed(ValueError):
    """This is no answer of that operation: cut off, not XML, or the document of another program."""


class _Unusual(Exception):
    """XML that may well be right, but is not as plain as EC2's."""


def read(body: bytes, shape: Shape) -> dict[str, Any]:
    """Return an answer as boto3 would, with times as text. Raises: Malformed."""
    try:
        return quick(body, shape)
    except _Unusual:
        return thorough(body, shape)


def quick(body: bytes, shape: Shape) -> dict[str, Any]:
    """Return the answer in `body` when it is plain. Raises: _Unusual."""
    try:
        if b"\r" in body:
            raise _Unusual("line ends that are to be changed")
        pieces = chain.from_iterable(_split(body))
        while (head := next(pieces)) == "" or head.isspace() or head.startswith("?xml "):
            continue
        if not head.startswith((f"{shape.root} ", f"{shape.root}>")) or "/>" in head:
            raise _Unusual("another root")
        found = _structure(pieces, shape.table, f"/{shape.root}>")
    except (StopIteration, UnicodeDecodeError, ValueError) as error:
        raise _Unusual(str(error)) from None
    if next(pieces, None) is not None:
        raise _Unusual("something after the end")
    return found


def _split(body: bytes) -> Iterator[list[str]]:
    """Yield what stands between one opening bracket and the next, in parts. Raises: UnicodeDecodeError."""
    rest, decode = "", getincrementaldecoder("utf-8")().decode
    for start in range(0, len(body), _PART):
        pieces = (rest + decode(body[start : start + _PART], start + _PART >= len(body))).split("<")
        rest = pieces.pop()
        yield pieces
    yield [rest]


def _structure(pieces: Iterator[str], table: Table, closing: str) -> dict[str, Any]:
    """Return what stands before the `closing` tag."""
    found: dict[str, Any] = {}
    get = table.get
    for piece in pieces:
        element, _, value = piece.partition(">")
        entry = get(element)
        if entry is None:
            if piece.startswith(closing):
                return found
            _other(pieces, element, table, found)
            continue
        name, what, inside, close = entry
        if what < STRUCT:
            if "&" in value:
                value = _unescaped(value)
            if what == TEXT:
                found[name] = value
            else:
                found[name] = _scalar(what, value)
            if not next(pieces).startswith(close):
                raise _Unusual(f"{element} has something inside")
        elif what == STRUCT:
            found[name] = _structure(pieces, inside, close)
        else:
            found[name] = _items(pieces, inside, close)
    raise _Unusual("cut off")


def _items(pieces: Iterator[str], inside: tuple[str, Entry], closing: str) -> list[Any]:
    """Return the items of a list."""
    item, (_, what, table, close) = inside
    found: list[Any] = []
    for piece in pieces:
        element, _, value = piece.partition(">")
        if element == item and what == STRUCT:
            found.append(_structure(pieces, table, close))
        elif element == item and what < STRUCT:
            found.append(_scalar(what, _unescaped(value)))
            if not next(pieces).startswith(close):
                raise _Unusual(f"{element} has something inside")
        elif element == item:
            found.append(_items(pieces, table, close))
        elif element == f"{item}/":
            found.append(_empty(what))
        elif piece.startswith(closing):
            return found
        else:
            raise _Unusual(f"{element} in a list of {item}")
    raise _Unusual("cut off")


def _other(pieces: Iterator[str], element: str, table: Table, found: dict[str, Any]) -> None:
    """Take an element that is empty, or pass over one that the model does not know."""
    if element.endswith("/"):
        entry = table.get(element[:-1])
        if entry is not None:
            found[entry[0]] = _empty(entry[1])
        elif not element[:-1].isalnum():
            raise _Unusual(element)
        return
    _pass_over(pieces, element)


def _pass_over(pieces: Iterator[str], element: str) -> None:
    """Leave out what stands inside an element. Raises: _Unusual."""
    if not element.isalnum():
        raise _Unusual(element)
    depth = 1
    for piece in pieces:
        inner = piece.partition(">")[0]
        if inner.startswith("/"):
            depth -= 1
        elif not inner.endswith("/"):
            depth += 1
        if not inner.strip("/").isalnum():
            raise _Unusual(inner)
        if not depth:
            if inner != f"/{element}":
                raise _Unusual(f"{element} is not closed")
            return


def _empty(what: int) -> Any:
    return {} if what == STRUCT else [] if what == LIST else _scalar(what, "")


def _scalar(what: int, text: str) -> Any:
    if what == BOOL:
        return text == "true"
    if what == INT:
        return int(text)
    if what == TIME:
        return f"{text[:-5]}Z" if text.endswith(".000Z") else f"{text[:-1]}000Z" if len(text) == 24 else text
    return float(text) if what == FLOAT else text


def _unescaped(text: str) -> str:
    """Return text with its entities replaced (XML 1.0, section 4.6). Raises: _Unusual."""
    return re.sub(r"&([^;]*);?", _entity, text)


def _entity(found: re.Match[str]) -> str:
    word = found[1]
    if not found[0].endswith(";"):
        raise _Unusual("an ampersand")
    if word.startswith("#"):
        return chr(int(word[2:], 16) if word[1:2] == "x" else int(word[1:]))
    if word not in _ENTITIES:
        raise _Unusual(word)
    return _ENTITIES[word]


def thorough(body: bytes, shape: Shape) -> dict[str, Any]:
    """Return the answer in any XML. Raises: Malformed."""
    from pyexpat import ExpatError, ParserCreate

    reader = _Reader(shape)
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    try:
        parser.Parse(body, True)
    except (ExpatError, ValueError) as error:
        raise Malformed(str(error)) from None
    return reader.found


class _Reader:
    """Expat's events, made a tree by the table: each open element is what it fills and what may stand inside."""

    def __init__(self, shape: Shape) -> None:
        self.found: dict[str, Any] = {}
        self.text: list[str] = []
        self._root = shape.root
        self._table = shape.table
        self._open: list[tuple[Any, Entry | None]] = []

    def start(self, element: str, _attributes: dict[str, str]) -> None:
        """Open an element; names may carry a prefix of their namespace. Raises: Malformed (another document)."""
        element = element.rpartition(":")[2]
        self.text.clear()
        if not self._open:
            if element != self._root:
                raise Malformed(f"a document of {element} instead of {self._root}")
            self._open.append((self.found, ("", STRUCT, self._table, "")))
            return
        above, inside = self._open[-1]
        entry = _below(inside, element)
        self._open.append((_put(above, entry) if entry else None, entry))

    def end(self, _element: str) -> None:
        """Close the innermost element; one without others inside has its text as value."""
        _, entry = self._open.pop()
        if entry is not None and entry[1] < STRUCT:
            value = _scalar(entry[1], "".join(self.text))
            above = self._open[-1][0]
            if isinstance(above, list):
                above.append(value)
            else:
                above[entry[0]] = value
        self.text.clear()


def _below(above: Entry | None, element: str) -> Entry | None:
    """Return what an element means inside another, or None when the model does not know it."""
    if above is None or above[1] < STRUCT:
        return None
    if above[1] == STRUCT:
        found: Entry | None = above[2].get(element)
        return found
    item, entry = above[2]
    return entry if element == item else None


def _put(above: Any, entry: Entry) -> Any:
    """Make the dict or list of a structure or list in what it belongs to, and return it."""
    if entry[1] < STRUCT:
        return None
    new: Any = _empty(entry[1])
    if isinstance(above, list):
        above.append(new)
    else:
        above[entry[0]] = new
    return new
