"""Places in a YAML file that is being checked: typed values, and errors that name file, line and nearest known key."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms.config import files
from cloudms.config.reader import Document
from cloudms.errors import ConfigError
from cloudms.names import nearest


class Field:
    """One value of the file, whether it is there (`value` is None otherwise), and where.

    `sent` is whether somebody else sent the file, so that it may name no file of this machine.
    """

    def __init__(self, top: Top, path: tuple[str, ...], value: Any) -> None:
        self._top = top
        self.path = path
        self.value = value

    @property
    def sent(self) -> bool:
        """Whether the file was sent by somebody else."""
        return self._top.trusted is False

    @property
    def name(self) -> str:
        """Return its key, dots between those above it."""
        return ".".join(self.path) or "the file"

    def wrong(self, why: str, hint: str) -> ConfigError:
        """Return the error of this place."""
        file, line = self._top.line(self.path)
        return files.wrong(file, line, why, hint)

    def field(self, key: str) -> Field:
        """Return the value of a key below."""
        section = self.value if isinstance(self.value, Mapping) else {}
        path = self.path
        for word in (key, *(other for other, meant in self._top.also.items() if meant == key and not path)):
            if word in section:
                return Field(self._top, (*path, word), section[word])
        return Field(self._top, (*path, key), None)

    def known(self, keys: Sequence[str]) -> None:
        """Refuse keys that nobody reads, and what is no section. Raises: ConfigError."""
        also = {} if self.path else self._top.also
        for key in self._section():
            if key.startswith("x-") or key in keys:
                continue
            if key not in also:
                close = nearest(key, (*keys, *also))
                hint = f"did you mean '{close}'?" if close else f"known: {', '.join(keys)}"
                raise Field(self._top, (*self.path, key), None).wrong(
                    f"the key '{key}' in {self.name} is not known", hint
                )
            if also[key] in self.value:
                both = f"'{key}' and '{also[key]}' are the same"
                raise Field(self._top, (*self.path, key), None).wrong(both, "remove one of them")

    def _section(self) -> Mapping[str, Any]:
        if self.value is None:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.wrong(f"{self.name} is not a section", "write its keys below it, indented")
        return self.value

    def entries(self) -> Iterator[tuple[str, Field]]:
        """Yield the keys of a section with their values. Raises: ConfigError (it is none)."""
        for key, value in self._section().items():
            yield key, Field(self._top, (*self.path, key), value)

    def items(self) -> list[Field]:
        """Return the items of a list; a single value is a list of one. Raises: ConfigError (an item is empty)."""
        if self.value is None:
            return []
        listed = self.value if isinstance(self.value, list) else [self.value]
        found = [Field(self._top, (*self.path, str(number)), value) for number, value in enumerate(listed)]
        for each in found:
            if each.value is None:
                raise each.wrong(f"an item of {self.name} is empty", "remove it, or quote it")
        return found

    def text(self, *, lines: bool = False) -> str:
        """Return text, empty where there is none; of several lines only with `lines`. Raises: ConfigError."""
        if self.value is None:
            return ""
        text = self.word()
        if not lines and not text.isprintable():
            raise self.wrong(f"{self.name} is not one line of text", "remove line breaks and control characters")
        return text

    def word(self) -> str:
        """Return a text, number or truth as the text that a command gets. Raises: ConfigError (a list or section)."""
        if isinstance(self.value, list | Mapping):
            kind = "list" if isinstance(self.value, list) else "section"
            raise self.wrong(f"{self.name} is a {kind} and not one value", "quote text with a bracket, brace or colon")
        return spelled(self.value)

    def number(self, default: int, *, least: int, most: int) -> int:
        """Return a whole number. Raises: ConfigError."""
        if self.value is None:
            return default
        if type(self.value) is not int or not least <= self.value <= most:
            raise self.wrong(f"{self.name} is not a whole number from {least} to {most}", f"{self.path[-1]}: {default}")
        return self.value

    def truth(self) -> bool:
        """Return true or false, which it is where nothing is said. Raises: ConfigError."""
        if self.value is None or isinstance(self.value, bool):
            return bool(self.value)
        raise self.wrong(f"{self.name} is neither true nor false", f"{self.path[-1]}: true")

    def choice(self, words: Sequence[str], default: str) -> str:
        """Return one of a few words. Raises: ConfigError."""
        if self.value is None:
            return default
        word = self.word()
        if word not in words:
            close = nearest(word, words)
            hint = f"did you mean '{close}'?" if close else f"one of: {', '.join(words)}"
            raise self.wrong(f"{self.name} cannot be '{word[:60]}'", hint)
        return word

    def local(self) -> Path:
        """Return the absolute path of a file or folder of this machine, relative to the YAML file.

        Raises: ConfigError (it is not there, or the file was sent by somebody else).
        """
        text = self.text()
        path = self._path(text)
        if not text or not path.exists():
            raise self.wrong(f"{self.name}: there is no file '{text[:200]}'", f"looked for {path}")
        if not path.is_file() and not path.is_dir():
            raise self.wrong(f"{self.name}: '{text[:200]}' is neither a file nor a folder", "name a file or folder")
        if not os.access(path, os.R_OK):
            raise self.wrong(f"{self.name}: '{text[:200]}' cannot be read", f"chmod u+r {path}")
        return path

    def locals(self) -> list[Path]:
        """Return the files that a pattern such as data/*.csv names, or the one of this name. Raises: as `local`."""
        text = self.text()
        path = self._path(text)
        if path.exists() or not glob.has_magic(text):
            return [self.local()]
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 (a pattern that may begin anywhere)
        if not found:
            raise self.wrong(f"{self.name}: no file is named like '{text[:200]}'", f"looked for {path}")
        return found

    def _path(self, text: str) -> Path:
        if self.sent:
            raise self.wrong(
                f"{self.name}: a file that is sent cannot name files of this machine",
                "put the content into the commands, or use setup: git or archive with a URL",
            )
        return Path(os.path.normpath(self._top.file.absolute().parent / Path(text).expanduser()))


class Top(Field):
    """The whole file."""

    def __init__(self, document: Document, file: Path, *, sent: bool, also: Mapping[str, str]) -> None:
        self.document = document
        self.file = file
        self.trusted = not sent
        self.also = also
        super().__init__(self, (), document.tree)

    def line(self, path: tuple[str, ...]) -> tuple[str, int]:
        """Return file and line of a key, or of the nearest one above it."""
        while path:
            if path in self.document.lines:
                return self.document.lines[path]
            path = path[:-1]
        return str(self.file), 1


def spelled(value: Any) -> str:
    """Return a value of YAML as commands see it: as it was written."""
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
