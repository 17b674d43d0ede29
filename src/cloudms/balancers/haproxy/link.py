"""HAProxy's runtime API: one connection to its socket, on which commands are given in turn.

An answer ends with an empty line and a prompt. The socket is reached through its folder's descriptor, since the path of
a socket may have 107 bytes (unix(7)) and a folder's path more.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from cloudms.balancers.haproxy.conf import SOCKET
from cloudms.errors import NotReady

_LIMIT = 10.0
"""Seconds that an answer may take."""
_PROMPT = b"\n> "
_MOST = 64 * 1024 * 1024


class Link:
    """The socket of one HAProxy. Opening it raises NotReady where none answers."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_LIMIT)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._socket.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            finally:
                os.close(descriptor)
            self._ask("prompt")
        except OSError:
            self.close()
            raise self.silent() from None
        except BaseException:
            self.close()
            raise

    def silent(self) -> NotReady:
        """Return the error for one that does not answer."""
        return NotReady(f"the balancer of '{self._name}' does not answer", hint=f"cms balancer start {self._name}")

    def ask(self, command: str) -> str:
        """Give a command and return what it answers. Raises: NotReady (it does not answer)."""
        try:
            return self._ask(command)
        except OSError:
            raise self.silent() from None

    def do(self, command: str) -> None:
        """Give a command that says nothing, or what it did. Raises: NotReady, with the words of one that refuses."""
        said = self.ask(command).strip()
        if said and not said.startswith(("no need to change", "IP changed")):
            raise NotReady(f"the balancer of '{self._name}' refused '{command}': {said}", hint="cms balancer info")

    def _ask(self, command: str) -> str:
        self._socket.sendall(command.encode() + b"\n")
        parts, size, end = list[bytes](), 0, b""
        while not end.endswith(_PROMPT):
            part = self._socket.recv(1 << 16)
            if not part or size > _MOST:
                raise self.silent()
            parts.append(part)
            size += len(part)
            end = (end + part)[-len(_PROMPT) :]
        return b"".join(parts)[: -len(_PROMPT)].decode(errors="replace")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
