"""Images are pulled whole or not at all, from servers that misbehave in every known way."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.errors import CloudmsError, Denied, Invalid, NoCapacity, NotFound, NotReady, Throttled, Timeout
from cloudms.images import download as module
from cloudms.images.download import Part, Patience, download
from cloudms.images.pull import find_checksum, pull
from cloudms.images.store import ImageStore, StoredImage

from . import disks
from .server import Site, serve

PATIENCE = Patience(timeout=0.15, attempts=3)
MIB = 1 << 20


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a server with a disk image of two megabytes."""
    content = bytearray(disks.raw(partitions="mbr", size=2 * MIB))
    content[1 * MIB : 1 * MIB + 4096] = hashlib.sha256(b"x").digest() * 128
    with serve(bytes(content)) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> ImageStore:
    """Return an empty store."""
    return ImageStore(tmp_path / "images", clock=clock)


def index(tmp_path: Path, site: Site, **changes: str) -> Path:
    """Write an index that offers the server's file as `test`."""
    source = {"url": site.url, "checksums": f"{site.base}/SUMS", "algorithm": "sha256"} | changes
    entry = {"name": "test", "os": "Test", "login": "tester", "arch": {platform.machine(): source}}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"images": [entry]}))
    return path


def fetch(tmp_path: Path, site: Site, store: ImageStore, **changes: str) -> StoredImage:
    """Pull `test`."""
    return pull("test", index=index(tmp_path, site, **changes), store=store, clock=store.clock, patience=PATIENCE)


def left(store: ImageStore) -> list[str]:
    """Return what unfinished downloads the store keeps."""
    return sorted(path.suffix for path in (store.root / ".pulls").iterdir())


def files(site: Site) -> list[str]:
    """Return the ranges asked of the file, one per request."""
    return [asked for path, asked in site.requests if path == "/disk.img"]


def test_image_of_the_index_is_fetched_checked_and_described(tmp_path: Path, site: Site, store: ImageStore) -> None:
    image = fetch(tmp_path, site, store)
    assert image.disk_path.read_bytes() == site.content
    assert (image.name, image.os, image.login, image.source) == ("test", "Test", "tester", site.url)
    assert image.digest == f"sha256:{hashlib.sha256(site.content).hexdigest()}"
    assert left(store) == []


def test_second_pull_asks_nobody(tmp_path: Path, site: Site, store: ImageStore) -> None:
    first = fetch(tmp_path, site, store)
    asked = len(site.requests)
    assert fetch(tmp_path, site, store) == first
    assert len(site.requests) == asked


def test_force_fetches_what_is_new(tmp_path: Path, site: Site, store: ImageStore) -> None:
    fetch(tmp_path, site, store)
    site.content, site.etag = disks.raw(partitions="gpt"), '"v2"'
    again = pull("test", force=True, index=index(tmp_path, site), store=store, clock=store.clock, patience=PATIENCE)
    assert again.disk_path.read_bytes() == site.content


@pytest.mark.parametrize("fault", ["cut", "500", "503", "429", "stall", "wrong-range"])
def test_passing_fault_is_overcome(tmp_path: Path, site: Site, store: ImageStore, fault: str) -> None:
    site.faults = [fault]
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content


