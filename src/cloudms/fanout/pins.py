"""The pinned host keys, read once for many hosts; a new host's key is pinned as it is first seen (accept-new)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac

from cloudms import paths, ssh


class Pins:
    """Knows the keys of known_hosts by alias. The file is read again when it has changed."""

    def __init__(self) -> None:
        self._stamp: tuple[int, int] = (0, -1)
        self._known: dict[str, list[str]] = {}
        self._hashed: list[tuple[bytes, bytes, str]] = []
        self._waiting: list[tuple[str, str, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    def of(self, alias: str) -> list[str]:
        """Return the keys that are pinned under an alias, as `TYPE BASE64`."""
        self._read()
        found = self._known.get(alias)
        if found is None and self._hashed:
            # OpenSSH writes names hashed where its configuration says so (HashKnownHosts, sshd(8)).
            found = [k for salt, name, k in self._hashed if hmac.digest(salt, alias.encode(), "sha1") == name]
            self._known[alias] = found
        return found or []

    def _read(self) -> None:
        file = paths.known_hosts()
        try:
            about = file.stat()
            stamp = (about.st_mtime_ns, about.st_size)
            if stamp == self._stamp:
                return
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            stamp, lines = (0, -1), []
        self._stamp, self._known, self._hashed = stamp, {}, []
        for line in lines:
            words = line.split()
            if len(words) >= 3 and not words[0].startswith(("#", "@")):
                self._add(words[0], f"{words[1]} {words[2]}")

    def _add(self, names: str, key: str) -> None:
        if names.startswith("|1|"):
            try:
                salt, hashed = (base64.b64decode(part) for part in names[3:].split("|"))
            except (ValueError, binascii.Error):
                return
            self._hashed.append((salt, hashed, key))
            return
        for name in names.split(","):
            self._known.setdefault(name, []).append(key)

    async def accept(self, alias: str, key: str) -> bool:
        """Pin the key of a host that had none; return False when another one was pinned meanwhile.

        Keys that wait at the same time are written together. Raises: OSError (known_hosts cannot be written).
        """
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((alias, key, seen))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await seen

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                same = await asyncio.to_thread(ssh.accept, {alias: key for alias, key, _seen in batch})
            except OSError as error:
                for _alias, _key, seen in batch:
                    if not seen.done():
                        seen.set_exception(error)
                continue
            for alias, _key, seen in batch:
                if not seen.done():
                    seen.set_result(same[alias])
        self._writer = None
