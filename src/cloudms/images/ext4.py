"""An ext4 disk image from a staged tree, the same bytes for the same tree, without being root.

mke2fs copies the files in; owners, modes and times come from the tree's table through debugfs. Features are named one
by one, since their default depends on the host's version of e2fsprogs.
"""

from __future__ import annotations

import stat
import uuid
from pathlib import Path

from cloudms.errors import NotReady
from cloudms.images import tools
from cloudms.images.tree import Node, Tree

_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,64bit"
)


def make(tree: Tree, image: Path, *, size: int, label: str, seed: str, inodes: int | None = None) -> None:
    """Write `tree` as a file system of `size` bytes into the file `image`.

    `label` is at most 16 characters; `seed` is any text from which the UUID and the hash seed are derived.
    """
    with image.open("wb") as stream:
        stream.truncate(size)
    identity = uuid.uuid5(uuid.NAMESPACE_OID, seed)
    options = f"hash_seed={uuid.uuid5(identity, 'hash')},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1"
    count = ["-N", str(inodes)] if inodes else []
    when = {"E2FSPROGS_FAKE_TIME": str(max(tree.epoch, 1)), "MKE2FS_CONFIG": "/dev/null"}
    fixed = ("-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-J", "size=16", "-O", _FEATURES)
    tools.run(
        ["mke2fs", *fixed, "-U", str(identity), "-L", label, "-E", options, *count, "-d", tree.folder, image], env=when
    )
    _set_owners(tree, image, when)


def _set_owners(tree: Tree, image: Path, env: dict[str, str]) -> None:
    made_by_mke2fs = {
        "": Node(stat.S_IFDIR | 0o755, mtime=tree.epoch),
        "lost+found": Node(stat.S_IFDIR | 0o700, mtime=tree.epoch),
    }
    nodes = sorted((made_by_mke2fs | tree.nodes).items())
    lines = [line for path, node in nodes for line in _fields(path, node, tree.epoch)]
    output = tools.run(["debugfs", "-w", "-f", "-", str(image)], stdin="".join(lines).encode(), env=env)
    said = output.decode(errors="replace").splitlines()
    if wrong := [line for line in said if line and not line.startswith("debugfs:")]:
        raise NotReady(f"debugfs refused an entry of the image: {wrong[0][:200]}", hint="report this whole line")


def _fields(path: str, node: Node, epoch: int) -> list[str]:
    if '"' in path or "\n" in path:
        raise NotReady(f"a packaged file has a name that cannot be set: {path!r}", hint="leave its package out")
    values = {
        "mode": f"0{node.mode:o}",
        "uid": str(node.uid),
        "gid": str(node.gid),
        "mtime": f"@{node.mtime}",
        "atime": f"@{node.mtime}",
        "ctime": f"@{epoch}",
        "crtime": f"@{epoch}",
    }
    # the nanoseconds, which mke2fs may have copied from the host's files
    values |= {"mtime_extra": "0", "atime_extra": "0", "ctime_extra": "0", "crtime_extra": "0"}
    return [f'set_inode_field "/{path}" {key} {value}\n' for key, value in values.items()]
