"""The local image store: one folder per image, whole or absent, under `paths.images()`.

    ~/.cloudmesh/images/
      micro/image.json  disk.qcow2  vmlinux  initrd.img     an image: the record and the files it names
      .lock-micro                                           held (flock) while a process works on "micro"
      .new-micro-…                                          being filled; renamed to "micro" when complete
      .old-micro-…                                          the replaced image, until the new one has its name

Files in a finished folder are never changed, except that a record with other labels takes the place of the old one: a
rebuilt image is a new folder under the old name, so that whoever linked or copied a disk by its digest keeps it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity, NotFound

RECORD = "image.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress: TypeAlias = Callable[[int, int | None, str], None]
"""Called with (bytes or steps done, total or None, what is being done)."""


def silent(done: int, total: int | None, text: str) -> None:
    """Ignore progress: the default of every long action."""


@dataclass(frozen=True)
class StoredImage:
    """An image on this machine, as `image.json` says it.

    Sizes are bytes, `created` is epoch seconds, `digest` is `sha256:` and the hexadecimal sum of the disk file.
    `disk`, `kernel` and `initrd` are file names inside `folder`; the `…_path` properties join them. `labels` are the
    person's and stay when the image is replaced.
    """

    name: str
    folder: Path
    disk: str
    digest: str
    format: str
    virtual_size: int
    os: str = ""
    arch: str = "x86_64"
    login: str = ""
    files: dict[str, int] = field(default_factory=dict)
    kernel: str | None = None
    initrd: str | None = None
    cmdline: str | None = None
    firmware: str = "bios"
    boot: str = "disk"
    first_boot: str = "cloud-init"
    min_memory_mib: int = 256
    created: float = 0.0
    recipe_digest: str | None = None
    source: str = ""
    packages: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def disk_path(self) -> Path:
        """Return the disk file."""
        return self.folder / self.disk

    @property
    def kernel_path(self) -> Path | None:
        """Return the kernel file of an image that boots directly, else None."""
        return self.folder / self.kernel if self.kernel else None

    @property
    def initrd_path(self) -> Path | None:
        """Return the initial RAM disk of an image that boots directly, else None."""
        return self.folder / self.initrd if self.initrd else None

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Return the record as it stands in `image.json`: every field except the folder."""
        record = asdict(self)
        del record["folder"]
        record["packages"] = list(self.packages)
        return record


@dataclass(frozen=True)
class BrokenImage:
    """A folder of the store that is not a usable image, and why."""

    name: str
    folder: Path
    reason: str