def test_truncated_transfer_is_continued_not_repeated(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.faults = ["cut", "cut"]
    fetch(tmp_path, site, store)
    assert files(site) == ["", f"bytes={MIB}-", f"bytes={MIB + MIB // 2}-"]


def test_server_without_ranges_starts_over(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.ranges, site.faults = False, ["cut"]
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content


def test_server_without_validator_is_never_continued(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.etag, site.faults = "", ["cut"]
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content
    assert files(site) == ["", ""]


def test_next_run_continues_the_part(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.faults = ["cut", "500", "500", "500"]
    with pytest.raises(NotReady):
        fetch(tmp_path, site, store)
    assert left(store) == [".json", ".part"]
    site.requests.clear()
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content
    assert files(site) == [f"bytes={MIB}-"]


def test_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.faults = ["cut", "500", "500", "500"]
    with pytest.raises(NotReady):
        fetch(tmp_path, site, store)
    site.content, site.etag = disks.raw(partitions="gpt", size=3 * MIB), '"v2"'
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content


def test_part_that_is_already_whole_needs_no_bytes(tmp_path: Path, site: Site, store: ImageStore) -> None:
    part = Part(tmp_path / "x.part", site.url)
    part.restart(site.etag)
    with part.path.open("ab") as out:
        part.write(out, site.content)
    download(part, clock=store.clock, patience=PATIENCE)
    assert part.path.read_bytes() == site.content
    assert files(site) == [f"bytes={2 * MIB}-"]


def test_interrupted_person_can_continue(tmp_path: Path, site: Site, store: ImageStore) -> None:
    def stop(done: int, total: int | None, text: str) -> None:
        if done >= MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("test", index=index(tmp_path, site), store=store, clock=store.clock, patience=PATIENCE, progress=stop)
    assert left(store) == [".json", ".part"]
    site.requests.clear()
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content
    assert files(site)[0].startswith("bytes=")


def test_corrupted_transfer_is_deleted_and_said(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.faults = ["corrupt"]
    with pytest.raises(Invalid, match="sha256") as error:
        fetch(tmp_path, site, store)
    assert "deleted" in error.value.message
    assert left(store) == []
    assert store.scan() == ([], [])


def test_continued_part_that_was_damaged_is_fetched_once_more(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.faults = ["cut", "500", "500", "500"]
    with pytest.raises(NotReady):
        fetch(tmp_path, site, store)
    part = next((store.root / ".pulls").glob("*.part"))
    part.write_bytes(bytes(part.stat().st_size))
    assert fetch(tmp_path, site, store).disk_path.read_bytes() == site.content


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (["404"], NotFound),
        (["410"], NotFound),
        (["401"], Denied),
        (["403"], Denied),
        (["400"], NotReady),
        (["500"] * 3, NotReady),
        (["429"] * 3, Throttled),
        (["stall"] * 6, Timeout),
    ],
)
def test_lasting_fault_has_its_class_and_a_hint(
    tmp_path: Path, site: Site, store: ImageStore, faults: list[str], error: type[CloudmsError]
) -> None:
    site.faults, site.ranges = faults, False
    with pytest.raises(error) as caught:
        fetch(tmp_path, site, store)
    assert caught.value.hint
    assert store.scan() == ([], [])


def test_waits_grow_and_the_servers_wish_counts(
    tmp_path: Path, site: Site, store: ImageStore, clock: ManualClock
) -> None:
    site.faults = ["500", "500"]
    fetch(tmp_path, site, store)
    assert clock.slept == [1.0, 2.0]
    clock.slept.clear()
    site.faults = ["429"]
    pull("test", force=True, index=index(tmp_path, site), store=store, clock=clock, patience=PATIENCE)
    assert clock.slept == [7.0]


def test_slow_server_is_given_up(tmp_path: Path, site: Site, clock: ManualClock) -> None:
    part = Part(tmp_path / "x.part", site.url)
    part.load()

    def tick(done: int, total: int | None, text: str) -> None:
        clock.time += 60

    slow = Patience(timeout=1, attempts=1, slowest=MIB)
    with pytest.raises(Timeout, match="too slow"):
        download(part, clock=clock, patience=slow, progress=tick)
    assert part.path.stat().st_size == part.size > 0


def test_nobody_listens(tmp_path: Path, site: Site, store: ImageStore) -> None:
    path = index(tmp_path, site, url="http://127.0.0.1:9/disk.img", checksums="")
    with pytest.raises(NotReady, match="cannot be reached"):
        pull("test", index=path, store=store, clock=store.clock, patience=PATIENCE)


def test_full_disk(tmp_path: Path, site: Site, store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Part, out: object, block: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Part, "write", full)
    with pytest.raises(NoCapacity):
        fetch(tmp_path, site, store)
    assert store.scan() == ([], [])


def test_checksum_file_without_the_image(tmp_path: Path, site: Site, store: ImageStore) -> None:
    with pytest.raises(NotFound, match="does not list"):
        fetch(tmp_path, site, store, algorithm="sha512")
    assert files(site) == []


def test_address_with_and_without_checksum(site: Site, store: ImageStore) -> None:
    said: list[str] = []
    image = pull(
        site.url, login="me", store=store, clock=store.clock, progress=lambda done, total, text: said.append(text)
    )
    assert (image.name, image.login) == ("disk", "me")
    assert "no checksum to compare with" in said
    digest = hashlib.sha512(site.content).hexdigest()
    assert pull(site.url, name="other", checksum=f"sha512:{digest}", store=store, clock=store.clock).name == "other"
    with pytest.raises(Invalid):
        pull(site.url, name="third", checksum="0" * 64, store=store, clock=store.clock)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http:///x", "http://127.0.0.1/"])
def test_bad_addresses(address: str, store: ImageStore) -> None:
    with pytest.raises(Invalid):
        pull(address, store=store, clock=store.clock)


def test_image_that_reads_other_files_is_refused(tmp_path: Path, site: Site, store: ImageStore) -> None:
    site.content = disks.qcow2(MIB, backing="/etc/shadow")
    with pytest.raises(Invalid, match="stands on another file"):
        fetch(tmp_path, site, store)
    assert store.scan() == ([], [])
    assert left(store) == []


def test_old_parts_are_forgotten(tmp_path: Path, site: Site, store: ImageStore, clock: ManualClock) -> None:
    folder = store.root / ".pulls"
    folder.mkdir(parents=True)
    (folder / "old.part").write_bytes(b"x")
    clock.time = (folder / "old.part").stat().st_mtime + 8 * 86400
    fetch(tmp_path, site, store)
    assert left(store) == []


SUM = "ab" * 32


@pytest.mark.parametrize(
    "text",
    [
        f"{SUM}  disk.img\n",
        f"{'0' * 64}  not-disk.img\n{SUM} *disk.img\n",
        f"{SUM}  ./disk.img\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.img: 5 bytes\nSHA256 (disk.img) = {SUM}\n",
        f"{SUM.upper()}\n",
    ],
)
def test_checksum_files_of_the_distributions(text: str) -> None:
    assert find_checksum(text, "disk.img", "sha256") == SUM


@pytest.mark.parametrize(
    "text", ["", f"{SUM}  diskXimg\n", f"{SUM}  disk.img.sig\n", f"{'a' * 40}  disk.img\n", "no sum here"]
)
def test_checksum_of_another_file_is_not_taken(text: str) -> None:
    assert find_checksum(text, "disk.img", "sha256") == ""
