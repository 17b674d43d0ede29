"""The files of the pool: their names, which say whose they are, and how they are read and copied on this machine.

cms-TOKEN.qcow2  cms-TOKEN-seed.iso  cms-TOKEN.console   a VM's disk, first-boot seed and console log
cms-vol-NAME.TOKEN.qcow2  cms-vol-NAME.TOKEN.json        a volume, its owner and labels
cms-volsnap-NAME.TOKEN.qcow2  cms-volsnap-NAME.TOKEN.json  a copy of a volume; its record is written last
cms-base-KEY.qcow2 .kernel .initrd  cms-base-KEY.json    an image; its record is written last
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from stat import S_ISREG

from cloudms.errors import Denied, Invalid, NoCapacity
from cloudms.record import Record

BLOCK = 1 << 20
_TOKEN = re.compile(r"(?!base-|vol-)[A-Za-z0-9][A-Za-z0-9_-]{3,99}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLONE = 0x40049409  # FICLONE of linux/fs.h: share the blocks, where the file system can


class Entry(Record):
    """A file of the pool: `size` in bytes on disk, `changed` epoch seconds where known."""

    name: str
    size: int = 0
    changed: float | None = None


def vm_files(token: str) -> tuple[str, str, str]:
    """Return the names of a VM's disk, seed and console log. Raises: Invalid (a token that cannot be a file name)."""
    if not _TOKEN.fullmatch(token):
        raise Invalid(f"'{token}' cannot be a creation token", hint="use 4 to 100 letters, digits, dashes, underscores")
    return f"cms-{token}.qcow2", f"cms-{token}-seed.iso", f"cms-{token}.console"


def token_of(name: str) -> tuple[str, str]:
    """Return the token and kind (disk, seed, console) that a file name of a VM says, or two empty strings."""
    match = re.fullmatch(r"cms-(.+?)(-seed\.iso|\.qcow2|\.console(?:\.\d+)?)", name)
    if not match or not _TOKEN.fullmatch(match[1]):
        return "", ""
    return match[1], {"-": "seed", ".q": "disk", ".c": "console"}[match[2][: 1 if match[2][0] == "-" else 2]]


def place(source: Path, target: Path, *, mode: int, link: bool = False) -> None:
    """Make `target` a copy of `source` that shares nothing with it, or with `link` the same file.

    Parameters: `link` only suits files that nobody changes. Raises: Denied, NoCapacity.
    """
    try:
        target.unlink(missing_ok=True)
        if not (link and _linked(source, target)):
            _copy(source, target, mode)
    except PermissionError as error:
        raise Denied(f"{source} cannot be read", hint="check its owner and mode") from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        target.unlink(missing_ok=True)
        raise NoCapacity(f"no space left in {target.parent}", hint="free some disk space") from error


def scan(folder: str) -> list[Entry]:
    """Return every file of ours in a folder of this machine; one that goes away meanwhile is left out."""
    with os.scandir(folder) as found:
        entries = (_entry(each) for each in found if each.name.startswith("cms-"))
        return [entry for entry in entries if entry]


def tail(path: Path, last: int) -> bytes:
    """Return the `last` bytes of a file, 0 for all of it."""
    with path.open("rb") as file:
        if last:
            file.seek(max(path.stat().st_size - last, 0))
        return file.read()


def _entry(found: os.DirEntry[str]) -> Entry | None:
    try:
        status = found.stat()
    except FileNotFoundError:
        return None
    if not S_ISREG(status.st_mode):
        return None
    return Entry(name=found.name, size=status.st_blocks * 512, changed=status.st_mtime)


def _linked(source: Path, fresh: Path) -> bool:
    try:
        fresh.hardlink_to(source)
    except OSError:
        return False
    return True


def _copy(source: Path, fresh: Path, mode: int) -> None:
    """Copy a file: share its blocks where the file system can, else copy what is not a hole, and write it through."""
    import fcntl

    with source.open("rb") as old, fresh.open("xb") as new:
        os.fchmod(new.fileno(), mode)
        try:
            fcntl.ioctl(new.fileno(), _CLONE, old.fileno())
            return
        except OSError:
            _copy_data(old.fileno(), new.fileno(), os.fstat(old.fileno()).st_size)
        os.fsync(new.fileno())


def _copy_data(old: int, new: int, size: int) -> None:
    os.truncate(new, size)
    start = 0
    while start < size:
        try:
            start = os.lseek(old, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(old, start, os.SEEK_HOLE)
        os.lseek(new, start, os.SEEK_SET)
        while start < end:
            start += os.sendfile(new, old, start, min(end - start, BLOCK * 16))
