"""What kind of disk image a file is, from its own bytes: no program is run and no name is trusted.

Formats are read as their specifications say: qcow2 (QEMU docs/interop/qcow2.txt), VMDK (VMware "Virtual Disk Format
5.0"), VHD (Microsoft "Virtual Hard Disk Image Format"), VHDX ([MS-VHDX]), ISO 9660 (ECMA-119), GPT (UEFI 2.10).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from cloudms.errors import Invalid, NotFound

_HEAD = 68 * 1024  # reaches the ISO volume descriptor (32 KiB) and the ext4, btrfs and XFS superblocks


@dataclass(frozen=True)
class DiskFormat:
    """What a file is.

    `format` is raw, qcow2, vmdk, vhd, vhdx or iso, and "unknown" inside a compression that is not looked into; sizes
    are bytes, None when only unpacking would tell. `partitions` is mbr, gpt, none (a bare file system) or "" (not
    known); `compressed` is gz, bz2, xz, zst or "". `backing_file` names another file the image wants to read, and
    `external` says that its own data lies in other files.
    """

    format: str
    virtual_size: int | None
    file_size: int
    partitions: str = ""
    filesystem: str = ""
    backing_file: str | None = None
    compressed: str = ""
    version: int | None = None
    external: bool = False

    @property
    def trusted(self) -> bool:
        """Whether it reads nothing but itself: an image from elsewhere could name any file of this host."""
        return self.backing_file is None and not self.external


def sniff(path: Path) -> DiskFormat:
    """Return what the file `path` is.

    NotFound when there is no such file; Invalid when it is empty, truncated or too small to be a disk.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(0, size - 512))
            tail = stream.read(512)
            return _sniff(stream, head, tail, size, str(path))
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="check the path") from None
    except IsADirectoryError:
        raise Invalid(f"{path} is a folder, not a disk image", hint="name the image file in it") from None


def refuse_untrusted(found: DiskFormat, name: str) -> None:
    """Raise Invalid for an image that would read other files of the host through a backing file or an extent."""
    if found.backing_file is not None:
        raise Invalid(
            f"{name} stands on another file, {found.backing_file!r}",
            hint="flatten it where it comes from: qemu-img convert -O qcow2 OLD NEW",
        )
    if found.external:
        raise Invalid(f"{name} keeps its data in other files", hint="convert it to one file: qemu-img convert -O qcow2")


def _sniff(stream: BinaryIO, head: bytes, tail: bytes, size: int, name: str) -> DiskFormat:
    if size == 0:
        raise Invalid(f"{name} is empty", hint="fetch it again")
    for magic, kind in _COMPRESSIONS:
        if head.startswith(magic):
            return _inside(head, kind, size)
    for magic, reader in _READERS:
        if head.startswith(magic):
            try:
                return reader(stream, head, size)
            except struct.error:
                raise Invalid(f"{name} is truncated", hint="fetch it again") from None
    if tail.startswith(b"conectix"):
        return _vhd(tail, size)
    if head[32769:32774] == b"CD001":
        return DiskFormat("iso", size, size, partitions="none", filesystem="iso9660")
    if size < 512:
        raise Invalid(f"{name} is too small to be a disk image", hint="a disk has at least one sector of 512 bytes")
    return DiskFormat("raw", size, size, partitions=_partitions(head), filesystem=_filesystem(head))


def _qcow2(stream: BinaryIO, head: bytes, size: int) -> DiskFormat:
    version, backing_at, backing_length = struct.unpack_from(">IQI", head, 4)
    (virtual,) = struct.unpack_from(">Q", head, 24)
    if version not in (2, 3):
        raise Invalid(f"qcow version {version} is not supported", hint="convert it: qemu-img convert -O qcow2 OLD NEW")
    backing = None
    if backing_at:
        stream.seek(backing_at)
        backing = stream.read(min(backing_length, 1023)).decode(errors="replace")
    features = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
    external = bool(features & 0b100)  # incompatible feature 2: the clusters lie in an external data file
    return DiskFormat("qcow2", virtual, size, backing_file=backing, version=version, external=external)


def _vmdk_sparse(stream: BinaryIO, head: bytes, size: int) -> DiskFormat:
    version, _flags, capacity, _grain, at, sectors = struct.unpack_from("<IIQQQQ", head, 4)
    descriptor = b""
    if at and sectors:
        stream.seek(at * 512)
        descriptor = stream.read(min(sectors * 512, 64 * 1024))
    found = _vmdk(descriptor, capacity * 512, size, version)
    # With no capacity of its own the header only carries a descriptor, and that may name extents in other files.
    return found if capacity else replace(found, external=True)


def _vmdk_text(stream: BinaryIO, head: bytes, size: int) -> DiskFormat:
    extents = re.findall(rb'^(?:RW|RDONLY)\s+(\d+)\s+(\S+)(?:\s+"([^"]*)")?', head, re.MULTILINE)
    found = _vmdk(head, sum(int(sectors) for sectors, _, _ in extents) * 512, size, 1)
    return replace(found, external=any(name for _, _, name in extents))


def _vmdk(descriptor: bytes, virtual: int, size: int, version: int) -> DiskFormat:
    parent = re.search(rb'^\s*parentFileNameHint\s*=\s*"([^"]*)"', descriptor, re.MULTILINE)
    backing = parent[1].decode(errors="replace") if parent else None
    return DiskFormat("vmdk", virtual, size, backing_file=backing, version=version)


