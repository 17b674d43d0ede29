"""Where a stream of a remote command goes: a file up to a bound, a tail in memory, whole lines to whoever listens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

TAIL = 16 * 1024
"""Bytes of a stream that are kept in memory."""
LIMIT = 100 * 1024 * 1024
"""Bytes of a stream that are written to its file."""
_LINE = 64 * 1024
"""Bytes after which an unfinished line is passed on as it is."""

Heard = Callable[[str], None]
"""Hears whole lines of text."""


class Sink:
    """One stream.

    Parameters: `file`, made 0600 with the first byte; `tail` and `limit` in bytes (`limit` 0: all of it is written);
    `heard`, called with whole lines. Nothing here raises: what cannot be written is told by `error`.
    """

    def __init__(
        self, file: Path | None = None, *, tail: int = TAIL, limit: int = LIMIT, heard: Heard | None = None
    ) -> None:
        self.count = 0
        self.error: OSError | None = None
        self.path = file
        self._descriptor = -1
        self._limit = limit
        self._room = tail
        self._tail = bytearray()
        self._heard = heard
        self._line = bytearray()

    def take(self, data: bytes) -> None:
        """Take what came."""
        within = data[: max(self._limit - self.count, 0)] if self._limit else data
        self.count += len(data)
        self._tail += data[-self._room :] if self._room else b""
        if len(self._tail) > 2 * self._room:
            del self._tail[: -self._room or None]
        if within:
            self._write(within)
            self._tell(within)

    def _write(self, data: bytes) -> None:
        if self.path is None or self.error is not None:
            return
        try:
            if self._descriptor < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self.error = error

    def _tell(self, data: bytes) -> None:
        if self._heard is None:
            return
        self._line += data
        end = self._line.rfind(b"\n") + 1 or (len(self._line) if len(self._line) > _LINE else 0)
        if end:
            whole = bytes(self._line[:end])
            del self._line[:end]
            self._heard(whole.decode("utf-8", "replace"))

    def close(self) -> None:
        """Pass on the last line, say in the file that it was cut, and close it."""
        if self._heard is not None and self._line:
            self._heard(self._line.decode("utf-8", "replace") + "\n")
            self._line.clear()
        if self._descriptor >= 0 and self.cut and self.error is None:
            self._write(f"\n[cms: cut here; {self.count} bytes came, {self._limit} are kept]\n".encode())
        if self._descriptor >= 0:
            try:
                os.close(self._descriptor)
            except OSError as error:
                self.error = self.error or error
            self._descriptor = -1

    @property
    def cut(self) -> bool:
        """Whether more came than is kept."""
        return bool(self._limit) and self.count > self._limit

    @property
    def file(self) -> str:
        """Return the file when there is one."""
        return str(self.path) if self.path is not None and self.count and self.path.exists() else ""

    def remove(self, text: str) -> bool:
        """Take a text out of the tail, where it is; return whether it was."""
        place = self._tail.find(text.encode())
        if place >= 0:
            del self._tail[place : place + len(text)]
            self.count -= len(text)
        return place >= 0

    @property
    def text(self) -> str:
        """Return the tail as text; a character that was cut at its beginning is left out."""
        tail = bytes(self._tail[-self._room :]) if self._room else b""
        if self.count > len(tail):
            tail = tail.lstrip(bytes(range(0x80, 0xC0))) or tail
        return tail.decode("utf-8", "replace")
