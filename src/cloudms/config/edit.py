"""One value of a YAML file changed in place: every other byte, comments and quotes and dots included, stays as it is.

The change is made in the text, at the place the parser reports, and believed only after the new text has been read
back and differs from the old one in that value alone. Imported only by `Config.set`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path as FilePath
from typing import Any

import yaml

from cloudms.config import reader
from cloudms.config.clouds import SECTIONS
from cloudms.config.reader import compose
from cloudms.config.tree import Path
from cloudms.errors import ConfigError, Invalid

Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar]


def change(text: str, path: FilePath, key: str, value: Value) -> tuple[str, Path]:
    """Return `text` with the dotted `key` set to `value`, and the path it has in the file.

    Missing sections are made. Parameters: `path`, the name for errors. Raises: ConfigError (the text is not YAML),
    Invalid (the key is a section, or stands where only a person can edit).
    """
    node, _ = compose(text, path, yaml.SafeLoader)
    if node is None:
        return _append(text, _block(["cloudmesh", *key.split(".")], 0, value)), ("cloudmesh", *key.split("."))
    place = _descend(node, rooted(node, key))
    edited = _edited(text, place, value)
    _prove(text, edited, path, place.path, value)
    return edited, place.path


class _Place:
    """Where a key stands or would stand: the `node` reached by `key`, the `rest` to be made, all of it as `path`."""

    def __init__(self, node: yaml.Node) -> None:
        self.node = node
        self.key: yaml.Node | None = None
        self.flow = False
        self.rest: list[str] = []
        self.path: Path = ()

    def enter(self, name: str) -> None:
        """Go one key deeper."""
        self.flow = self.flow or bool(isinstance(self.node, yaml.MappingNode) and self.node.flow_style)
        self.key, self.node = next(pair for pair in self.node.value if pair[0].value == name)
        self.path += (name,)

    def refused(self, why: str) -> Invalid:
        return Invalid(
            f"{'.'.join(self.path)} {why}", hint=f"edit the file by hand, line {self.node.start_mark.line + 1}"
        )


def rooted(node: yaml.Node, key: str) -> str:
    """Return `key` as it begins in this file: below cloudmesh, and below the older `clouds` if that has the cloud."""
    names = _keys(node)
    if "cloudmesh" in names or not names & {*SECTIONS, "credentials", "default"}:
        top = child(node, "cloudmesh")
        prefix = "cloudmesh."
    else:
        top, prefix = node, ""
    section, dot, rest = key.partition(".")
    if section == "cloud" and dot and top is not None:
        for older in SECTIONS:
            listed = child(top, older)
            if listed is not None and any(rest == name or rest.startswith(name + ".") for name in _keys(listed)):
                return f"{prefix}{older}.{rest}"
    return prefix + key


def _keys(node: yaml.Node) -> set[str]:
    return {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()


def child(node: yaml.Node, name: str) -> yaml.Node | None:
    """Return the value of a key of a section, or None."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((item for key, item in pairs if key.value == name), None)


def _descend(node: yaml.Node, key: str) -> _Place:
    """Follow `key` as far as it exists; keys with dots in them are found, the longest first."""
    place = _Place(node)
    rest = key.split(".")
    while rest and isinstance(place.node, yaml.MappingNode):
        names = _keys(place.node)
        size = next((size for size in range(len(rest), 0, -1) if ".".join(rest[:size]) in names), 0)
        if not size:
            break
        place.enter(".".join(rest[:size]))
        rest = rest[size:]
    place.rest = rest
    place.path += tuple(rest)
    return place


def _edited(text: str, place: _Place, value: Value) -> str:
    node = place.node
    if isinstance(node, yaml.MappingNode):
        if not place.rest:
            raise place.refused("is a section, not a value")
        return _inserted(text, node, place, value)
    if node.tag == "!include":
        raise place.refused("stands in an included file")
    if not place.rest:
        return _replaced(text, node, place, value)
    if not isinstance(node, yaml.ScalarNode) or reader.scalar(node) is not None or place.key is None:
        raise place.refused("would need a section where a value stands")
    if node.value:  # an explicit null: a section on the same line takes its place
        return _splice(text, node, _flow(place.rest, value))
    column = place.key.start_mark.column + 2
    return _after_line(text, node.end_mark.index, _block(place.rest, column, value))


