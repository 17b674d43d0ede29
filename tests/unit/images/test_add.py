"""Files become images of the store: copied, unpacked, refused when they are no disks."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.errors import Exists, Invalid
from cloudms.images.add import Facts, add, copy
from cloudms.images.store import ImageStore, file_digest

from . import disks

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> ImageStore:
    """Return an empty store."""
    return ImageStore(tmp_path / "images", clock=clock)


def file(tmp_path: Path, content: bytes, name: str = "given") -> Path:
    """Write a file."""
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_raw_disk_is_kept_as_it_is(tmp_path: Path, store: ImageStore, clock: ManualClock) -> None:
    given = file(tmp_path, disks.raw(partitions="mbr"))
    facts = Facts(os="Test 1", login="tester", firmware="uefi", source="there")
    image = add(given, "mine", facts=facts, store=store, clock=clock)
    assert (image.format, image.virtual_size, image.boot) == ("raw", MIB, "disk")
    assert (image.os, image.login, image.firmware, image.source) == ("Test 1", "tester", "uefi", "there")
    assert image.digest == file_digest(given)
    assert image.created == clock.now()
    assert given.exists()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_disk_is_unpacked(tmp_path: Path, store: ImageStore, pack: object) -> None:
    content = disks.raw(partitions="gpt", size=9 * MIB)
    packed = gzip.compress(content) if pack is gzip.compress else lzma.compress(content)
    image = add(file(tmp_path, packed), "mine", store=store)
    assert image.disk_path.read_bytes() == content
    assert image.virtual_size == 9 * MIB
    assert image.disk_path.stat().st_blocks * 512 < 6 * MIB  # the empty parts take no space
    assert sorted(image.files) == ["disk.raw"]


@pytest.mark.parametrize(
    "content",
    [
        b"just some text\n" * 100,
        disks.iso(),
        disks.qcow2(MIB, backing="/etc/shadow"),
        gzip.compress(disks.qcow2(MIB, backing="/etc/shadow")),
        gzip.compress(disks.raw(partitions="mbr"))[:-100],
        gzip.compress(gzip.compress(disks.raw(partitions="mbr"))),
        gzip.compress(b"just some text\n" * 100),
    ],
    ids=["text", "iso", "other-file", "other-file-gz", "cut-off", "twice", "text-gz"],
)
def test_unusable_files_leave_nothing(tmp_path: Path, store: ImageStore, content: bytes) -> None:
    with pytest.raises(Invalid):
        add(file(tmp_path, content), "mine", store=store)
    assert store.scan() == ([], [])
    assert [p for p in store.root.glob("*") if p.is_dir()] == []


def test_taken_name_is_refused(tmp_path: Path, store: ImageStore) -> None:
    add(file(tmp_path, disks.raw(partitions="mbr")), "mine", store=store)
    with pytest.raises(Exists):
        add(file(tmp_path, disks.raw(partitions="gpt")), "mine", store=store)
    replaced = add(file(tmp_path, disks.raw(partitions="gpt")), "mine", replace_existing=True, store=store)
    assert replaced.disk_path.read_bytes() == disks.raw(partitions="gpt")


def test_move_leaves_no_copy(tmp_path: Path, store: ImageStore) -> None:
    given = file(tmp_path, disks.qcow2(MIB))
    image = add(given, "mine", move=True, store=store)
    assert not given.exists()
    assert image.disk_path.read_bytes() == disks.qcow2(MIB)


def test_copy_keeps_content_and_holes(tmp_path: Path) -> None:
    given = tmp_path / "given"
    with given.open("wb") as stream:
        stream.write(b"start")
        stream.seek(20 * MIB)
        stream.write(b"end")
        stream.truncate(30 * MIB)
    seen: list[int] = []
    copy(given, tmp_path / "copy", lambda done, total, text: seen.append(done))
    assert (tmp_path / "copy").read_bytes() == given.read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < MIB
    assert seen == sorted(seen)
