"""Disk images are recognised from their bytes, and the dangerous ones are told."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from cloudms.errors import Invalid, NotFound
from cloudms.images.formats import DiskFormat, refuse_untrusted, sniff

from . import disks

MIB = 1 << 20


def look(tmp_path: Path, content: bytes) -> DiskFormat:
    """Recognise `content`."""
    path = tmp_path / "image"
    path.write_bytes(content)
    return sniff(path)


@pytest.mark.parametrize(
    ("content", "kind", "size"),
    [
        (disks.qcow2(10 * MIB), "qcow2", 10 * MIB),
        (disks.qcow2(10 * MIB, version=2), "qcow2", 10 * MIB),
        (disks.vmdk(8 * MIB), "vmdk", 8 * MIB),
        (disks.vmdk_flat(8 * MIB), "vmdk", 8 * MIB),
        (disks.vhd(4 * MIB), "vhd", 4 * MIB),
        (disks.vhd(MIB, kind=2), "vhd", MIB),
        (disks.vhdx(64 * MIB), "vhdx", 64 * MIB),
        (disks.raw(partitions="mbr"), "raw", MIB),
        (disks.raw(partitions="gpt"), "raw", MIB),
        (disks.raw(filesystem="ext4"), "raw", MIB),
    ],
)
def test_format_and_virtual_size(tmp_path: Path, content: bytes, kind: str, size: int) -> None:
    found = look(tmp_path, content)
    assert (found.format, found.virtual_size, found.file_size) == (kind, size, len(content))


@pytest.mark.parametrize(
    ("content", "partitions", "filesystem"),
    [
        (disks.raw(partitions="mbr"), "mbr", ""),
        (disks.raw(partitions="gpt"), "gpt", ""),
        (disks.raw(filesystem="ext4"), "none", "ext4"),
        (disks.raw(filesystem="fat"), "none", "fat"),
        (disks.raw(), "", ""),
        (b"\x55\xaa" * 512, "", ""),
        (disks.iso(), "none", "iso9660"),
    ],
)
def test_what_is_on_a_raw_disk(tmp_path: Path, content: bytes, partitions: str, filesystem: str) -> None:
    found = look(tmp_path, content)
    assert (found.partitions, found.filesystem) == (partitions, filesystem)


@pytest.mark.parametrize(
    ("content", "reads"),
    [
        (disks.qcow2(MIB, backing="/etc/shadow"), "/etc/shadow"),
        (disks.qcow2(MIB, version=2, backing="base.img"), "base.img"),
        (disks.vmdk(MIB, parent="other.vmdk"), "other.vmdk"),
        (disks.vhd(MIB, kind=4), "its parent disk"),
        (disks.vhdx(MIB, parent=True), "its parent disk"),
    ],
)
def test_backing_file_is_told_and_refused(tmp_path: Path, content: bytes, reads: str) -> None:
    found = look(tmp_path, content)
    assert found.backing_file == reads
    assert not found.trusted
    with pytest.raises(Invalid, match="stands on another file"):
        refuse_untrusted(found, "image")


@pytest.mark.parametrize(
    "content", [disks.qcow2(MIB, features=0b100), disks.vmdk_flat(MIB), disks.vmdk(MIB, capacity=False)]
)
def test_data_in_other_files_is_told_and_refused(tmp_path: Path, content: bytes) -> None:
    found = look(tmp_path, content)
    assert not found.trusted
    with pytest.raises(Invalid, match="other files"):
        refuse_untrusted(found, "image")


def test_harmless_image_is_trusted(tmp_path: Path) -> None:
    found = look(tmp_path, disks.qcow2(MIB))
    assert found.trusted
    refuse_untrusted(found, "image")


@pytest.mark.parametrize(
    ("packed", "kind"),
    [
        (gzip.compress(disks.qcow2(3 * MIB)), "gz"),
        (bz2.compress(disks.qcow2(3 * MIB)), "bz2"),
        (lzma.compress(disks.qcow2(3 * MIB)), "xz"),
    ],
    ids=["gz", "bz2", "xz"],
)
def test_compressed_image_is_looked_into(tmp_path: Path, packed: bytes, kind: str) -> None:
    found = look(tmp_path, packed)
    assert (found.compressed, found.format, found.virtual_size) == (kind, "qcow2", 3 * MIB)


def test_compressed_raw_disk_has_no_known_size(tmp_path: Path) -> None:
    found = look(tmp_path, lzma.compress(disks.raw(partitions="gpt")))
    assert (found.compressed, found.format, found.virtual_size, found.partitions) == ("xz", "raw", None, "gpt")


@pytest.mark.parametrize("packed", [b"\x28\xb5\x2f\xfd" + bytes(600), b"\x1f\x8b" + bytes(600)])
def test_compression_that_cannot_be_looked_into(tmp_path: Path, packed: bytes) -> None:
    found = look(tmp_path, packed)
    assert found.format == "unknown"
    assert found.compressed in ("zst", "gz")


@pytest.mark.parametrize(
    "content", [b"", b"tiny", disks.qcow2(MIB)[:20], disks.vhdx(MIB)[:200_000], b"QFI\xfb\0\0\0\x09" + bytes(90)]
)
def test_useless_files_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Invalid):
        look(tmp_path, content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        sniff(tmp_path / "none")
    with pytest.raises(Invalid):
        sniff(tmp_path)
