"""A root file system in the making: files on disk in a staging folder, their owners and modes in a table.

The table lets an ordinary user make files that root will own in the image: nothing is ever chowned on the host.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cloudms.errors import Invalid

# Since Debian 12 these are links into /usr; packages still carry some files under the old names.
_MERGED = ("bin", "sbin", "lib", "lib64")


@dataclass(frozen=True)
class Node:
    """What the table knows of one path: its full mode with the type, its owner, its time in epoch seconds."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0


class Tree:
    """A staged root file system; paths are relative ("usr/bin/sh"), `epoch` is the time of everything written here."""

    def __init__(self, folder: Path, *, epoch: int = 0) -> None:
        self.folder = folder
        self.epoch = epoch
        self.nodes: dict[str, Node] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for name in _MERGED:
            self.mkdir(f"usr/{name}")
            self.symlink(name, f"usr/{name}")

    def add_tar(self, archive: tarfile.TarFile, keep: Callable[[str], bool] = lambda path: True) -> None:
        """Unpack an archive, only what `keep(path)` wants, links and owners included; devices are left out."""
        for member in archive:
            path = merged(member.name)
            if path and keep(path) and not (member.isdir() and path in self.nodes):
                self._add_member(archive, member, path)

    def write(self, path: str, content: bytes | str, *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Create or replace a file."""
        target = self._place(path)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        self._note(path, stat.S_IFREG | mode, uid, gid)

    def mkdir(self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Create a folder, with its parents, or change an existing one's mode and owner."""
        self._parents(path)
        (self.folder / path).mkdir(exist_ok=True)
        self._note(path, stat.S_IFDIR | mode, uid, gid)

    def symlink(self, path: str, to: str) -> None:
        """Create or replace a symbolic link at `path` that says `to`."""
        self._place(path).symlink_to(to)
        self._note(path, stat.S_IFLNK | 0o777)

    def remove(self, *patterns: str) -> None:
        """Remove every path that matches a shell pattern (`*` also matches `/`), with all below it."""
        doomed = [path for path in self.nodes if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)]
        for path in doomed:
            target = self.folder / path
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        gone = {path for path in self.nodes if not os.path.lexists(self.folder / path)}
        self.nodes = {path: node for path, node in self.nodes.items() if path not in gone}

    def adopt(self, path: str) -> None:
        """Enter files into the table that a program wrote into the staging folder below `path`."""
        for found in sorted((self.folder / path).rglob("*")):
            name = str(found.relative_to(self.folder))
            if name not in self.nodes:
                kind = stat.S_IFDIR | 0o755 if found.is_dir() else stat.S_IFREG | 0o644
                self._note(name, kind)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return (self.folder / path).read_bytes()

    def exists(self, path: str) -> bool:
        """Return whether `path` is there."""
        return path in self.nodes

    def files(self, pattern: str) -> list[str]:
        """Return the regular files whose path matches the shell pattern, sorted."""
        return sorted(p for p, n in self.nodes.items() if stat.S_ISREG(n.mode) and fnmatch.fnmatchcase(p, pattern))

    def clamp(self, epoch: int) -> None:
        """Set every time later than `epoch`, and every time of what was made here, to `epoch`."""
        self.epoch = epoch
        self.nodes = {
            path: replace(node, mtime=epoch) if not 0 < node.mtime <= epoch else node
            for path, node in self.nodes.items()
        }

    def size(self) -> int:
        """Return the bytes of all files, each rounded up to the 4 KiB blocks of the file system."""
        sizes = (os.lstat(self.folder / path).st_size for path, n in self.nodes.items() if stat.S_ISREG(n.mode))
        return sum(-(-size // 4096) * 4096 for size in sizes)

    def _add_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.issym():
            self._place(path).symlink_to(member.linkname)
            kind = stat.S_IFLNK
        elif member.islnk():
            source = merged(member.linkname)
            if source not in self.nodes:
                return
            os.link(self.folder / source, self._place(path))
            self.nodes[path] = self.nodes[source]
            return
        elif member.isdir():
            self._parents(path)
            (self.folder / path).mkdir(exist_ok=True)
            kind = stat.S_IFDIR
        elif member.isreg():
            self._copy(archive, member, self._place(path))
            kind = stat.S_IFREG
        else:
            return
        self.nodes[path] = Node(kind | member.mode & 0o7777, member.uid, member.gid, int(member.mtime))

    def _copy(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        content = archive.extractfile(member)
        if content is None:
            raise Invalid(f"the package's file {member.name} has no content")
        with target.open("wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)  # never set-user-ID on the host

    def _place(self, path: str) -> Path:
        """Return where `path` is staged, its parents made and nothing there."""
        self._parents(path)
        target = self.folder / path
        if target.is_symlink() or target.is_file():
            target.unlink()
        return target

    def _parents(self, path: str) -> None:
        for parent in reversed(PurePosixPath(path).parents[:-1] if "/" in path else []):
            if str(parent) not in self.nodes:
                (self.folder / parent).mkdir(exist_ok=True)
                self._note(str(parent), stat.S_IFDIR | 0o755)

    def _note(self, path: str, mode: int, uid: int = 0, gid: int = 0) -> None:
        self.nodes[path] = Node(mode, uid, gid, self.epoch)


def merged(name: str) -> str:
    """Return an archive's path as this tree has it: relative, plain, under /usr where Debian merged it."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            raise Invalid(f"the archive's path {name} leaves the image")
        if part not in ("", "."):
            parts.append(part)
    if parts and parts[0] in _MERGED:
        parts = ["usr", *parts] if len(parts) > 1 else []
    return "/".join(parts)


def sorted_nodes(nodes: Iterable[tuple[str, Node]]) -> Iterator[tuple[str, Node]]:
    """Yield the table in one order on every machine."""
    yield from sorted(nodes)
