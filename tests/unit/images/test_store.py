"""The image store: whole or absent, one holder per name, broken entries reported."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.errors import Conflict, Exists, Invalid, NoCapacity, NotFound
from cloudms.images import store as module
from cloudms.images.store import ImageStore, StoredImage, disk_full_is_no_capacity


def put(store: ImageStore, name: str, content: bytes = b"disk", *, replace: bool = True) -> StoredImage:
    """Publish a small image."""
    with store.lock(name), store.staging(name) as folder:
        (folder / "disk.raw").write_bytes(content)
        image = StoredImage(name, folder, "disk.raw", module.file_digest(folder / "disk.raw"), "raw", len(content))
        return store.publish(image, replace=replace)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> ImageStore:
    """Return an empty store."""
    return ImageStore(tmp_path / "images", clock=clock)


def test_published_image_is_found_with_its_files(store: ImageStore) -> None:
    put(store, "one", b"12345")
    image = store.get("one")
    assert image.disk_path.read_bytes() == b"12345"
    assert image.files == {"disk.raw": 5}
    assert image.digest == "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert store.scan() == ([image], [])
    assert image.disk_path.stat().st_mode & 0o777 == 0o444


def test_module_functions_use_the_home_store() -> None:
    put(ImageStore(), "mine")
    assert module.find("mine") == module.get("mine")
    assert [image.name for image in module.scan()[0]] == ["mine"]
    module.delete("mine")
    assert module.find("mine") is None


def test_record_survives_json_and_unknown_keys(store: ImageStore) -> None:
    put(store, "one")
    path = store.root / "one" / "image.json"
    record = json.loads(path.read_text()) | {"from_a_later_version": 1}
    path.chmod(0o644)
    path.write_text(json.dumps(record))
    assert store.get("one").name == "one"


def test_labels_are_changed_in_the_record_and_stay_when_the_image_is_replaced(store: ImageStore) -> None:
    before = put(store, "one", b"old")
    (before.folder / ".image.json").write_text("left by a kill")
    image = store.label("one", lambda old: {**old, "use": "test"})
    assert (image, image.labels) == (store.get("one"), {"use": "test"})
    assert (image.digest, image.files) == (before.digest, before.files)
    assert sorted(p.name for p in image.folder.iterdir()) == ["disk.raw", "image.json"]
    assert (image.folder / "image.json").stat().st_mode & 0o777 == 0o444
    assert put(store, "one", b"new").labels == {"use": "test"}
    assert store.label("one", lambda _: {}).labels == {}
    with pytest.raises(NotFound):
        store.label("none", lambda old: old)


def test_failed_block_leaves_nothing(store: ImageStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lock("one"), store.staging("one") as folder:
        (folder / "disk.raw").write_bytes(b"half")
        _ = 1 / 0
    assert store.scan() == ([], [])
    assert [p.name for p in store.root.iterdir()] == [".lock-one"]


def test_killed_process_leftovers_are_cleared_by_the_next_holder(store: ImageStore) -> None:
    put(store, "one")
    (store.root / ".new-one-00000000").mkdir()
    (store.root / ".new-other-00000000").mkdir()
    with store.lock("one"):
        pass
    assert not (store.root / ".new-one-00000000").exists()
    assert (store.root / ".new-other-00000000").exists()


def test_replacement_cut_between_its_two_renames_is_undone(store: ImageStore) -> None:
    image = put(store, "one", b"old")
    image.folder.rename(store.root / ".old-one-00000000")
    assert store.find("one") is None
    with store.lock("one"):
        assert store.get("one").disk_path.read_bytes() == b"old"


def test_replaced_file_stays_whole_for_who_has_it_open(store: ImageStore) -> None:
    with put(store, "one", b"old").disk_path.open("rb") as stream:
        put(store, "one", b"new")
        assert stream.read() == b"old"
    assert store.get("one").disk_path.read_bytes() == b"new"


def test_taken_name_is_refused_unless_replacing(store: ImageStore) -> None:
    put(store, "one", b"old")
    with pytest.raises(Exists):
        put(store, "one", b"new", replace=False)
    assert store.get("one").disk_path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["", ".x", "a/b", "..", "a b", "x" * 65, "-x"])
def test_bad_names_are_refused(store: ImageStore, name: str) -> None:
    with pytest.raises(Invalid):
        store.get(name)


def test_broken_folders_are_reported_and_skipped(store: ImageStore) -> None:
    put(store, "good")
    for name in ("empty", "truncated", "nonsense", "escape", "renamed"):
        put(store, name)
    (store.root / "empty" / "image.json").unlink()
    (store.root / "nonsense" / "image.json").unlink()
    (store.root / "nonsense" / "image.json").write_text("[]")
    (store.root / "renamed").rename(store.root / "moved")
    disk = store.root / "truncated" / "disk.raw"
    disk.chmod(0o644)
    disk.write_bytes(b"")
    escape = store.root / "escape" / "image.json"
    record = json.loads(escape.read_text()) | {"disk": "../good/disk.raw"}
    escape.unlink()
    escape.write_text(json.dumps(record))
    good, broken = store.scan()
    assert [image.name for image in good] == ["good"]
    assert {entry.name for entry in broken} == {"empty", "truncated", "nonsense", "escape", "moved"}
    assert all(entry.reason for entry in broken)
    with pytest.raises(Invalid):
        store.get("truncated")
    assert store.find("truncated") is None


def test_delete_removes_broken_ones_too_and_says_when_missing(store: ImageStore) -> None:
    put(store, "one")
    (store.root / "one" / "image.json").unlink()
    store.delete("one")
    with pytest.raises(NotFound):
        store.delete("one")


def test_second_holder_waits_then_gives_up(store: ImageStore, clock: ManualClock) -> None:
    with store.lock("one"):
        with pytest.raises(Conflict), store.lock("one", wait=5):
            pass
        with store.lock("two", wait=0):
            pass
    assert 4.9 <= sum(clock.slept) <= 5.3
    with store.lock("one", wait=0):
        pass


def test_lock_holds_between_threads(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    entered = threading.Event()
    with store.lock("one"):
        waiter = threading.Thread(target=lambda: _enter(store, entered))
        waiter.start()
        assert not entered.wait(0.05)
    waiter.join(5)
    assert entered.is_set()


def _enter(store: ImageStore, entered: threading.Event) -> None:
    with store.lock("one", wait=5):
        entered.set()


def test_delete_refuses_while_another_works_on_it(store: ImageStore) -> None:
    put(store, "one")
    with store.lock("one"), pytest.raises(Conflict):
        store.delete("one")
    assert store.find("one") is not None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_no_capacity(tmp_path: Path, code: int) -> None:
    with pytest.raises(NoCapacity), disk_full_is_no_capacity(tmp_path):
        raise OSError(code, "full")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_full_is_no_capacity(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_full_disk_while_publishing_removes_the_partial_files(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "_settle", full)
    with pytest.raises(NoCapacity):
        put(store, "one")
    assert [p.name for p in store.root.iterdir()] == [".lock-one"]
