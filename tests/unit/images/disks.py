"""Small disk images of every kind, written byte by byte as their specifications say."""

from __future__ import annotations

import struct
import uuid


def qcow2(size: int, *, version: int = 3, backing: str = "", features: int = 0) -> bytes:
    """Return the header of a qcow2 image."""
    name = backing.encode()
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, 512 if name else 0, len(name), 16, size, 0, 1, 0, 0, 0, 0, 0
    )
    header += struct.pack(">QQQII", features, 0, 0, 4, 104) if version == 3 else b""
    return header.ljust(512, b"\0") + name.ljust(512, b"\0")


def raw(*, partitions: str = "", filesystem: str = "", size: int = 1 << 20) -> bytes:
    """Return a raw disk with a partition table or a file system's superblock."""
    disk = bytearray(size)
    if partitions:
        disk[510:512] = b"\x55\xaa"
        disk[446:462] = struct.pack("<B3sB3sII", 0x80, b"", 0xEE if partitions == "gpt" else 0x83, b"", 1, 100)
    if partitions == "gpt":
        disk[512:520] = b"EFI PART"
    if filesystem == "ext4":
        disk[1080:1082] = b"\x53\xef"
    if filesystem == "fat":
        disk[510:512], disk[54:62] = b"\x55\xaa", b"FAT16   "
    return bytes(disk)


def vmdk(size: int, *, parent: str = "", capacity: bool = True) -> bytes:
    """Return a monolithic sparse VMDK's header and descriptor."""
    hint = f'parentFileNameHint="{parent}"\n' if parent else ""
    descriptor = f"# Disk DescriptorFile\nversion=1\n{hint}".encode().ljust(512, b"\0")
    header = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, size // 512 if capacity else 0, 128, 1, 1)
    return header.ljust(512, b"\0") + descriptor


def vmdk_flat(size: int) -> bytes:
    """Return a VMDK descriptor whose data is in another file."""
    return f'# Disk DescriptorFile\nversion=1\nRW {size // 512} FLAT "disk-flat.vmdk" 0\n'.encode()


def vhd_footer(size: int, kind: int) -> bytes:
    """Return a VHD footer: kind 2 is fixed, 3 dynamic, 4 differencing."""
    head = struct.pack(">8sIIQI4sI4sQQII", b"conectix", 2, 0x10000, 512, 0, b"test", 1, b"Wi2k", size, size, 0, kind)
    return head.ljust(512, b"\0")


def vhd(size: int, *, kind: int = 3) -> bytes:
    """Return a VHD: the footer also stands first, except in a fixed one."""
    footer = vhd_footer(size, kind)
    return bytes(size) + footer if kind == 2 else footer + bytes(1024) + footer


def vhdx(size: int, *, parent: bool = False) -> bytes:
    """Return a VHDX with the region table and the two metadata items that matter."""
    disk = bytearray(2 << 20)
    disk[0:8] = b"vhdxfile"
    at, metadata = 192 * 1024, 1 << 20
    disk[at : at + 16] = struct.pack("<4sIII", b"regi", 0, 1, 0)
    region = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    disk[at + 16 : at + 48] = struct.pack("<16sQII", region, metadata, 65536, 1)
    disk[metadata : metadata + 12] = struct.pack("<8sHH", b"metadata", 0, 2)
    items = (
        ("2fa54224-cd1b-4876-b211-5dbed83bf4b8", struct.pack("<Q", size)),
        ("caa16737-fa36-4d43-b3b6-33f0aa44e76b", struct.pack("<II", 1 << 20, 2 if parent else 0)),
    )
    for number, (name, value) in enumerate(items):
        entry, place = metadata + 32 + 32 * number, 65536 + 64 * number
        disk[entry : entry + 28] = struct.pack("<16sIII", uuid.UUID(name).bytes_le, place, len(value), 0)
        disk[metadata + place : metadata + place + len(value)] = value
    return bytes(disk)


def iso() -> bytes:
    """Return the first sectors of an ISO 9660 image."""
    return bytes(32768) + b"\x01CD001\x01" + bytes(4096)