def _replaced(text: str, node: yaml.Node, place: _Place, value: Value) -> str:
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        raise place.refused("is a list")
    style = node.style if isinstance(node, yaml.ScalarNode) else None
    if style in ("|", ">"):
        return _splice(text, node, _emit(value, '"', False) + _newline(text))
    before = text[node.start_mark.index - 1]
    return _splice(text, node, (" " if before == ":" else "") + _emit(value, style, place.flow))


def _inserted(text: str, node: yaml.MappingNode, place: _Place, value: Value) -> str:
    """Add the rest of the key below the last entry of a section."""
    if node.flow_style:
        end = end_of(node.value[-1][1]) if node.value else node.end_mark.index - 1
        comma = ", " if node.value else ""
        return text[:end] + comma + _flow(place.rest, value)[1:-1] + text[end:]
    column = node.value[0][0].start_mark.column
    lines = _block(place.rest, column, value)
    end = end_of(node)
    at_line_start = end > 0 and text[end - 1] in "\r\n"
    return text[:end] + _lines(lines, text) + text[end:] if at_line_start else _after_line(text, end, lines)


def end_of(node: yaml.Node) -> int:
    """Return where the text of a node ends; for a block the parser itself reports where the next thing begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    at: int = node.end_mark.index
    return at


def _splice(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _after_line(text: str, index: int, lines: list[str]) -> str:
    found = re.compile(r"\r?\n|$").search(text, index)
    end = found.end() if found else len(text)
    missing = "" if end and text[end - 1] == "\n" else _newline(text)
    return text[:end] + missing + _lines(lines, text) + text[end:]


def _append(text: str, lines: list[str]) -> str:
    missing = "" if not text or text.endswith("\n") else _newline(text)
    return text + missing + _lines(lines, text)


def _lines(lines: list[str], text: str) -> str:
    return "".join(line + _newline(text) for line in lines)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _block(keys: list[str], column: int, value: Value) -> list[str]:
    lines = [" " * (column + 2 * depth) + _emit(key, None, False) + ":" for depth, key in enumerate(keys)]
    lines[-1] += " " + _emit(value, None, False)
    return lines


def _flow(keys: list[str], value: Value) -> str:
    inside = _emit(value, None, True)
    for key in reversed(keys):
        inside = "{" + f"{_emit(key, None, True)}: {inside}" + "}"
    return inside


def _emit(value: Value, style: str | None, flow: bool) -> str:
    """Return `value` as YAML, in the quotes it had before where it had some."""
    if isinstance(value, list):
        return "[" + ", ".join(_emit(item, None, True) for item in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if not isinstance(value, str) or (style not in ("'", '"') and _is_plain(text, flow)):
        return text
    if style != '"' and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _is_plain(text: str, flow: bool) -> bool:
    """Whether `text` reads back as itself without quotes; judged by the parser, in the place it will stand."""
    if not text or text != text.strip() or not text.isprintable():
        return False
    try:
        node: Any = yaml.compose(f"{{k: {text}, l: m}}" if flow else f"k: {text}\n", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    item = child(node, "k")
    if not isinstance(item, yaml.ScalarNode) or len(_keys(node)) != (2 if flow else 1):
        return False
    return item.value == text and item.style is None and reader.scalar(item) is not None


def _prove(old: str, new: str, path: FilePath, where: Path, value: Value) -> None:
    """Read both texts and compare. Raises: Invalid when anything but the value at `where` differs."""
    try:
        before, after = reader.parse(old, path), reader.parse(new, path)
    except ConfigError as problem:
        raise Invalid(
            f"{'.'.join(where)} cannot be set without changing the rest of the file ({problem.message})",
            hint="edit the file by hand",
        ) from None
    wanted = value if isinstance(value, list) else [value]
    got = take(after, where)
    take(before, where)
    same = [_text(item) for item in (got if isinstance(got, list) else [got])] == [_text(item) for item in wanted]
    if not same or pruned(before) != pruned(after):
        raise Invalid(f"{'.'.join(where)} cannot be set without changing other values", hint="edit the file by hand")


def take(tree: Any, where: Path) -> Any:
    """Remove the value at `where` from `tree` and return it."""
    for key in where[:-1]:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree.pop(where[-1], None) if isinstance(tree, dict) else None


def pruned(tree: Any) -> Any:
    """Return `tree` without empty sections, which a first or only value makes or leaves."""
    if not isinstance(tree, dict):
        return tree
    kept = {key: pruned(value) for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})} or None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
