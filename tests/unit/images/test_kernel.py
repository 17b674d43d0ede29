"""Kernel, modules and the initial RAM disk, on made-up bytes."""

from __future__ import annotations

import stat
import struct
from pathlib import Path

import pytest

from cloudms.errors import Invalid
from cloudms.images import kernel
from cloudms.images.tree import Tree

RELEASE = "6.1.0-1-cloud-amd64"


def add_module(tree: Tree, place: str, *depends: str, alias: str = "") -> None:
    """Write a module with a .modinfo section."""
    info = b"\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0"
    info += b"alias=" + alias.encode() + b"\0" if alias else b""
    tree.write(f"usr/lib/modules/{RELEASE}/kernel/{place}.ko", b"\x7fELF" + info)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a tree with a few modules."""
    made = Tree(tmp_path / "t")
    add_module(made, "drivers/virtio/virtio", "virtio_ring")
    add_module(made, "drivers/virtio/virtio_ring")
    add_module(made, "drivers/block/virtio_blk", "virtio", "virtio_ring", alias="virtio:d00000002v*")
    add_module(made, "fs/isofs/isofs", "cdrom")
    add_module(made, "drivers/cdrom/cdrom")
    add_module(made, "sound/sound")
    return made


def test_dependencies_come_along_in_order(tree: Tree) -> None:
    chosen = kernel.choose_modules(tree, RELEASE, ["drivers/block/*", "fs/isofs/isofs.ko"])
    names = {Path(path).stem: [Path(dep).stem for dep in deps] for path, deps in chosen.items()}
    assert names == {
        "virtio_blk": ["virtio", "virtio_ring"],
        "virtio": ["virtio_ring"],
        "virtio_ring": [],
        "isofs": ["cdrom"],
        "cdrom": [],
    }


def test_other_modules_go_and_modprobe_finds_the_rest(tree: Tree) -> None:
    chosen = kernel.choose_modules(tree, RELEASE, ["drivers/block/*"])
    kernel.keep_modules(tree, RELEASE, chosen)
    base = f"usr/lib/modules/{RELEASE}"
    assert not tree.exists(f"{base}/kernel/sound/sound.ko")
    assert tree.exists(f"{base}/kernel/drivers/virtio/virtio_ring.ko")
    index = tree.read(f"{base}/modules.dep").decode()
    assert "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n" in index
    assert tree.read(f"{base}/modules.alias") == b"alias virtio:d00000002v* virtio_blk\n"


def test_release_is_read_from_the_modules(tree: Tree, tmp_path: Path) -> None:
    assert kernel.release(tree) == RELEASE
    with pytest.raises(Invalid):
        kernel.release(Tree(tmp_path / "empty"))


def test_cpio_can_be_read_back_and_is_reproducible() -> None:
    files = {"init": (stat.S_IFREG | 0o755, b"#!/bin/sh\n"), "bin/sh": (stat.S_IFLNK | 0o777, b"busybox")}
    packed = kernel.cpio(files, 1000)
    assert packed == kernel.cpio(dict(reversed(files.items())), 1000)
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        fields = [int(packed[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = packed[at + 110 : at + 110 + length - 1].decode()
        start = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found[name] = (mode, packed[start : start + size])
        assert fields[5] == 1000
        at = start + (size + 3) // 4 * 4
    assert list(found) == ["bin", "bin/sh", "init"]
    assert found["init"] == files["init"] and found["bin/sh"] == files["bin/sh"]


@pytest.mark.parametrize("content", [bytes(4096), b"HdrS" + bytes(4096)])
def test_what_is_no_kernel_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        kernel.extract_vmlinux(content)


def test_kernel_with_another_compression_is_refused() -> None:
    setup = bytearray(2048)
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, 0, 500)
    with pytest.raises(Invalid, match="lz4"):
        kernel.extract_vmlinux(bytes(setup))
