"""Files as one stream: a tar that is made while it is read, with nothing written on this machine.

What a link points to is never followed: files may have come from a VM, where somebody else decided what a link says.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from cloudms.record import Record

_CHUNK = 256 * 1024


class Archive(Record):
    """A tar: `name` is that of its only folder and of the file without its ending, `chunks` its bytes in order."""

    name: str
    chunks: Iterator[bytes]


def tar(name: str, parts: Iterable[tuple[str, Path | bytes]], when: float) -> Archive:
    """Return an archive of files, folders with all that is in them, and contents that are no file, each with its path.

    Parameters: `when`, the time that contents bear (epoch seconds).
    """
    return Archive(name=name, chunks=_chunks(name, parts, when))


def _chunks(name: str, parts: Iterable[tuple[str, Path | bytes]], when: float) -> Iterator[bytes]:
    length = 0
    for chunk in _entries(name, parts, when):
        length += len(chunk)
        yield chunk
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(length + end) % tarfile.RECORDSIZE)


def _entries(name: str, parts: Iterable[tuple[str, Path | bytes]], when: float) -> Iterator[bytes]:
    yield _head(name, when, kind=tarfile.DIRTYPE, mode=0o755)
    for place, source in parts:
        if isinstance(source, bytes):
            yield _head(f"{name}/{place}", when, size=len(source))
            yield from _padded([source], len(source))
        elif source.is_dir() and not source.is_symlink():
            yield from _folder(f"{name}/{place}", source)
        else:
            yield from _file(f"{name}/{place}", source)


def _folder(name: str, folder: Path) -> Iterator[bytes]:
    """Yield a folder with all that is in it, in the order of the names."""
    yield _head(name, folder.stat().st_mtime, kind=tarfile.DIRTYPE, mode=0o755)
    for each in sorted(folder.iterdir()):
        if each.is_dir() and not each.is_symlink():
            yield from _folder(f"{name}/{each.name}", each)
        else:
            yield from _file(f"{name}/{each.name}", each)


def _file(name: str, file: Path) -> Iterator[bytes]:
    """Yield a file or a link; what has gone meanwhile, and what is neither, is left out."""
    try:
        seen = file.lstat()
        if stat.S_ISLNK(seen.st_mode):
            yield _head(name, seen.st_mtime, kind=tarfile.SYMTYPE, mode=0o777, link=str(file.readlink()))
            return
        if not stat.S_ISREG(seen.st_mode):
            return
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as opened:
        size = os.fstat(handle).st_size
        yield _head(name, seen.st_mtime, size=size, mode=0o755 if seen.st_mode & 0o100 else 0o644)
        yield from _padded(iter(lambda: opened.read(_CHUNK), b""), size)


def _padded(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield exactly `size` bytes, filled to a whole block: a file may grow or shrink while it is read."""
    left = size
    for chunk in chunks:
        yield chunk[:left]
        left -= min(left, len(chunk))
        if not left:
            break
    while left:
        part = min(left, _CHUNK)
        yield bytes(part)
        left -= part
    yield bytes(-size % tarfile.BLOCKSIZE)


def _head(
    name: str, when: float, *, kind: bytes = tarfile.REGTYPE, size: int = 0, mode: int = 0o644, link: str = ""
) -> bytes:
    info = tarfile.TarInfo(name)
    info.mtime, info.type, info.size, info.mode, info.linkname = int(when), kind, size, mode, link
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