class ImageStore:
    """The images of one folder (default `paths.images()`), safe for several processes at once."""

    def __init__(self, root: Path | None = None, *, clock: Clock | None = None) -> None:
        self.root = root if root is not None else paths.images()
        self.clock = clock if clock is not None else SystemClock()

    def scan(self) -> tuple[list[StoredImage], list[BrokenImage]]:
        """Return the usable images and the broken ones, each by name."""
        good: list[StoredImage] = []
        broken: list[BrokenImage] = []
        for folder in sorted(self._folders()):
            try:
                good.append(_read(folder))
            except Invalid as error:
                broken.append(BrokenImage(folder.name, folder, error.message))
        return good, broken

    def get(self, name: str) -> StoredImage:
        """Return the image `name`; NotFound when there is none, Invalid when its folder is broken."""
        folder = self._folder(name)
        if not folder.is_dir():
            raise NotFound(f"no image '{name}' on this machine", hint="see `cms image list`, or build or pull it first")
        return _read(folder)

    def find(self, name: str) -> StoredImage | None:
        """Return the image `name`, or None when it is missing or broken."""
        try:
            return self.get(name)
        except (NotFound, Invalid):
            return None

    def delete(self, name: str) -> None:
        """Remove the image `name`, broken or not; NotFound when missing, Conflict while another process works on it."""
        with self.lock(name, wait=0):
            folder = self._folder(name)
            if not folder.is_dir():
                raise NotFound(f"no image '{name}' on this machine", hint="see `cms image list`")
            gone = self.root / f".new-{name}-{secrets.token_hex(4)}"  # a kill from here on leaves what _recover clears
            folder.rename(gone)
            shutil.rmtree(gone)

    def label(self, name: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> StoredImage:
        """Give the image `name` the labels that `change` makes of those it has, wholly or not at all, and return it.

        NotFound, Invalid (broken), Conflict while another process works on it.
        """
        with self.lock(name, wait=60.0):
            image = self.get(name)
            changed = replace(image, labels=dict(change(image.labels)))
            fresh = image.folder / f".{RECORD}"
            fresh.unlink(missing_ok=True)
            with disk_full_is_no_capacity(self.root):
                _write_record(changed, fresh)
                fresh.chmod(0o444)
                _sync(fresh)
            fresh.rename(image.folder / RECORD)
            _sync(image.folder)
            return changed

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: float = 3600.0) -> Iterator[None]:
        """Hold the image `name` against other threads and processes; leftovers of killed ones are cleared first.

        Parameters: `wait` seconds for another holder to finish, then Conflict.
        """
        target = self._folder(name)
        paths.private(self.root)
        with (self.root / f".lock-{name}").open("w") as handle:
            self._acquire(handle.fileno(), name, wait)
            self._recover(name, target)
            yield

    @contextlib.contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """Give an empty folder on the store's own disk, removed at the end whatever happens; hold the lock around it.

        A full disk inside the block becomes NoCapacity.
        """
        self._folder(name)
        folder = paths.private(self.root) / f".new-{name}-{secrets.token_hex(4)}"
        try:
            with disk_full_is_no_capacity(self.root):
                folder.mkdir(mode=0o700)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, image: StoredImage, *, replace: bool = True) -> StoredImage:
        """Give the filled folder of `image` its name, durably; the caller holds the lock.

        Exists when the name is taken and `replace` is false. Returns the record as stored, with file sizes.
        """
        target = self._folder(image.name)
        if target.exists() and not replace:
            raise Exists(f"an image '{image.name}' exists already", hint="choose another name, or delete it first")
        before = self.find(image.name)
        _write_record(_complete(image, before.labels if before else {}), image.folder / RECORD)
        _settle(image.folder)
        old = self.root / f".old-{image.name}-{secrets.token_hex(4)}"
        if target.exists():
            target.rename(old)
        image.folder.rename(target)
        _sync(self.root)
        shutil.rmtree(old, ignore_errors=True)
        return _read(target)

    def _folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from (p for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Invalid(
                f"'{name}' cannot be an image name",
                hint="use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first",
            )
        return self.root / name

    def _acquire(self, handle: int, name: str, wait: float) -> None:
        deadline = self.clock.monotonic() + wait
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.clock.monotonic() >= deadline:
                    raise Conflict(
                        f"another process works on the image '{name}'", hint="wait until it is done"
                    ) from None
                self.clock.sleep(min(0.2, max(deadline - self.clock.monotonic(), 0.01)))

    def _recover(self, name: str, target: Path) -> None:
        """Finish what a killed process left: a half-replaced image gets its old folder back, the rest goes."""
        suffix = re.compile(rf"\.(?:new|old)-{re.escape(name)}-[0-9a-f]{{8}}")
        for left in sorted(p for p in self.root.iterdir() if suffix.fullmatch(p.name)):
            if left.name.startswith(".old-") and not target.exists() and (left / RECORD).is_file():
                left.rename(target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def find(name: str) -> StoredImage | None:
    """Return the image `name` of this machine's store, or None when it is missing or broken."""
    return ImageStore().find(name)


def get(name: str) -> StoredImage:
    """Return the image `name` of this machine's store; NotFound, or Invalid when it is broken."""
    return ImageStore().get(name)


def scan() -> tuple[list[StoredImage], list[BrokenImage]]:
    """Return the usable and the broken images of this machine's store."""
    return ImageStore().scan()


def delete(name: str) -> None:
    """Remove an image from this machine's store; NotFound, or Conflict while another process works on it."""
    ImageStore().delete(name)


@contextlib.contextmanager
def disk_full_is_no_capacity(place: Path) -> Iterator[None]:
    """Turn a full disk, quota or file size limit inside the block into NoCapacity, which names `place`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoCapacity(
            f"no space left for images in {place}", hint="free some disk space and run it again"
        ) from error


def file_digest(path: Path, progress: Progress = silent) -> str:
    """Return `sha256:…` of the file `path`."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            progress(stream.tell(), total, "checksum")
    return f"sha256:{digest.hexdigest()}"


def _read(folder: Path) -> StoredImage:
    try:
        record = json.loads((folder / RECORD).read_text())
        image = _from_record(record, folder)
    except FileNotFoundError:
        raise Invalid(f"{folder} has no {RECORD}", hint="delete it, then build or pull the image again") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Invalid(f"{folder / RECORD} is unreadable: {error}", hint="delete the image and make it again") from error
    for name, size in image.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise Invalid(f"{path} is missing or truncated", hint="delete the image and make it again")
    return image


def _from_record(record: dict[str, Any], folder: Path) -> StoredImage:
    known = {f.name for f in fields(StoredImage)} - {"folder"}
    values = {key: value for key, value in record.items() if key in known}
    values["packages"] = tuple(values.get("packages", ()))
    values["files"] = {str(key): int(value) for key, value in values.get("files", {}).items()}
    values["labels"] = {str(key): str(value) for key, value in values.get("labels", {}).items()}
    image = StoredImage(folder=folder, **values)
    if image.name != folder.name:
        raise ValueError(f"it says it is '{image.name}'")
    if any("/" in name for name in (image.disk, image.kernel or "", image.initrd or "", *image.files)):
        raise ValueError("a file name leaves the folder")
    if image.disk not in image.files:
        raise ValueError("it names no disk")
    return image


def _complete(image: StoredImage, labels: Mapping[str, str]) -> StoredImage:
    """Return an image with the sizes of its files, and the labels of the one it replaces."""
    names = sorted(p.name for p in image.folder.iterdir() if p.is_file() and p.name != RECORD)
    sizes = {name: (image.folder / name).stat().st_size for name in names}
    return replace(image, files=sizes, labels={**labels, **image.labels})


def _write_record(image: StoredImage, path: Path) -> None:
    path.write_text(json.dumps(image.to_json(), indent=2, sort_keys=True) + "\n")


def _settle(folder: Path) -> None:
    """Write the folder through to the disk, its files read-only: what has a name is whole even after a crash."""
    for path in folder.iterdir():
        path.chmod(0o444)
        _sync(path)
    folder.chmod(0o755)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = [
    "BrokenImage",
    "ImageStore",
    "Progress",
    "StoredImage",
    "delete",
    "disk_full_is_no_capacity",
    "file_digest",
    "find",
    "get",
    "scan",
    "silent",
]
