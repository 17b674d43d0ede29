"""Keys of the file that nobody knows, with the nearest known one: warnings, never errors.

Imported only when a file has been read anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from cloudms.config import clouds, known
from cloudms.config.finding import Finding
from cloudms.config.reader import Document
from cloudms.config.tree import Path, is_entry_credential
from cloudms.names import nearest


def unknown_keys(document: Document) -> list[Finding]:
    """Return a warning for every key of `document` that neither the ancestors nor this house have."""
    root = document.tree
    below = root.get("cloudmesh")
    top: Path = ("cloudmesh",) if isinstance(below, dict) else ()
    found = list(_unknown(root, (), known.ROOT if top else (*known.ROOT, *known.SECTIONS)))
    if top:
        found += _unknown(below, top, known.SECTIONS)
    for name, words in (
        ("profile", known.PROFILE),
        ("security", known.SECURITY),
        ("default", known.GLOBAL_DEFAULT),
        ("ceiling", known.CEILING),
        ("rightsize", known.RIGHTSIZE),
    ):
        found += _unknown(clouds.content(root).get(name), (*top, name), words)
    listed = list(clouds.entries(root))
    whole = clouds.completed({name: entry for _, name, entry in listed})
    for section, name, entry in listed:
        kind = clouds.kind_of_entry(name, whole[name])
        found += _in_cloud(entry, kind, (*top, section, name) if section else top)
    return sorted((_finding(document, path, words) for path, words in found), key=lambda f: (f.file, f.line))


def _in_cloud(entry: dict[str, Any], kind: str, path: Path) -> Iterator[tuple[Path, Collection[str]]]:
    about = entry.get("cm")
    credentials = entry.get("credentials")
    if path[1:]:
        words = (*known.ENTRY, *known.EVERY_OPTION, *known.OPTIONS.get(kind, ()))
        beside = {key for key in entry if is_entry_credential(key)}
        for key, guesses in _unknown(entry, path, (*words, *beside)):
            if kind in known.OPTIONS or not kind:  # other kinds have options of their own
                yield key, guesses
    yield from _unknown(about, (*path, "cm"), known.CM)
    if kind in known.OPTIONS:
        yield from _unknown(entry.get("default"), (*path, "default"), known.DEFAULT)
    if kind in known.CREDENTIALS:
        yield from _unknown(credentials, (*path, "credentials"), known.CREDENTIALS[kind])


def _unknown(section: object, path: Path, words: Collection[str]) -> Iterator[tuple[Path, Collection[str]]]:
    """Yield the keys of a section that are not among `words`; x-… is for the person's own notes."""
    for key in section if isinstance(section, dict) else ():
        if key not in words and not key.startswith(("x-", "_")):
            yield (*path, key), words


def _finding(document: Document, path: Path, words: Collection[str]) -> Finding:
    file, line = document.lines.get(path, ("", 0))
    close = nearest(path[-1], words)
    where = ".".join(path[:-1]) or "the file"
    return Finding(
        level="warning",
        message=f"the key '{path[-1]}' in {where} is not known and not used",
        hint=f"did you mean '{close}'?" if close else "remove it, or begin it with x- to keep it as a note",
        file=file,
        line=line,
    )
