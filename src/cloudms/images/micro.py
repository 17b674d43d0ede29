"""The `micro` image: a Linux that answers SSH about two seconds after power on, even without hardware help.

busybox as init and tools, dropbear, Python 3.11, bash, sudo and QEMU's guest agent, all files of Debian 12's packages.
The packages are unpacked and never configured (no maintainer script runs), so building needs no root and no chroot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from cloudms.images import apt, ext4, kernel, tools
from cloudms.images.recipe import Cooked, Kitchen, Recipe, add_guest_files, guest_list, versions
from cloudms.images.tree import Tree

MODULES = guest_list("micro", "modules.txt")
_WITHOUT = guest_list("micro", "without-packages.txt")
_UNWANTED_FILES = guest_list("micro", "without-files.txt")

# Packages of which only those programs come in that busybox lacks: its own start faster.
FILL_INS = ("coreutils",)
_DISK_SIZE = 1 << 30


def cook(kitchen: Kitchen) -> Cooked:
    """Build the image's files in the kitchen's folder."""
    return cook_as(RECIPE, kitchen)


def cook_as(
    recipe: Recipe, kitchen: Kitchen, *, without: Sequence[str] = (), finish: Callable[[Tree], None] = lambda tree: None
) -> Cooked:
    """Build `micro` or an image that adds to it.

    Parameters: `without`, files of its packages that stay out (shell patterns); `finish` adds to the furnished system.
    """
    unwanted = (*_UNWANTED_FILES, *without)

    def is_wanted(path: str) -> bool:
        return not any(fnmatchcase(path, pattern) for pattern in unwanted)

    kitchen.say("fetch packages")
    sources = apt.debian_sources(recipe.suite)
    packages = apt.fetch(recipe.packages, arch="amd64", folder=kitchen.cache, sources=sources)
    used = [package for package in packages if not any(fnmatchcase(package.name, name) for name in _WITHOUT)]
    kitchen.say("unpack packages")
    tree = Tree(kitchen.work / "root")
    for package in used:
        if package.name not in FILL_INS:
            apt.unpack(package, tree, is_wanted)
    _link_busybox(tree)
    for package in used:
        if package.name in FILL_INS:
            apt.unpack(package, tree, lambda path: is_wanted(path) and not tree.exists(path))
    tree.clamp(_newest(tree))
    kitchen.say("prepare the system")
    _boot_files(tree, kitchen)
    _furnish(tree, recipe)
    finish(tree)
    kitchen.say("compile Python's library")
    _compile_python(tree)
    kitchen.say("write the disk")
    tree.clamp(tree.epoch)
    raw = kitchen.work / "disk.raw"
    ext4.make(tree, raw, size=_DISK_SIZE, label="cms-root", seed=recipe.name, inodes=65536)
    tools.run(["qemu-img", "convert", "-O", "qcow2", raw, kitchen.folder / "disk.qcow2"])
    return Cooked("disk.qcow2", "vmlinux", "initrd.img", _DISK_SIZE, sources[0].uri, versions(used))


def _boot_files(tree: Tree, kitchen: Kitchen) -> None:
    """Write kernel and initial RAM disk into the kitchen's folder and keep only the chosen modules in the tree."""
    release = kernel.release(tree)
    chosen = kernel.choose_modules(tree, release, MODULES)
    kernel.keep_modules(tree, release, chosen)
    kernel.write_boot_files(tree, release, chosen, kitchen.folder, tree.read("usr/bin/busybox"))
    tree.remove("boot/*")


def _furnish(tree: Tree, recipe: Recipe) -> None:
    """Add what packages would make at installation, and the files of this house."""
    for folder in ("proc", "sys", "dev", "run", "mnt", "home", "var/log", "var/empty", "var/lib/cloud", "etc/dropbear"):
        tree.mkdir(folder)
    tree.mkdir("tmp", mode=0o1777)
    tree.mkdir("var/tmp", mode=0o1777)
    tree.mkdir("root", mode=0o700)
    tree.mkdir("home/cms", mode=0o750, uid=1000, gid=1000)
    for part in recipe.parts:
        add_guest_files(tree, part)
    tree.write("etc/shadow", tree.read("etc/shadow"), mode=0o640, gid=42)
    tree.write("etc/sudoers", tree.read("etc/sudoers"), mode=0o440)
    tree.symlink("usr/bin/python3", "python3.11")
    tree.symlink("usr/bin/python", "python3.11")
    tree.write("etc/resolv.conf", "")
    certificates = tree.files("usr/share/ca-certificates/*.crt")
    tree.write("etc/ssl/certs/ca-certificates.crt", b"".join(tree.read(path) for path in certificates))
    tree.symlink("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")


def _link_busybox(tree: Tree) -> None:
    """Name every busybox tool that no package brought; init and hwclock also where others look for them."""
    applets = tools.run([tree.folder / "usr/bin/busybox", "--list"]).decode().split()
    for applet in applets:
        if not any(tree.exists(f"usr/{place}/{applet}") for place in ("bin", "sbin")):
            tree.symlink(f"usr/bin/{applet}", "busybox")
    for applet in ("init", "hwclock", "poweroff", "reboot", "halt", "modprobe"):
        tree.symlink(f"usr/sbin/{applet}", "../bin/busybox")
    tree.symlink("usr/bin/sh", "busybox")


def _compile_python(tree: Tree) -> None:
    """Compile the library with the image's own interpreter and loader: the host's Python does not matter."""
    root = tree.folder
    loader = root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    library = ("usr/lib/python3.11", "usr/lib/python3/dist-packages", "usr/lib/cms")
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    python = [str(loader), "--library-path", str(libraries), str(root / "usr/bin/python3.11"), "-S"]
    tools.run(
        [*python, "-m", "compileall", *options, *(str(root / folder) for folder in library)],
        env={"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    for folder in library:
        tree.adopt(folder)


def _newest(tree: Tree) -> int:
    return max(node.mtime for node in tree.nodes.values())


# In the order of what they save under emulation: the self-tests of cryptography 0.25 s, waiting for RCU 0.1 s.
CMDLINE = (
    "console=ttyS0 quiet mitigations=off cryptomgr.notests rcupdate.rcu_expedited=1 tsc=reliable no_timer_check "
    "random.trust_cpu=on net.ifnames=0 root=/dev/vda"
)

PROGRAMS = ("apt-get", "dpkg-deb", "mke2fs", "debugfs", "lz4", "qemu-img")

RECIPE = Recipe(
    name="micro",
    os="cloudms micro (Debian 12 packages)",
    suite="bookworm",
    login="cms",
    cmdline=CMDLINE,
    min_memory_mib=96,
    packages=guest_list("micro", "packages.txt"),
    programs=PROGRAMS,
    steps=6,
    cook=cook,
)
