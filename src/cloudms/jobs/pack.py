"""What is sent to nodes: texts and files of this machine as one tar."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import mkstemp

from cloudms.errors import NoCapacity, NotFound

_SMALL = 1 << 20
"""Bytes that are sent from memory."""


class Parcel:
    """Texts and files by the path that they have there. Parameters: `texts`, those that are made here."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)
        self._files: list[tuple[str, Path]] = []

    def add(self, name: str, source: Path) -> None:
        """Send a file or folder of this machine, too."""
        self._files.append((name, source))

    @contextmanager
    def packed(self) -> Iterator[bytes | Path]:
        """Give it as bytes, or as a file that is removed afterwards when it is large.

        Raises: NotFound (a file that is to be sent is gone), NoCapacity (no room for the tar file).
        """
        if not self._files:
            yield self._bytes()
            return
        descriptor, name = mkstemp(prefix="cms-sent-", suffix=".tar")
        file = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                self._write(stream)
            yield file.read_bytes() if file.stat().st_size <= _SMALL else file
        except FileNotFoundError as error:
            raise NotFound(f"{error.filename} is to be sent and is gone", hint="put it back, then go on") from None
        except OSError as error:
            raise NoCapacity(f"what is to be sent cannot be packed: {error}", hint="free some space") from None
        finally:
            file.unlink(missing_ok=True)

    def _bytes(self) -> bytes:
        stream = io.BytesIO()
        self._write(stream)
        return stream.getvalue()

    def _write(self, stream: io.IOBase) -> None:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, text in self._texts.items():
                member = tarfile.TarInfo(name)
                member.mode = 0o600
                data = text.encode()
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            for name, source in self._files:
                archive.add(source, arcname=name, filter=_nobodys)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member that belongs to whoever unpacks it, and can be read and removed by them."""
    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
    member.mode |= 0o700 if member.isdir() else 0o600
    return member


def digest_of(source: Path) -> str:
    """Return the digest of a file or folder: names, whether they can be executed, contents. Raises: NotFound."""
    made = hashlib.sha256()
    try:
        source.stat()
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file():
                status = file.stat()
                key = (str(file), status.st_mtime_ns, status.st_size)
                made.update(f"{file.relative_to(source)} {status.st_mode & 0o100} {_content(*key)}\n".encode())
    except FileNotFoundError as error:
        raise NotFound(f"{error.filename} is to be sent and is gone", hint="put it back, then go on") from None
    return made.hexdigest()


@lru_cache(maxsize=10_000)
def _content(file: str, _changed: int, _size: int) -> str:
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