def _vhd_dynamic(stream: BinaryIO, head: bytes, size: int) -> DiskFormat:
    return _vhd(head[:512], size)


def _vhd(footer: bytes, size: int) -> DiskFormat:
    (virtual,) = struct.unpack_from(">Q", footer, 48)
    (kind,) = struct.unpack_from(">I", footer, 60)
    backing = "its parent disk" if kind == 4 else None  # a differencing disk names its parent in several encodings
    return DiskFormat("vhd", virtual, size, backing_file=backing)


def _vhdx(stream: BinaryIO, head: bytes, size: int) -> DiskFormat:
    """Find the virtual size through the region table (at 192 KiB) and the metadata table it points to."""
    stream.seek(192 * 1024)
    table = stream.read(64 * 1024)
    virtual, parent = None, False
    for at in range(16, 16 + 32 * min(struct.unpack_from("<I", table, 8)[0], 64), 32):
        if table[at : at + 16] == _VHDX_METADATA:
            (where,) = struct.unpack_from("<Q", table, at + 16)
            virtual, parent = _vhdx_metadata(stream, where)
    return DiskFormat("vhdx", virtual, size, backing_file="its parent disk" if parent else None)


def _vhdx_metadata(stream: BinaryIO, where: int) -> tuple[int | None, bool]:
    stream.seek(where)
    table = stream.read(64 * 1024)
    virtual, parent = None, False
    for at in range(32, 32 + 32 * min(struct.unpack_from("<H", table, 10)[0], 2047), 32):
        offset, length = struct.unpack_from("<II", table, at + 16)
        stream.seek(where + offset)
        if table[at : at + 16] == _VHDX_SIZE:
            (virtual,) = struct.unpack("<Q", stream.read(8))
        elif table[at : at + 16] == _VHDX_PARAMETERS and length >= 8:
            parent = bool(struct.unpack("<II", stream.read(8))[1] & 0b10)
    return virtual, parent


def _partitions(head: bytes) -> str:
    """Tell MBR, GPT or a bare file system, whose boot sector has the same signature but no partition entries."""
    if head[512:520] == b"EFI PART" or head[4096:4104] == b"EFI PART":
        return "gpt"
    if head[510:512] != b"\x55\xaa":
        return "none" if _filesystem(head) else ""
    entries = [head[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    if _filesystem(head) in ("fat", "ntfs"):
        return "none"
    plausible = all(entry[0] in (0, 0x80) for entry in entries)
    return "mbr" if plausible and any(entry[4] for entry in entries) else ""


def _filesystem(head: bytes) -> str:
    for at, magic, name in _FILESYSTEMS:
        if head[at : at + len(magic)] == magic:
            return name
    return ""


def _inside(head: bytes, kind: str, size: int) -> DiskFormat:
    """Look at the start of what is compressed, where Python can; the unpacked size is not known before the end."""
    start = _unpack_start(head, kind)
    found = DiskFormat("unknown", None, size)
    if start:
        reader = next((reader for magic, reader in _READERS if start.startswith(magic)), None)
        if reader is _qcow2:
            found = replace(_qcow2_start(start), file_size=size)
        elif reader is None and len(start) >= 512:
            found = DiskFormat("raw", None, size, partitions=_partitions(start), filesystem=_filesystem(start))
    return replace(found, compressed=kind)


def _qcow2_start(start: bytes) -> DiskFormat:
    return _qcow2(BytesIO(start), start, 0)


def _unpack_start(head: bytes, kind: str) -> bytes:
    try:
        if kind == "gz":
            return zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        if kind == "bz2":
            return bz2.BZ2Decompressor().decompress(head, _HEAD)
        if kind == "xz":
            return lzma.LZMADecompressor(memlimit=256 << 20).decompress(head, _HEAD)
    except (zlib.error, lzma.LZMAError, OSError, EOFError):
        return b""
    return b""


def open_compressed(packed: BinaryIO, kind: str) -> BinaryIO:
    """Return a stream of the content of a compressed one; `kind` is gz, bz2 or xz."""
    openers: dict[str, Callable[[BinaryIO], object]] = {
        "gz": lambda stream: gzip.GzipFile(fileobj=stream),
        "bz2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }
    return cast(BinaryIO, openers[kind](packed))


DAMAGED = (zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)
"""What reading a damaged or truncated compressed stream raises."""

_VHDX_METADATA = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
_VHDX_SIZE = bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8")
_VHDX_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")

_COMPRESSIONS = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zst"))

_READERS: tuple[tuple[bytes, Callable[[BinaryIO, bytes, int], DiskFormat]], ...] = (
    (b"QFI\xfb", _qcow2),
    (b"KDMV", _vmdk_sparse),
    (b"# Disk DescriptorFile", _vmdk_text),
    (b"conectix", _vhd_dynamic),
    (b"vhdxfile", _vhdx),
)

_FILESYSTEMS = (
    (1080, b"\x53\xef", "ext4"),
    (0, b"XFSB", "xfs"),
    (65600, b"_BHRfS_M", "btrfs"),
    (3, b"NTFS    ", "ntfs"),
    (54, b"FAT", "fat"),
    (82, b"FAT32", "fat"),
    (0, b"hsqs", "squashfs"),
)
