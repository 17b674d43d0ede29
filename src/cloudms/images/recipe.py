"""What a recipe is: its ingredients (which give its digest) and the function that cooks them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cloudms.images.apt import Package
from cloudms.images.tree import Tree

BUILDER = "1"
"""Raised when the same ingredients give another image."""

GUEST = Path(__file__).parent / "guest"


@dataclass(frozen=True)
class Kitchen:
    """Where a recipe works: results go to `folder`, `work` is thrown away, `cache` stays, `say(text)` names a step."""

    folder: Path
    work: Path
    cache: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Cooked:
    """What came out: file names in the kitchen's folder, sizes in bytes, the packages as name=version."""

    disk: str
    kernel: str
    initrd: str
    virtual_size: int
    source: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How to build one image. `check` raises NotReady when the host cannot, beyond missing `programs`.

    `base` is the image whose guest files come in as well, under those of its own.
    """

    name: str
    os: str
    suite: str
    login: str
    cmdline: str
    min_memory_mib: int
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    steps: int
    cook: Callable[[Kitchen], Cooked]
    check: Callable[[], None] = lambda: None
    base: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Return whose guest files it is made of, its own last."""
        return tuple(part for part in (self.base, self.name) if part)

    def digest(self) -> str:
        """Return the sum of everything that decides the image except the versions of the packages."""
        said = [BUILDER, self.name, self.suite, self.login, self.cmdline, *self.packages]
        kept = [(f"{part}/{path}", content) for part in ("boot", *self.parts) for path, content, _ in guest_files(part)]
        sums = {path: hashlib.sha256(content).hexdigest() for path, content in kept}
        text = json.dumps([said, sums], sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def guest_files(name: str) -> Iterator[tuple[str, bytes, int]]:
    """Yield (path, content, mode) of the files kept for the image `name` ("boot": what all share).

    A file that starts with "#!" is executable: packaging may lose modes, so none is read from the disk.
    """
    base = GUEST / name
    for path in sorted(p for p in base.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        content = path.read_bytes()
        yield str(path.relative_to(base)), content, 0o755 if content.startswith(b"#!") else 0o644


def guest_list(name: str, file: str) -> tuple[str, ...]:
    """Return the lines of a list kept for the image `name`, without comments and blank lines."""
    lines = (line.split("#")[0].strip() for line in (GUEST / name / file).read_text().splitlines())
    return tuple(line for line in lines if line)


def add_guest_files(tree: Tree, name: str) -> None:
    """Write the files below `root/` of the image `name` into its tree."""
    for path, content, mode in guest_files(name):
        if path.startswith("root/"):
            tree.write(path.removeprefix("root/"), content, mode=mode)


def versions(packages: list[Package]) -> tuple[str, ...]:
    """Return the packages as name=version."""
    return tuple(f"{package.name}={package.version}" for package in packages)
