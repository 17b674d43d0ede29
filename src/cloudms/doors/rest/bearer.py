"""The token that lets a client in: made at the first start, in a file that only its owner can read."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import threading
from pathlib import Path

from cloudms import paths
from cloudms.errors import Denied, Invalid

_SHORTEST = 20
"""Characters of a token; shorter ones can be guessed."""
_LARGEST = 4096


class Token:
    """The token of a file. A file that changes is read again, so that a token can be replaced without a restart."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._value = b""

    def provide(self) -> None:
        """Make the file where it is missing, and read it. Raises: Denied (others can read it), Invalid."""
        try:
            paths.private(self.file.parent)
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._read()
            return
        except OSError as error:
            raise Denied(f"{self.file} cannot be made: {error.strerror}", hint="name another --token-file") from None
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_urlsafe(32)}\n")
        self._read()

    def _read(self) -> None:
        try:
            with open(self.file, "rb", opener=_at_once) as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                    raise Denied(f"others can read {self.file}", hint=f"chmod 600 {self.file}")
                content = stream.read(_LARGEST).strip()
        except OSError as error:
            raise Denied(f"{self.file} cannot be read: {error.strerror}", hint="is it your file?") from None
        if len(content) < _SHORTEST or len(content.split()) != 1:
            raise Invalid(
                f"{self.file} holds no token of {_SHORTEST} characters or more", hint="remove it: a new one is made"
            )
        self._stamp, self._value = _stamp(status), content

    def fits(self, header: str) -> bool:
        """Whether an Authorization header has the token; how long that takes says nothing about it."""
        scheme, _, word = header.partition(" ")
        value = self._current()
        given = word.strip().encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, value) and bool(value) and scheme.lower() == "bearer"

    def _current(self) -> bytes:
        """Return the token as the file has it now; nobody is let in while it cannot be read."""
        try:
            if _stamp(self.file.stat()) != self._stamp:
                with self._lock:
                    self._read()
        except (OSError, Denied, Invalid):
            return b""
        return self._value


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _at_once(file: str, flags: int) -> int:
    """Open a file without waiting, as a pipe would let the whole service do."""
    return os.open(file, flags | os.O_NONBLOCK)
