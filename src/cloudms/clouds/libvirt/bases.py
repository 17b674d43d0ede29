"""Images on the hypervisor: brought there once, when a VM first stands on them, and shared by all later ones.

The files of an image are named by its key (its digest and what belongs to it), so that a rebuilt image is another one
and the VMs on the old one keep theirs. The record, written last, says that they are complete.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudms.clouds.base import Report, silent
from cloudms.clouds.libvirt import host
from cloudms.clouds.libvirt.domain import ARCH
from cloudms.clouds.libvirt.link import sdk
from cloudms.clouds.libvirt.pool import Pool
from cloudms.errors import CloudmsError, Invalid, NotFound, Unsupported
from cloudms.model import Image
from cloudms.record import Record

PREFIX = "cms-base-"
BUILDABLE = ("micro", "micro-slurm", "debian")


class Base(Record):
    """An image as a VM needs it; `files` are the sizes in bytes of its parts (disk, kernel, initrd).

    `folder` and `sources` say where its files are on this machine; they are empty for one that is only on the
    hypervisor.
    """

    name: str
    key: str
    format: str = "qcow2"
    virtual_size: int = 0
    os: str = ""
    arch: str = ARCH
    login: str = ""
    cmdline: str = ""
    firmware: str = "bios"
    min_memory_mib: int = 0
    digest: str = ""
    created: float | None = None
    files: Mapping[str, int] = {}
    sources: Mapping[str, str] = {}

    def file(self, part: str) -> str:
        """Return the name in the pool of a part, or an empty string when the image has no such part."""
        suffix = self.format if part == "disk" else part
        return f"{PREFIX}{self.key}.{suffix}" if part in self.files else ""

    @property
    def record(self) -> str:
        """Return the name in the pool of the record."""
        return f"{PREFIX}{self.key}.json"


class Bases:
    """The images that the VMs of one pool can stand on."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def find(self, name: str) -> Base:
        """Return the image of this name: the one stored on this machine, else the one on the hypervisor.

        Raises: NotFound, Invalid (the stored one is broken), Unsupported (made for another processor).
        """
        base = self._stored(name) or self._newest(name)
        if base is None:
            verb = "build" if name in BUILDABLE else "pull"
            raise NotFound(f"no image '{name}'", hint=f"cms image {verb} {name}, or choose one of: cms image list")
        if base.arch != ARCH:
            raise Unsupported(f"image '{name}' is made for {base.arch}", hint=f"choose an image for {ARCH}")
        return base

    def ensure(self, base: Base, report: Report = silent) -> None:
        """See to it that the files of the image are on the hypervisor, whole."""
        if self._complete(base):
            return
        with self.pool.lock("images", f"the image '{base.name}'", wait=1800.0):
            if self._complete(base):
                return
            if not base.sources:
                raise NotFound(f"the files of image '{base.name}' are gone", hint=f"cms image pull {base.name}")
            megabytes = sum(base.files.values()) // 1_000_000
            report(f"bringing image '{base.name}' to the hypervisor ({megabytes} MB)")
            self._bring(base)

    def _bring(self, base: Base) -> None:
        """Bring the files and then the record; what was brought goes again when it cannot be finished (a full disk)."""
        brought: list[str] = []
        try:
            for part, source in base.sources.items():
                brought.append(base.file(part))
                self.pool.take(Path(source), base.file(part), link=host.is_session(self.pool.link.uri))
            brought.append(base.record)
            self.pool.put(base.record, json.dumps({**base.to_document(), "sources": {}}).encode())
        except Exception:
            for name in brought:
                with suppress(CloudmsError, OSError, sdk().libvirtError):
                    self.pool.delete(name)
            raise

    def path(self, base: Base, part: str) -> str:
        """Return the path on the hypervisor of a part, or an empty string when the image has no such part."""
        name = base.file(part)
        return self.pool.path(name) if name else ""

    def on_hypervisor(self) -> list[Base]:
        """Return the images on the hypervisor, complete ones only."""
        names = [each.name for each in self.pool.entries()]
        records = [self._read(name) for name in names if name.startswith(PREFIX) and name.endswith(".json")]
        return [base for base in records if base is not None]

    def images(self, cloud: str, now: float) -> list[Image]:
        """Return every image that a VM can be made from; `state` tells whether it is already on the hypervisor."""
        here = {base.key: base for base in self.on_hypervisor()}
        stored = self._all_stored()
        found = [_image(base, cloud, now, "ready" if base.key in here else "local") for base in stored]
        known = {base.key for base in stored} | {base.name for base in stored}
        return found + [_image(b, cloud, now, "ready") for b in here.values() if not {b.key, b.name} & known]

    def delete(self, key: str) -> None:
        """Delete the image with this key from the hypervisor: first its record, then its files."""
        prefix = f"{PREFIX}{key}."
        with self.pool.lock("images", "the images"):
            self.pool.delete(f"{prefix}json")
            for entry in self.pool.entries():
                if entry.name.startswith(prefix):
                    self.pool.delete(entry.name)

    def _complete(self, base: Base) -> bool:
        if self.pool.direct:
            wanted = {base.file(part): size for part, size in base.files.items()}
            return Path(self.pool.path(base.record)).exists() and all(
                (path := Path(self.pool.path(name))).exists() and path.stat().st_size == size
                for name, size in wanted.items()
            )
        return self.pool.exists(base.record)

    def _read(self, name: str) -> Base | None:
        try:
            return Base.from_document(json.loads(self.pool.get(name)))
        except (ValueError, TypeError, AttributeError, NotFound):
            return None

    def _newest(self, name: str) -> Base | None:
        same = [base for base in self.on_hypervisor() if name in (base.name, base.key)]
        return max(same, key=lambda base: base.created or 0.0, default=None)

    def _stored(self, name: str) -> Base | None:
        from cloudms.images.store import ImageStore

        try:
            return _base(ImageStore().get(name))
        except NotFound:
            return next((base for base in self._all_stored() if base.key == name), None)
        except Invalid:
            if self._newest(name) is None:
                raise
            return None

    def _all_stored(self) -> list[Base]:
        from cloudms.images.store import ImageStore

        return [_base(image) for image in ImageStore().scan()[0]]


def _base(image: Any) -> Base:
    """Return a `StoredImage` as a VM needs it."""
    parts = {"disk": image.disk_path, "kernel": image.kernel_path, "initrd": image.initrd_path}
    sources = {part: path for part, path in parts.items() if path}
    files = {part: int(image.files[path.name]) for part, path in sources.items()}
    firmware = str(image.firmware or "bios")
    cmdline = image.cmdline or ""
    parts_of = [files, cmdline, firmware, image.format, image.recipe_digest]
    belongs = crc32(json.dumps(parts_of, sort_keys=True).encode())
    return Base(
        name=image.name, key=f"{image.digest.rpartition(':')[2][:16]}-{belongs:08x}", format=image.format,
        virtual_size=image.virtual_size, os=image.os, arch=image.arch, login=image.login, cmdline=cmdline,
        firmware=firmware, min_memory_mib=image.min_memory_mib, digest=image.digest, created=image.created,
        files=files, sources={part: str(path) for part, path in sources.items()},
    )  # fmt: skip


def _image(base: Base, cloud: str, now: float, state: str) -> Image:
    return Image(
        name=base.name, cloud=cloud, id=base.key, os=base.os, arch=base.arch, size=sum(base.files.values()),
        login=base.login, state=state, digest=base.digest, created=base.created, fetched=now,
        raw={**base.to_document(), "sources": {}},
    )  # fmt: skip
