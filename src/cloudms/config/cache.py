"""The file as JSON without its secrets, so that most commands need no YAML library and see no password.

A cached copy counts only while version, path, modification time, size and inode of the file (and of what it includes)
are the same, and only if it was written well after the file: two changes within one tick of the file system's clock
look alike.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cloudms
from cloudms import paths
from cloudms.clock import Clock
from cloudms.config import files
from cloudms.config.finding import Finding
from cloudms.config.tree import mask
from cloudms.errors import CloudmsError
from cloudms.record import Record

_FORMAT = 1
_TICK = 20_000_000
"""Nanoseconds within which a file may change without its modification time telling."""


class Parsed(Record):
    """The file with marks in the place of secrets: `tree`, and the `warnings` about keys nobody knows.

    `files` are the path and the stamp of it and of what it includes.
    """

    tree: dict[str, Any]
    warnings: list[Finding]
    files: list[list[Any]]


def load(path: Path, clock: Clock) -> Parsed:
    """Return the parsed file at `path`, from the cache where it is current. Raises: ConfigError."""
    cached = _place(path)
    return _cached(cached, path) or _parse(path, cached, clock)


def _place(path: Path) -> Path:
    number = (
        int.from_bytes(os.fsencode(path), "big") % 0xFFFFFFFB
    )  # a hash that needs no import; the path is inside too
    return paths.cache() / f"config-{number:08x}.json"


def _cached(cached: Path, path: Path) -> Parsed | None:
    try:
        with cached.open("rb") as file:
            found = json.loads(file.read())
        written = cached.stat().st_mtime_ns
        if found["version"] != [cloudms.__version__, _FORMAT] or found["path"] != str(path):
            return None
        for name, *stamp in found["files"]:
            if list(files.stamp(Path(name)) or ()) != stamp or stamp[0] > written - _TICK:
                return None
        warnings = [Finding(**entry) for entry in found["warnings"]]
        return Parsed(tree=found["tree"], warnings=warnings, files=found["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing, or not what this version writes: read the file itself


def _parse(path: Path, cached: Path, clock: Clock) -> Parsed:
    from cloudms.config import lint, reader

    document = reader.load(path)
    stamps = [[name, *stamp] for name, stamp in document.files]
    parsed = Parsed(tree=mask(document.tree), warnings=lint.unknown_keys(document), files=stamps)
    content = {
        "version": [cloudms.__version__, _FORMAT],
        "path": str(path),
        "files": stamps,
        "tree": parsed.tree,
        "warnings": [entry.to_document() for entry in parsed.warnings],
    }
    try:
        with files.Lock(cached, clock, patience=0.0):
            files.write(cached, json.dumps(content))
    except CloudmsError:
        return parsed  # no cache, or another process writes it: only the next start is slower
    return parsed
