"""One section of a YAML file taken out in place: every other byte, comments included, stays as it is.

The counterpart of `edit`, with the same proof. Imported only by `Config.remove`.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath

import yaml

from cloudms.config import edit, reader
from cloudms.config.tree import Path
from cloudms.errors import ConfigError, Invalid, NotFound


def cut(text: str, path: FilePath, key: str) -> tuple[str, Path]:
    """Return `text` without the dotted `key` and what stands below it, and the path it had in the file.

    Comments inside go with it, those before and after stay. Parameters: `path`, the name for errors.
    Raises: ConfigError (the text is not YAML), NotFound, Invalid (only a person can take it out).
    """
    node, _ = reader.compose(text, path, yaml.SafeLoader)
    names = edit.rooted(node, key).split(".") if node is not None else []
    where: Path = ()
    section: yaml.Node | None = node
    parent: yaml.MappingNode | None = None
    for name in names:
        parent = section if isinstance(section, yaml.MappingNode) else None
        section = edit.child(parent, name) if parent is not None else None
        where = (*where, name)
    if parent is None or section is None:
        raise NotFound(f"{key} does not stand in {path}", hint="cms config cat shows what does")
    edited = _without(text, parent, where[-1])
    _prove(text, edited, path, where)
    return edited, where


def _without(text: str, parent: yaml.MappingNode, name: str) -> str:
    position = next(index for index, pair in enumerate(parent.value) if pair[0].value == name)
    key, value = parent.value[position]
    if parent.flow_style:
        return _without_flow(text, parent, position)
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    end = _line_end(text, max(edit.end_of(value), key.end_mark.index))
    return text[:begin] + text[_inner_comments(text, end, key.start_mark.column) :]


def _without_flow(text: str, parent: yaml.MappingNode, position: int) -> str:
    pairs = parent.value
    if position + 1 < len(pairs):
        return text[: pairs[position][0].start_mark.index] + text[pairs[position + 1][0].start_mark.index :]
    begin = edit.end_of(pairs[position - 1][1]) if position else pairs[0][0].start_mark.index
    return text[:begin] + text[edit.end_of(pairs[position][1]) :]


def _line_end(text: str, index: int) -> int:
    """Return where the line ends that `index` is in; an end at the beginning of a line is one already."""
    if index and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _inner_comments(text: str, index: int, column: int) -> int:
    """Return where the comments end that follow `index` and are indented deeper than the section that goes."""
    while found := re.compile(r"([ \t]*)#[^\n]*(?:\n|$)").match(text, index):
        if len(found[1]) <= column:
            break
        index = found.end()
    return index


def _prove(old: str, new: str, path: FilePath, where: Path) -> None:
    """Read both texts and compare. Raises: Invalid when anything but the section at `where` differs."""
    refused = Invalid(
        f"{'.'.join(where)} cannot be taken out without changing the rest of the file", hint="edit the file by hand"
    )
    try:
        before, after = reader.parse(old, path), reader.parse(new, path)
    except ConfigError:
        raise refused from None
    edit.take(before, where)
    if edit.pruned(before) != edit.pruned(after):
        raise refused
