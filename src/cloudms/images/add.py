"""Bring a disk image file into the store: recognised, unpacked or converted where needed, checked, given a name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from cloudms.clock import Clock, SystemClock
from cloudms.errors import Invalid
from cloudms.images import formats, tools
from cloudms.images.store import ImageStore, Progress, StoredImage, file_digest, silent

_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file, where the file system can
_QEMU_NAMES = {"vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx"}
_BLOCK = 4 << 20


@dataclass(frozen=True)
class Facts:
    """What a file cannot say of itself: see the fields of StoredImage."""

    os: str = ""
    arch: str = "x86_64"
    login: str = ""
    firmware: str = "bios"
    first_boot: str = "cloud-init"
    min_memory_mib: int = 256
    source: str = ""


def add(
    path: Path,
    name: str,
    *,
    facts: Facts | None = None,
    replace_existing: bool = False,
    move: bool = False,
    progress: Progress = silent,
    store: ImageStore | None = None,
    clock: Clock | None = None,
) -> StoredImage:
    """Put the disk image file `path` into the store as `name`.

    qcow2 and raw are kept as they are, gz, bz2, xz and zst are unpacked, VMDK and VHD are converted to qcow2 (that
    needs qemu-img). Parameters: `move` lets the file itself go into the store. Raises: NotFound (no such file),
    Invalid (not a disk, an installer, or one that reads other files), Exists, NoCapacity, NotReady.
    """
    store = store if store is not None else ImageStore()
    clock = clock if clock is not None else SystemClock()
    facts = facts if facts is not None else Facts(source=str(path))
    usable(formats.sniff(path), path.name)
    with store.lock(name), store.staging(name) as folder:
        disk, found = _take(path, folder, move, progress)
        image = StoredImage(
            name=name,
            folder=folder,
            disk=disk.name,
            digest=file_digest(disk, progress),
            format=found.format,
            virtual_size=found.virtual_size or found.file_size,
            os=facts.os,
            arch=facts.arch,
            login=facts.login,
            firmware=facts.firmware,
            first_boot=facts.first_boot,
            min_memory_mib=facts.min_memory_mib,
            created=clock.now(),
            source=facts.source,
        )
        return store.publish(image, replace=replace_existing)


def usable(found: formats.DiskFormat, name: str) -> None:
    """Raise Invalid for what cannot become a machine's disk."""
    formats.refuse_untrusted(found, name)
    if found.format == "iso":
        raise Invalid(
            f"{name} is an ISO image, not a disk", hint="use the distribution's cloud image (often .qcow2 or .img)"
        )
    if found.format == "raw" and not found.compressed and not (found.partitions or found.filesystem):
        raise Invalid(f"{name} is not a disk image of a known kind", hint="known: qcow2, raw, vmdk, vhd, vhdx")


def _take(path: Path, folder: Path, move: bool, progress: Progress) -> tuple[Path, formats.DiskFormat]:
    """Bring the file into `folder` in a format QEMU runs well, and return it with what it is now."""
    found = formats.sniff(path)
    if found.compressed:
        path = _unpack(path, folder / "unpacked", found.compressed, progress)
        found, move = formats.sniff(path), True
        if found.compressed:
            raise Invalid("the file is compressed twice", hint="unpack it first")
        usable(found, path.name)
    if found.format in _QEMU_NAMES:
        disk = folder / "disk.qcow2"
        progress(0, None, f"convert from {found.format}")
        tools.run(["qemu-img", "convert", "-f", _QEMU_NAMES[found.format], "-O", "qcow2", path, disk], timeout=7200)
        (folder / "unpacked").unlink(missing_ok=True)
        return disk, formats.sniff(disk)
    disk = folder / f"disk.{found.format}"
    if move:
        _move(path, disk, progress)
    else:
        copy(path, disk, progress)
    return disk, replace(found, file_size=disk.stat().st_size)


def _move(path: Path, target: Path, progress: Progress) -> None:
    try:
        path.rename(target)
    except OSError:  # another file system
        copy(path, target, progress)
        path.unlink()


def _unpack(path: Path, target: Path, kind: str, progress: Progress) -> Path:
    if kind == "zst":
        progress(0, None, "unpack")
        tools.run(["zstd", "-q", "-d", path, "-o", target], timeout=7200)
        return target
    total = path.stat().st_size
    try:
        with path.open("rb") as packed, formats.open_compressed(packed, kind) as stream, target.open("wb") as out:
            while block := stream.read(_BLOCK):
                _write_sparse(out.fileno(), block)
                progress(packed.tell(), total, "unpack")
            out.truncate(os.lseek(out.fileno(), 0, os.SEEK_CUR))
    except formats.DAMAGED as error:
        raise Invalid(f"{path.name} is damaged: {error}", hint="fetch it again") from error
    return target


def copy(path: Path, target: Path, progress: Progress = silent) -> None:
    """Copy a file, sharing its blocks where the file system can, else leaving its holes out."""
    with path.open("rb") as source, target.open("wb") as out:
        with contextlib.suppress(OSError):
            fcntl.ioctl(out.fileno(), _FICLONE, source.fileno())
            return
        total = os.fstat(source.fileno()).st_size
        out.truncate(total)
        for start, end in _data(source.fileno(), total):
            _copy_range(source.fileno(), out.fileno(), start, end, total, progress)
    shutil.copymode(path, target)


def _copy_range(source: int, out: int, start: int, end: int, total: int, progress: Progress) -> None:
    while start < end:
        block = os.pread(source, min(_BLOCK, end - start), start)
        if not block:
            raise Invalid("the file became shorter while it was copied", hint="copy it when nothing writes to it")
        os.pwrite(out, block, start)
        start += len(block)
        progress(start, total, "copy")


def _data(handle: int, total: int) -> list[tuple[int, int]]:
    """Return the parts of a file that are not holes, as (start, end)."""
    parts: list[tuple[int, int]] = []
    at = 0
    while at < total:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            break
        at = os.lseek(handle, start, os.SEEK_HOLE)
        parts.append((start, at))
    return parts


def _write_sparse(handle: int, block: bytes) -> None:
    if block.count(0) == len(block):
        os.lseek(handle, len(block), os.SEEK_CUR)
    else:
        written = 0
        while written < len(block):
            written += os.write(handle, block[written:])
