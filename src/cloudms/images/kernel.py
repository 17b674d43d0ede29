"""The kernel of an image that boots directly: its ELF, its modules, and an initial RAM disk of a megabyte."""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from cloudms.errors import Invalid
from cloudms.images import tools
from cloudms.images.tree import Tree

_MODULES = "usr/lib/modules"
_EARLY = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net")  # what must work before the disk can be mounted
_INIT = Path(__file__).parent / "guest" / "boot" / "init"
_LZ4_LEGACY = b"\x02\x21\x4c\x18"


def extract_vmlinux(vmlinuz: bytes) -> bytes:
    """Return the ELF kernel inside an x86 bzImage compressed with lz4, as Debian's cloud kernel is.

    QEMU starts the ELF at its PVH entry, which saves the decompression in the (slow) emulated real mode. Layout:
    the setup header of the x86 boot protocol, whose payload_offset and payload_length (0x248) count from the end of the
    setup sectors; the payload's last four bytes are its uncompressed size.
    """
    if vmlinuz[0x202:0x206] != b"HdrS" and vmlinuz[0x202:0x204] != b"Hd":
        raise Invalid("the kernel is not an x86 bzImage", hint="this builder knows Debian's amd64 kernels")
    start = ((vmlinuz[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", vmlinuz, 0x248)
    payload = vmlinuz[start + offset : start + offset + length - 4]
    if payload[:4] != _LZ4_LEGACY:
        raise Invalid("the kernel is not compressed with lz4", hint="this builder knows Debian's cloud kernels")
    vmlinux = tools.run(["lz4", "-d", "-c"], stdin=payload)
    if vmlinux[:4] != b"\x7fELF":
        raise Invalid("the kernel holds no ELF file", hint="fetch the kernel package again")
    return vmlinux


def module_info(module: bytes) -> dict[str, list[str]]:
    """Return the `key=value` strings of a kernel module's .modinfo that matter: depends, alias, softdep."""
    info: dict[str, list[str]] = {"depends": [], "alias": [], "softdep": []}
    for key, value in re.findall(rb"\0(depends|alias|softdep)=([^\0]*)", module):
        info[key.decode()].append(value.decode(errors="replace"))
    return info


def choose_modules(tree: Tree, release: str, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Return the modules that match the patterns `wanted` below `kernel/`, and all they depend on.

    The value of each path (relative to the release's folder) is its dependencies in the order of loading.
    """
    base = f"{_MODULES}/{release}"
    by_name = {_module_name(path): path for path in tree.files(f"{base}/kernel/*.ko")}
    chosen = {name for pattern in wanted for name in map(_module_name, tree.files(f"{base}/kernel/{pattern}"))}
    graph: dict[str, list[str]] = {}
    todo = sorted(chosen)
    while todo:
        name = todo.pop()
        if name not in graph and name in by_name:
            depends = module_info(tree.read(by_name[name]))["depends"]
            graph[name] = [dep for dep in ",".join(depends).replace("-", "_").split(",") if dep in by_name]
            todo += graph[name]
    short = {name: by_name[name].removeprefix(f"{base}/") for name in graph}
    return {short[name]: [short[dep] for dep in _closure(graph, name)] for name in sorted(graph)}


def keep_modules(tree: Tree, release: str, chosen: Mapping[str, list[str]]) -> None:
    """Remove every other module from the tree and write the indexes that modprobe reads."""
    base = f"{_MODULES}/{release}"
    unwanted = [path for path in tree.files(f"{base}/kernel/*.ko") if path.removeprefix(f"{base}/") not in chosen]
    tree.remove(*unwanted)
    tree.write(f"{base}/modules.dep", "".join(f"{path}: {' '.join(deps)}\n" for path, deps in sorted(chosen.items())))
    aliases = [
        f"alias {alias} {_module_name(path)}\n"
        for path in sorted(chosen)
        for alias in module_info(tree.read(f"{base}/{path}"))["alias"]
    ]
    tree.write(f"{base}/modules.alias", "".join(aliases))
    tree.write(f"{base}/modules.softdep", "")


def release(tree: Tree) -> str:
    """Return the release of the kernel whose modules are in the tree ("6.1.0-31-cloud-amd64")."""
    found = sorted(
        {path.split("/")[3] for path in tree.nodes if path.startswith(f"{_MODULES}/") and path.count("/") > 3}
    )
    if len(found) != 1:
        raise Invalid(f"one kernel is expected, the packages hold {len(found)}", hint="fetch the kernel package again")
    return found[0]


def write_boot_files(tree: Tree, release: str, chosen: Mapping[str, list[str]], folder: Path, busybox: bytes) -> None:
    """Write `vmlinux` and `initrd.img` into `folder`, from the kernel and the chosen modules in the tree."""
    (folder / "vmlinux").write_bytes(extract_vmlinux(tree.read(f"boot/vmlinuz-{release}")))
    by_name = {_module_name(path): path for path in chosen}
    order: list[str] = []
    for path in (by_name[name] for name in _EARLY):
        order += [part for part in [*reversed(chosen[path]), path] if part not in order]
    files = {
        "init": (stat.S_IFREG | 0o755, _INIT.read_bytes()),
        "bin/busybox": (stat.S_IFREG | 0o755, busybox),
        "bin/sh": (stat.S_IFLNK | 0o777, b"busybox"),
        "mod/order": (stat.S_IFREG | 0o644, "".join(f"{PurePosixPath(path).name}\n" for path in order).encode()),
    }
    for path in order:
        files[f"mod/{PurePosixPath(path).name}"] = (stat.S_IFREG | 0o644, tree.read(f"{_MODULES}/{release}/{path}"))
    files |= dict.fromkeys(("dev", "newroot", "proc", "sys"), (stat.S_IFDIR | 493, b""))
    (folder / "initrd.img").write_bytes(cpio(files, tree.epoch))


def cpio(files: Mapping[str, tuple[int, bytes]], epoch: int) -> bytes:
    """Return an initial RAM disk in the `newc` format: path → (mode with type, content or link target), root's.

    Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux kernel.
    """
    parts: list[bytes] = []
    folders = {str(parent): (stat.S_IFDIR | 0o755, b"") for path in files for parent in PurePosixPath(path).parents}
    folders.pop(".")
    entries = [*sorted((folders | dict(files)).items()), ("TRAILER!!!", (0, b""))]
    for number, (path, (mode, content)) in enumerate(entries, 1):
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (number, mode, 0, 0, links, epoch if mode else 0, len(content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        parts += [_pad(header + name), _pad(content)]
    return b"".join(parts)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _module_name(path: str) -> str:
    return PurePosixPath(path).name.removesuffix(".ko").replace("-", "_")


def _closure(graph: Mapping[str, list[str]], name: str) -> list[str]:
    """Return what `name` needs loaded, the nearest first (modprobe loads from the end)."""
    found: list[str] = []
    todo = list(graph[name])
    while todo:
        dep = todo.pop(0)
        if dep in found:
            found.remove(dep)
        found.append(dep)
        todo += graph[dep]
    return found
