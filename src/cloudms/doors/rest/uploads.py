"""Files that clients sent: private, for as long as the change that reads them runs, and no longer.

Those of a service that was killed are removed when the next one starts: by then the engine has its own copies of what a
resume needs.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from cloudms import paths
from cloudms.engine.process import alive, this_process

_BETWEEN = ","
"""Stands for the slashes of a process's name in the name of its folder."""


class Uploads:
    """The files of one request."""

    def __init__(self) -> None:
        self._files: list[Path] = []

    def keep(self, content: bytes) -> Path:
        """Write one file, mode 0600, and return its path; its name is ours, never the client's."""
        file = paths.private(_own()) / secrets.token_hex(16)
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(content)
        self._files.append(file)
        return file

    def hidden(self, text: str) -> str:
        """Return a text without the paths of the files, which say nothing to the client that sent them."""
        for file in self._files:
            text = text.replace(str(file), "the file that was sent")
        return text

    def drop(self) -> None:
        """Remove the files; gone is success."""
        while self._files:
            self._files.pop().unlink(missing_ok=True)


def clean_up() -> None:
    """Remove what services left that no longer live, and this one's own files."""
    folder = _own().parent
    for each in folder.iterdir() if folder.is_dir() else ():
        if each == _own() or not alive(each.name.replace(_BETWEEN, "/")):
            shutil.rmtree(each, ignore_errors=True)


def _own() -> Path:
    return paths.home() / "uploads" / this_process().replace("/", _BETWEEN)
