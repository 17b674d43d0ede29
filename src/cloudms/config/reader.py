"""YAML text to a tree, with the line of every key; strict about what is ambiguous, and never building objects.

Imported only when a file has to be read anew, since it brings the YAML library in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import yaml

from cloudms.config import files
from cloudms.config.known import WORDS
from cloudms.config.tree import Path
from cloudms.errors import ConfigError
from cloudms.names import nearest
from cloudms.record import Record

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ELLIPSIS = re.compile(r"^[ \t]+(\.[ \t]?\.[ \t]?\.|…)[ \t]*\r?$", re.MULTILINE)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_YAML = "tag:yaml.org,2002:"
_MOST_NODES = 100_000
_DEEPEST = 64
_DEEPEST_INCLUDE = 8


class Document(Record):
    """A file as read: `tree` with its secrets, `lines` (file and line of every key and item), `files` (path and stamp
    of the file and what it includes), `elided` (lines of dots that were skipped).
    """

    tree: dict[str, Any]
    lines: dict[Path, tuple[str, int]]
    files: list[tuple[str, files.Stamp]]
    elided: list[int]


def load(path: FilePath) -> Document:
    """Return the configuration file at `path`. Raises: ConfigError with file and line."""
    reading = _Reading()
    root = reading.file(path, ())
    if root is None:
        root = {}
    if not isinstance(root, dict):
        raise files.wrong(path, 1, f"the file is a {_word(root)}, not a section", "begin it with 'cloudmesh:'")
    return Document(tree=root, lines=reading.lines, files=reading.files, elided=reading.elided)


def parse(text: str, path: FilePath) -> Any:
    """Return the value of `text`, included files included. Raises: ConfigError."""
    return _Reading().text(text, path, ())


def compose(text: str, path: FilePath, loader: Any = _Loader) -> tuple[yaml.Node | None, list[int]]:
    """Return the YAML node of `text` and the lines of dots skipped in it, as printed manuals have them.

    The places of the nodes are those of `text`. Raises: ConfigError.
    """
    try:
        return _compose(text, loader), []
    except (yaml.YAMLError, RecursionError) as problem:
        without = _ELLIPSIS.sub(lambda found: re.sub(r"[.…]", " ", found[0]), text)
        if without == text:
            raise _malformed(problem, text, path) from None
    try:
        node = _compose(without, loader)
    except (yaml.YAMLError, RecursionError) as problem:
        raise _malformed(problem, text, path) from None
    return node, [text.count("\n", 0, found.start()) + 1 for found in _ELLIPSIS.finditer(text)]


def _compose(text: str, loader: Any) -> yaml.Node | None:
    node: yaml.Node | None = yaml.compose(text, Loader=loader)
    return node


def _malformed(problem: Exception, text: str, path: FilePath) -> ConfigError:
    """Say where and why, without repeating the file's text, which may be a secret."""
    if isinstance(problem, RecursionError):
        return files.wrong(path, 1, "the file is nested too deeply", "a configuration has a handful of levels")
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    line = mark.line + 1 if mark else text.count("\n", 0, getattr(problem, "position", 0)) + 1
    lines = text.splitlines()
    for number in (line, line - 1):
        if 0 < number <= len(lines) and re.match(r" *\t", lines[number - 1]):
            return files.wrong(path, number, "a tab indents this line", "YAML wants spaces: replace the tab")
    why = re.sub(r"'[^']{2,}'|\"[^\"]{2,}\"", "'…'", getattr(problem, "problem", None) or "a control character")
    return files.wrong(path, line, f"this is not YAML: {why}", _near(lines[:line]))


def _near(lines: list[str]) -> str:
    """Name the known key that the last of `lines` that looks like one was probably meant to be."""
    for line in reversed(lines[-3:]):
        word = re.match(r"[\s-]*([A-Za-z_][\w.-]*)", line)
        if word and (close := nearest(word[1], WORDS)):
            return f"check that line and the one before; the nearest known key is '{close}:'"
    return "check that line and the one before: a colon, a quote or the indentation"


