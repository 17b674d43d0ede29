"""Images on the hypervisor, with a pool that is a plain folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudms import paths
from cloudms.clouds.libvirt import files
from cloudms.clouds.libvirt.bases import Bases
from cloudms.errors import NoCapacity, NotFound, Unsupported
from cloudms.images.store import ImageStore, StoredImage


class Folder:
    """A pool without libvirt."""

    def __init__(self, folder: Path, *, direct: bool = True) -> None:
        self.folder, self.direct = folder, direct
        self.link = type("Link", (), {"uri": "qemu:///session"})()
        self.taken: list[str] = []

    @contextmanager
    def lock(self, _name: str, _what: str, wait: float = 0.0) -> Iterator[None]:
        yield

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()

    def take(self, source: Path, name: str, *, link: bool) -> None:
        self.taken.append(name)
        files.place(source, self.folder / name, mode=0o644, link=link)

    def put(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def entries(self) -> list[files.Entry]:
        return files.scan(str(self.folder))


@pytest.fixture(params=[True, False], ids=["direct", "through libvirt"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Return an empty pool."""
    folder = tmp_path / "pool"
    folder.mkdir()
    return Folder(folder, direct=request.param)


def store(name: str = "micro", content: bytes = b"disk", **more: Any) -> None:
    """Put an image into this machine's store."""
    images = ImageStore()
    with images.lock(name), images.staging(name) as folder:
        (folder / "disk.qcow2").write_bytes(content)
        (folder / "vmlinux").write_bytes(b"kernel")
        digest = "sha256:" + content.hex().ljust(64, "0")
        values = {"kernel": "vmlinux", "cmdline": "quiet", "login": "cms", "min_memory_mib": 96, "created": 1.0, **more}
        images.publish(StoredImage(name, folder, "disk.qcow2", digest, "qcow2", 1 << 20, **values))


def test_an_image_is_brought_once(pool: Folder) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    base = bases.find("micro")
    said: list[str] = []
    for _twice in range(2):
        bases.ensure(base, said.append)
    assert said == ["bringing image 'micro' to the hypervisor (0 MB)"]
    assert pool.taken == [base.file("disk"), base.file("kernel")]
    assert Path(bases.path(base, "disk")).read_bytes() == b"disk"
    assert bases.path(base, "initrd") == ""
    assert [(i.name, i.id, i.state, i.size) for i in bases.images("local", 0.0)] == [("micro", base.key, "ready", 10)]


def test_what_a_killed_run_brought_halfway_is_not_taken_as_good(pool: Folder) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    base = bases.find("micro")
    (pool.folder / base.file("disk")).write_bytes(b"di")
    assert [image.state for image in bases.images("local", 0.0)] == ["local"]
    bases.ensure(base)
    assert Path(bases.path(base, "disk")).read_bytes() == b"disk"


def test_what_a_full_disk_stopped_is_taken_back(pool: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    take = pool.take

    def full(source: Path, name: str, *, link: bool) -> None:
        take(source, name, link=link)
        if name.endswith("kernel"):
            raise NoCapacity("no space left")

    monkeypatch.setattr(pool, "take", full)
    with pytest.raises(NoCapacity):
        bases.ensure(bases.find("micro"))
    assert list(pool.folder.iterdir()) == []


def test_a_truncated_file_is_brought_again(pool: Folder) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    base = bases.find("micro")
    bases.ensure(base)
    Path(bases.path(base, "disk")).unlink()
    Path(bases.path(base, "disk")).write_bytes(b"")
    pool.taken.clear()
    bases.ensure(base)
    assert pool.taken == ([base.file("disk"), base.file("kernel")] if pool.direct else [])


def test_a_rebuilt_image_is_another_one(pool: Folder) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    old = bases.find("micro")
    bases.ensure(old)
    store(content=b"disc")
    fresh = bases.find("micro")
    assert fresh.key != old.key
    store(content=b"disc", cmdline="loud")
    assert bases.find("micro").key != fresh.key


def test_an_image_that_is_only_on_the_hypervisor(pool: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store()
    bases = Bases(pool)  # type: ignore[arg-type]
    base = bases.find("micro")
    bases.ensure(base)
    monkeypatch.setattr(paths, "images", lambda: tmp_path / "nothing")
    found = bases.find("micro")
    assert (found.key, found.login, found.cmdline, found.sources) == (base.key, "cms", "quiet", {})
    bases.ensure(found)
    assert [image.name for image in bases.images("local", 0.0)] == ["micro"]
    bases.delete(base.key)
    assert list(pool.folder.iterdir()) == []
    with pytest.raises(NotFound):
        bases.find("micro")
    with pytest.raises(NotFound, match="files of image 'micro' are gone"):
        bases.ensure(found)


@pytest.mark.parametrize(("name", "hint"), [("micro", "cms image build micro"), ("ubuntu", "cms image pull ubuntu")])
def test_an_unknown_image_names_what_brings_it(pool: Folder, name: str, hint: str) -> None:
    with pytest.raises(NotFound, match=f"no image '{name}'") as error:
        Bases(pool).find(name)  # type: ignore[arg-type]
    assert error.value.hint.startswith(hint)


def test_an_image_for_another_processor_is_refused(pool: Folder) -> None:
    store(arch="aarch64")
    with pytest.raises(Unsupported, match="made for aarch64"):
        Bases(pool).find("micro")  # type: ignore[arg-type]
