"""Values of a task: what a regular expression or the keys of a JSON document find in its output, read on this machine.

A value that is not found is left out, and the rest of the task stays what it is. Files are read as far as `MOST` bytes,
their end for a regular expression, so that a task that prints without end costs no memory here.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloudms.jobs.spec import Value

MOST = 16 * 1024 * 1024
"""Bytes of a file that are looked through: the last ones for a pattern; a JSON document must not have more."""
_LONGEST = 1000
"""Characters of a value; longer text is cut, since a table is made of it."""


def collected(values: Sequence[Value], folder: Path) -> dict[str, Any]:
    """Return the values of a task from the folder of its results, those that are there.

    Parameters: `folder` has the files `stdout` and `stderr`, and below `outputs` what was collected.
    """
    texts: dict[str, str] = {}
    found = {}
    for value in values:
        for file in _files(value.source, folder):
            if str(file) not in texts:
                texts[str(file)] = _end_of(file)
            got = of_text(value, texts[str(file)])
            if got is not None:
                found[value.name] = got
                break
    return found


def of_text(value: Value, text: str) -> Any:
    """Return the value in a text, or None: a number where it is written like one, else text, true or false."""
    return _by_keys(value.json, text) if value.json else _by_pattern(value.regex, text)


def _files(source: str, folder: Path) -> Iterator[Path]:
    """Yield the files of a source that are there; one that leads elsewhere (a link) is none of the task's."""
    if source in ("stdout", "stderr"):
        yield folder / source
        return
    top = (folder / "outputs").resolve()
    for file in sorted(top.glob(source)):
        if file.is_file() and file.resolve().is_relative_to(top):
            yield file


def _end_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            opened.seek(max(size - MOST, 0))
            return opened.read(MOST).decode("utf-8", "replace")
    except OSError:
        return ""


def _by_pattern(pattern: str, text: str) -> Any:
    found = None
    for match in re.finditer(pattern, text, re.MULTILINE):
        found = match
    if found is None:
        return None
    return _plain((found[1] if found.re.groups and found[1] is not None else found[0]).strip())


def _plain(word: str) -> Any:
    """Return a word as the number that it is, however it is written (1e-5), else as text."""
    if re.fullmatch(r"[+-]?\d{1,18}", word):
        return int(word)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", word) and math.isfinite(float(word)):
        return float(word)
    return word[:_LONGEST]


def _by_keys(keys: str, text: str) -> Any:
    """Follow keys through the JSON document that a text is, or that its last line is which is one."""
    for part in _documents(text):
        try:
            document = json.loads(part)
        except (ValueError, RecursionError):
            continue
        got = _followed(document, keys.split("."))
        if got is not None:
            return got if isinstance(got, bool | int) or _finite(got) else _word(got)
    return None


def _documents(text: str) -> Iterator[str]:
    """Yield what may be the document: all of the text, else its lines that look like one, the last first."""
    yield text
    for line in reversed(text.splitlines()):
        if line.lstrip()[:1] in ("{", "["):
            yield line


def _followed(document: Any, keys: Sequence[str]) -> Any:
    for position, key in enumerate(keys):
        if isinstance(document, dict):
            rest = ".".join(keys[position:])
            if rest in document:  # a key may have dots itself
                return document[rest]
            document = document.get(key)
        elif isinstance(document, list) and re.fullmatch(r"-?\d{1,9}", key):
            document = document[int(key)] if -len(document) <= int(key) < len(document) else None
        else:
            return None
    return document


def _finite(value: Any) -> bool:
    """Whether a number is one that JSON has: NaN, for instance, is shown as a word."""
    return isinstance(value, float) and math.isfinite(value)


def _word(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:_LONGEST]