class _Reading:
    """Turns nodes into plain values and keeps the line of every key."""

    def __init__(self) -> None:
        self.lines: dict[Path, tuple[str, int]] = {}
        self.files: list[tuple[str, files.Stamp]] = []
        self.elided: list[int] = []
        self._nodes = 0
        self._stack: list[tuple[FilePath, int]] = []

    def file(self, path: FilePath, at: Path) -> Any:
        text, stamp = files.read(path)
        self.files.append((str(path), stamp))
        return self.text(text, path, at)

    def text(self, text: str, path: FilePath, at: Path) -> Any:
        node, elided = compose(text, path)
        self.elided += elided
        return None if node is None else self._value(node, path, at)

    def _value(self, node: yaml.Node, path: FilePath, at: Path) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES or (path, id(node)) in self._stack:
            raise _wrong(path, node, "an anchor refers to itself, or the file has more than 100,000 values")
        if len(self._stack) > _DEEPEST:
            raise _wrong(path, node, "the file is nested too deeply", "a configuration has a handful of levels")
        if node.tag == "!include":
            return self._include(node, path, at)
        if "/" in node.tag or not (node.tag == "!" or node.tag.startswith(_YAML)):
            raise _wrong(path, node, "a tag that is not known; only !include is", "remove the word after the '!'")
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        self._stack.append((path, id(node)))
        value = self._mapping(node, path, at) if isinstance(node, yaml.MappingNode) else self._list(node, path, at)
        self._stack.pop()
        return value

    def _list(self, node: yaml.Node, path: FilePath, at: Path) -> list[Any]:
        found = []
        for index, item in enumerate(node.value):
            self.lines[(*at, str(index))] = (str(path), item.start_mark.line + 1)
            found.append(self._value(item, path, (*at, str(index))))
        return found

    def _mapping(self, node: yaml.MappingNode, path: FilePath, at: Path) -> Any:
        if reference := _bare_reference(node):
            return reference
        seen: dict[str, int] = {}
        value: dict[str, Any] = {}
        for key, item in self._pairs(node, path, at, value):
            line = key.start_mark.line + 1
            if key.value in seen:
                raise _wrong(
                    path, key, f"the key '{key.value}' stands twice, first in line {seen[key.value]}", "remove one"
                )
            seen[key.value] = line
            self.lines[(*at, key.value)] = (str(path), line)
            value[key.value] = self._value(item, path, (*at, key.value))
        return value

    def _pairs(
        self, node: yaml.MappingNode, path: FilePath, at: Path, value: dict[str, Any]
    ) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield the keys of `node` with their values; what it merges (<<) goes into `value`, to be overridden."""
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(path, key, "a key must be a word", "quote text that begins with a bracket or a brace")
            if key.tag == _YAML + "merge":
                for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    merged = self._value(source, path, at)
                    if not isinstance(merged, dict):
                        raise _wrong(path, key, "'<<' wants a section", "name an anchor of a section")
                    value.update({name: entry for name, entry in merged.items() if name not in value})
        yield from ((key, item) for key, item in node.value if key.tag != _YAML + "merge")

    def _include(self, node: yaml.Node, path: FilePath, at: Path) -> Any:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise _wrong(path, node, "!include names no file", "write !include FILE")
        target = FilePath(os.path.realpath(path.parent / FilePath(node.value).expanduser()))
        above = [os.path.realpath(name) for name, _ in self._stack]
        if str(target) in above or len(set(above)) > _DEEPEST_INCLUDE:
            raise _wrong(path, node, "files include each other in a circle", "remove one !include")
        try:
            return self.file(target, at)
        except ConfigError as problem:
            if problem.message.startswith(f"{target} cannot be read"):
                raise _wrong(path, node, f"!include: {problem.message}", "check the name, or remove it") from None
            raise


def _bare_reference(node: yaml.MappingNode) -> str | None:
    """Return `{username}` for an unquoted brace value, which YAML reads as a section with one empty key."""
    if not node.flow_style or len(node.value) != 1:
        return None
    key, item = node.value[0]
    empty = isinstance(item, yaml.ScalarNode) and item.value == "" and item.style not in ("'", '"')
    return "{" + key.value + "}" if empty and isinstance(key, yaml.ScalarNode) else None


def scalar(node: yaml.ScalarNode) -> Any:
    """Return the value of a scalar: null, true and false, numbers that read back as written, else its text.

    YAML 1.1 would make a number of 18.10 (18.1), 22:22 (1342) and 0123 (83), and a truth of NO; versions, ports, ids
    and regions must survive, so they stay text.
    """
    text: str = node.value
    if node.style in ("'", '"', "|", ">") or node.tag == _YAML + "str":
        return text
    if text in _WORDS:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


def _wrong(path: FilePath, node: yaml.Node, why: str, hint: str = "write it out") -> ConfigError:
    return files.wrong(path, node.start_mark.line + 1, why, hint)


def _word(value: object) -> str:
    return "list" if isinstance(value, list) else "single value"
