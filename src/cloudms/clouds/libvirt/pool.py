"""The storage pool: one folder of the hypervisor with everything of ours.

Files go through libvirt, which works for every user and over every transport. Where this process may write into the
folder itself, large files are linked or copied there directly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from cloudms import paths
from cloudms.clouds.libvirt import files, host, locks
from cloudms.clouds.libvirt.errors import is_code
from cloudms.clouds.libvirt.link import Link, sdk
from cloudms.errors import Invalid, NotFound

DEFAULT_NAME = "cloudms"


class Pool:
    """The pool `name` of one libvirt, defined at `folder` when it does not exist yet."""

    def __init__(self, link: Link, name: str = "", folder: str = "") -> None:
        self.link = link
        self.name = name or DEFAULT_NAME
        self._wanted = folder
        self._folder = ""

    def open(self) -> Any:
        """Return libvirt's pool, active; defined, built and started where needed."""
        conn = self.link.open()
        try:
            pool = conn.storagePoolLookupByName(self.name)
        except sdk().libvirtError as error:
            if not is_code(error, "NO_STORAGE_POOL"):
                raise
            pool = self._define(conn)
        if not pool.isActive() or (self.link.local and not Path(self._path_of(pool)).is_dir()):
            _start(pool)
        self._path_of(pool)
        return pool

    @property
    def folder(self) -> str:
        """Return the folder on the hypervisor."""
        if not self._folder:
            self.open()
        return self._folder

    @property
    def direct(self) -> bool:
        """Whether this process may write into the folder itself."""
        return self.link.local and os.access(self.folder, os.R_OK | os.W_OK | os.X_OK)

    def path(self, name: str) -> str:
        """Return the path of a file on the hypervisor."""
        return f"{self.folder}/{name}"

    @contextmanager
    def lock(self, name: str, what: str, wait: float = 120.0) -> Iterator[None]:
        """Hold the lock `name` of this pool against other processes and threads of this machine.

        Parameters: `what` names the thing for people; `wait` seconds for another holder, then Conflict.
        """
        file = Path(self.folder) / ".cms-locks" if self.direct else paths.cache() / f"libvirt-{self.name}-locks"
        with locks.hold(file, name, self.link.clock, what=what, wait=wait):
            yield

    # -- what libvirt writes -------------------------------------------------------------------------------------

    def create_disk(self, name: str, size: int, *, base: str = "", base_format: str = "qcow2") -> str:
        """Make a qcow2 disk of `size` bytes, on top of the file `base` if given, and return its path.

        A file of this name is replaced: the caller knows that nothing uses it.
        """
        wanted = _volume_xml(name, size, "qcow2")
        if base:
            backing = SubElement(wanted, "backingStore")
            SubElement(backing, "path").text = base
            SubElement(backing, "format", type=base_format)
        self._create(name, wanted)
        return self.path(name)

    def put(self, name: str, content: bytes) -> str:
        """Write a small file through libvirt, replacing it, and return its path."""
        volume = self._create(name, _volume_xml(name, len(content), "raw"))
        sent = 0

        def read(_stream: Any, count: int, _data: Any) -> bytes:
            nonlocal sent
            part = content[sent : sent + count]
            sent += len(part)
            return part

        self._stream(lambda stream: (volume.upload(stream, 0, len(content), 0), stream.sendAll(read, None)))
        return self.path(name)

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file in the place of another; where this process may, a kill leaves the one or the other."""
        if not self.direct:
            self.put(name, content)
            return
        fresh = Path(self.path(f".cms-taking-{name}"))
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        fresh.rename(self.path(name))
        self.refresh()

    def _create(self, name: str, wanted: Element) -> Any:
        pool = self.open()
        xml = tostring(wanted, "unicode")
        try:
            return pool.createXML(xml, 0)
        except sdk().libvirtError as error:
            if not is_code(error, "STORAGE_VOL_EXIST", "OPERATION_FAILED", "SYSTEM_ERROR", "INTERNAL_ERROR"):
                raise
            if not self.exists(name):
                raise
        self.delete(name)
        return pool.createXML(xml, 0)

    # -- reading and deleting ------------------------------------------------------------------------------------

    def volume(self, name: str) -> Any | None:
        """Return libvirt's volume, or None when libvirt does not know it."""
        try:
            return self.open().storageVolLookupByName(name)
        except sdk().libvirtError as error:
            if is_code(error, "NO_STORAGE_VOL"):
                return None
            raise

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        if self.direct:
            return Path(self.path(name)).exists()
        if self.volume(name) is not None:
            return True
        self.refresh()
        return self.volume(name) is not None

    def get(self, name: str, *, last: int = 0) -> bytes:
        """Return the content of a file, or its `last` bytes. Raises: NotFound."""
        try:
            return files.tail(Path(self.path(name)), last) if self.link.local else self._download(name, last)
        except FileNotFoundError:
            raise NotFound(f"{self.path(name)} does not exist") from None
        except PermissionError:
            return self._download(name, last)

    def _download(self, name: str, last: int = 0) -> bytes:
        parts: list[bytes] = []
        self._receive(name, parts.append, last)
        return b"".join(parts)

    def _receive(self, name: str, take: Callable[[bytes], Any], last: int = 0) -> None:
        """Hand the content of a file to `take` in parts. Raises: NotFound."""
        self.refresh()  # the size that libvirt knows of a growing file is that of its last look
        volume = self.volume(name)
        if volume is None:
            raise NotFound(f"{self.path(name)} does not exist")
        size = int(fromstring(volume.XMLDesc(0)).findtext("physical") or volume.info()[2])  # noqa: S314
        offset = max(size - last, 0) if last else 0

        def receive(stream: Any) -> None:
            volume.download(stream, offset, size - offset, 0)
            stream.recvAll(lambda _stream, data, _opaque: take(data), None)

        if size:
            self._stream(receive)

    def delete(self, name: str) -> None:
        """Delete a file; already gone is success."""
        volume = self.volume(name)
        if volume is None and not self.link.local:
            return
        if volume is not None:
            try:
                volume.delete(0)
            except sdk().libvirtError as error:
                if not is_code(error, "NO_STORAGE_VOL") and self.exists(name):
                    raise
                self.refresh()
            return
        if self.direct:
            Path(self.path(name)).unlink(missing_ok=True)
        elif self.exists(name):
            volume = self.volume(name)
            if volume is not None:
                volume.delete(0)

    def entries(self) -> list[files.Entry]:
        """Return every file of ours."""
        if self.direct:
            return files.scan(self.folder)
        self.refresh()
        volumes = self.open().listAllVolumes(0)
        return [files.Entry(name=v.name(), size=v.info()[2]) for v in volumes if v.name().startswith("cms-")]

    def refresh(self) -> None:
        """Let libvirt look at the folder again, unless it is busy making a volume there."""
        with suppress(sdk().libvirtError):
            self.open().refresh(0)

    # -- large files ---------------------------------------------------------------------------------------------

    def take(self, source: Path, name: str, *, link: bool = False) -> str:
        """Bring a file of this machine into the pool and return its path; the caller holds a lock for this name.

        It has its name when it is whole (not where it goes through libvirt, which cannot rename). It is readable for
        every account, since QEMU's may open it while libvirt gives it back from another VM.

        Parameters: `link`, whether the two may be one file, which only holds for files that nobody changes.
        """
        if self.direct:
            fresh = Path(self.path(f".cms-taking-{name}"))
            files.place(source, fresh, mode=0o644, link=link)
            fresh.rename(self.path(name))
            self.refresh()
        else:
            with source.open("rb") as stream:
                self._send(stream, name, source.stat().st_size)
        return self.path(name)

    def copy(self, source: str, name: str) -> str:
        """Copy the file at the path `source` of the hypervisor, byte by byte, and return the copy's path.

        The source must be at rest (its VM off or paused), and `name` carry the token of a VM that is being made.
        """
        if self.direct and os.access(source, os.R_OK):
            files.place(Path(source), Path(self.path(name)), mode=0o600)
            self.refresh()
            return self.path(name)
        import tempfile

        with tempfile.TemporaryFile() as spool:
            self._receive(Path(source).name, spool.write)
            size = spool.tell()
            spool.seek(0)
            self._send(spool, name, size)
        return self.path(name)

    def _send(self, source: IO[bytes], name: str, size: int) -> None:
        volume = self._create(name, _volume_xml(name, size, "raw"))
        self._stream(
            lambda stream: (
                volume.upload(stream, 0, size, 0),
                stream.sendAll(lambda _stream, count, _data: source.read(min(count, files.BLOCK)), None),
            )
        )

    def _stream(self, use: Callable[[Any], Any]) -> None:
        stream = self.link.open().newStream(0)
        try:
            use(stream)
            stream.finish()
        except BaseException:
            with suppress(sdk().libvirtError):
                stream.abort()
            raise

    # -- the pool itself -----------------------------------------------------------------------------------------

    def _define(self, conn: Any) -> Any:
        """Define the pool; the process that comes second finds the first one's."""
        folder = self._wanted or self._own_folder()
        wanted = Element("pool", type="dir")
        SubElement(wanted, "name").text = self.name
        target = SubElement(wanted, "target")
        SubElement(target, "path").text = folder
        if self._wanted or not self.link.local:
            SubElement(SubElement(target, "permissions"), "mode").text = "0711"
        try:
            pool = conn.storagePoolDefineXML(tostring(wanted, "unicode"), 0)
            pool.setAutostart(True)
        except sdk().libvirtError:
            pool = conn.storagePoolLookupByName(self.name)
        return pool

    def _own_folder(self) -> str:
        if self.link.local:
            return str(host.prepare_pool(self.link.uri))
        if host.is_session(self.link.uri, uid=1):
            raise Invalid(
                f"where disks go at {self.link.uri} is not known",
                hint="set pool_path of this cloud to a folder of that account",
            )
        return str(host.SYSTEM_POOL)

    def _path_of(self, pool: Any) -> str:
        if not self._folder:
            self._folder = fromstring(pool.XMLDesc(0)).findtext("target/path") or self._wanted  # noqa: S314
        return self._folder


def _start(pool: Any) -> None:
    """Make the folder and start the pool, or find that another process has just done so."""
    libvirt = sdk()
    if pool.isActive():
        with suppress(libvirt.libvirtError):
            pool.destroy()  # its folder is gone: only this makes libvirt look again
    try:
        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
    except libvirt.libvirtError:
        if not pool.isActive():
            raise


def _volume_xml(name: str, size: int, form: str) -> Element:
    wanted = Element("volume")
    SubElement(wanted, "name").text = name
    SubElement(wanted, "capacity", unit="bytes").text = str(size)
    SubElement(wanted, "allocation").text = "0"
    target = SubElement(wanted, "target")
    SubElement(target, "format", type=form)
    SubElement(SubElement(target, "permissions"), "mode").text = "0600"
    return wanted
