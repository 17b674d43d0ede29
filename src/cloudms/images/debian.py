"""The `debian` image: Debian 12 with systemd, cloud-init and OpenSSH, installed by mmdebstrap and booted directly.

The kernel is not an installed package: it lies beside the disk, so an upgrade inside the machine cannot part it from
its modules.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from cloudms.images import apt, ext4, kernel, tools
from cloudms.images.recipe import Cooked, Kitchen, Recipe, add_guest_files, guest_list
from cloudms.images.tree import Tree

_DISK_SIZE = 2 << 30
_NEVER_NEEDED = ("man", "doc", "locale", "info", "lintian", "bug")
# What installation leaves behind that differs from machine to machine, or would make all machines alike.
_LEFTOVERS = (
    "etc/ssh/ssh_host_*",
    "etc/resolv.conf",
    "etc/hostname",
    "var/cache/apt/*.bin",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
    "var/lib/systemd/random-seed",
    "var/log/*.log",
    "var/log/apt/*",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list*",
    "etc/*-",
    "var/lib/dpkg/*-old",
    "var/cache/debconf/*-old",
)


def cook(kitchen: Kitchen) -> Cooked:
    """Build the image's files in the kitchen's folder."""
    kitchen.say("fetch the kernel")
    sources = apt.debian_sources(RECIPE.suite)
    parts = apt.fetch(_BESIDE, arch="amd64", folder=kitchen.cache, sources=sources)
    kitchen.say("install the packages")
    tree = Tree(kitchen.work / "root")
    packages = _install(tree, kitchen, sources)
    kitchen.say("prepare the system")
    for package in parts:
        if package.name.startswith("linux-image-"):
            apt.unpack(package, tree, lambda path: path.startswith(("usr/lib/modules/", "boot/vmlinuz")))
    tree.clamp(max(node.mtime for node in tree.nodes.values()))
    _boot_files(tree, kitchen, next(package for package in parts if package.name == "busybox-static"))
    _furnish(tree, sources)
    kitchen.say("write the disk")
    tree.clamp(tree.epoch)
    raw = kitchen.work / "disk.raw"
    ext4.make(tree, raw, size=_DISK_SIZE, label="cms-root", seed="debian", inodes=131072)
    tools.run(["qemu-img", "convert", "-O", "qcow2", raw, kitchen.folder / "disk.qcow2"])
    return Cooked("disk.qcow2", "vmlinux", "initrd.img", _DISK_SIZE, sources[0].uri, packages)


def check() -> None:
    """Raise NotReady when an ordinary user cannot install packages here: mmdebstrap needs a range of user ids."""
    if os.geteuid() != 0:
        tools.require("newuidmap", why="building 'debian' without being root")


def _install(tree: Tree, kitchen: Kitchen, sources: list[apt.Source]) -> tuple[str, ...]:
    """Let mmdebstrap install into an archive and unpack that into the tree; return the packages as name=version."""
    listed, archive = kitchen.work / "debian.sources", kitchen.work / "root.tar"
    apt.write_sources(sources, listed)
    epoch = apt.release_time(kitchen.cache, RECIPE.suite)
    # Without rights the work is done as another user id, which must be able to reach the place.
    place = kitchen.work if os.geteuid() == 0 else Path("/var/tmp")  # noqa: S108 - a folder of its own is made in it
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _NEVER_NEEDED]
    included = ",".join(RECIPE.packages)
    options += [f"--aptopt={line}" for line in apt.proxy_settings()]
    tools.run(
        ["mmdebstrap", "--variant=minbase", f"--include={included}", *options, RECIPE.suite, archive, listed],
        env={"TMPDIR": str(place), "SOURCE_DATE_EPOCH": str(epoch)},
        timeout=7200,
    )
    with tarfile.open(archive) as stream:
        tree.add_tar(stream)
    archive.unlink()
    return _installed(tree.read("var/lib/dpkg/status").decode())


def _installed(status: str) -> tuple[str, ...]:
    found = []
    for paragraph in status.split("\n\n"):
        keys = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "Package" in keys:
            found.append(f"{keys['Package']}={keys['Version']}")
    return tuple(sorted(found))


def _boot_files(tree: Tree, kitchen: Kitchen, busybox: apt.Package) -> None:
    release = kernel.release(tree)
    everything = kernel.choose_modules(tree, release, ["*"])
    scratch = Tree(kitchen.work / "busybox")
    apt.unpack(busybox, scratch)
    kernel.write_boot_files(tree, release, everything, kitchen.folder, scratch.read("usr/bin/busybox"))
    tree.remove("boot/*")
    _depmod(tree, release)


def _depmod(tree: Tree, release: str) -> None:
    """Index the modules with the image's own depmod, run by its own loader, so that its modprobe can read the index."""
    root = tree.folder
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), "--argv0", "depmod"]
    tools.run([*loader, str(root / "usr/bin/kmod"), "-b", str(root), release])
    tree.adopt(f"usr/lib/modules/{release}")


def _furnish(tree: Tree, sources: list[apt.Source]) -> None:
    tree.remove(*_LEFTOVERS)
    add_guest_files(tree, "debian")
    for unit in guest_list("debian", "mask.txt"):
        tree.symlink(f"etc/systemd/{unit if '/' in unit else f'system/{unit}'}", "/dev/null")
    for unit in ("cms-host-key.service", "systemd-networkd.service", "systemd-resolved.service"):
        folder = "etc/systemd/system" if unit.startswith("cms-") else "lib/systemd/system"
        tree.symlink(f"etc/systemd/system/multi-user.target.wants/{unit}", f"/{folder}/{unit}")
    tree.mkdir("var/cache/apt/archives/partial", mode=0o700, uid=42)  # apt's own user; mmdebstrap sets it as root only
    tree.symlink("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
    tree.write("etc/hostname", "debian\n")
    tree.write("etc/machine-id", "")
    tree.write("etc/apt/sources.list.d/debian.sources", "\n".join(s.stanza() for s in map(apt.reachable, sources)))


_BESIDE = ("busybox-static", "linux-image-cloud-amd64")

RECIPE = Recipe(
    name="debian",
    os="Debian 12 (bookworm)",
    suite="bookworm",
    login="debian",
    cmdline=(
        "console=ttyS0 quiet mitigations=off cryptomgr.notests rcupdate.rcu_expedited=1 tsc=reliable no_timer_check "
        "random.trust_cpu=on net.ifnames=0 root=/dev/vda"
    ),
    min_memory_mib=384,
    packages=guest_list("debian", "packages.txt"),
    programs=("apt-get", "dpkg-deb", "mke2fs", "debugfs", "lz4", "qemu-img", "mmdebstrap"),
    steps=5,
    cook=cook,
    check=check,
)
