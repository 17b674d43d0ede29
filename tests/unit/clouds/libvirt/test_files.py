"""Names of files, copies, locks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cloudms.clock import ManualClock, SystemClock
from cloudms.clouds.libvirt import files, locks
from cloudms.errors import Conflict, Denied, Invalid, NoCapacity


def test_a_vms_files_tell_its_token() -> None:
    for name, kind in zip(files.vm_files("abcd-1234_x"), ("disk", "seed", "console"), strict=True):
        assert files.token_of(name) == ("abcd-1234_x", kind)
    assert files.token_of("cms-abcd.console.0") == ("abcd", "console")


@pytest.mark.parametrize(
    "name",
    ["cms-base-00ff.qcow2", "cms-vol-a.abcd.qcow2", "cms-vol-a.abcd.json", "other.qcow2", "cms-.qcow2", "cms-abcd"],
)
def test_other_files_have_no_token(name: str) -> None:
    assert files.token_of(name) == ("", "")


@pytest.mark.parametrize("token", ["", "abc", "../../etc", "a/b/c/d", "base-1234", "vol-1234", "a" * 101, "ab cd"])
def test_a_token_must_be_a_file_name(token: str) -> None:
    with pytest.raises(Invalid):
        files.vm_files(token)


def test_a_copy_keeps_content_and_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"tail")
        file.truncate(16 << 20)
    target.write_bytes(b"something older")
    files.place(source, target, mode=0o600)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 4 << 20
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_ino != source.stat().st_ino


def test_a_link_is_the_same_file(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    files.place(source, target, mode=0o644, link=True)
    assert target.stat().st_ino == source.stat().st_ino


def test_what_cannot_be_copied_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"x")
    for code, error in ((28, NoCapacity), (13, Denied)):
        failure = OSError(code, os.strerror(code))

        def fail(*_args: object, failure: OSError = failure) -> None:
            raise failure

        monkeypatch.setattr(files, "_copy", fail)
        with pytest.raises(error):
            files.place(source, tmp_path / "b", mode=0o600)
        assert not (tmp_path / "b").exists()


def test_tail_and_scan(tmp_path: Path) -> None:
    (tmp_path / "cms-a.console").write_bytes(b"0123456789")
    (tmp_path / "theirs").write_bytes(b"")
    (tmp_path / "cms-folder").mkdir()
    assert files.tail(tmp_path / "cms-a.console", 4) == b"6789"
    assert files.tail(tmp_path / "cms-a.console", 99) == files.tail(tmp_path / "cms-a.console", 0) == b"0123456789"
    (entry,) = files.scan(str(tmp_path))
    assert entry.name == "cms-a.console" and entry.changed


def test_a_lock_has_one_holder_and_many_names(tmp_path: Path) -> None:
    path = tmp_path / "deep" / ".locks"
    clock = ManualClock()
    with locks.hold(path, "a", clock, what="vm 'a'"):
        with locks.hold(path, "b", clock, what="vm 'b'"):
            pass
        with (
            pytest.raises(Conflict, match="another process works on vm 'a'"),
            locks.hold(path, "a", clock, what="vm 'a'"),
        ):
            pytest.fail("two holders")
        assert sum(clock.slept) >= 120
    with locks.hold(path, "a", clock, what="vm 'a'"):
        pass


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locks.hold(tmp_path / "locks", "x", SystemClock(), what="x"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_scan_leaves_out_what_goes_away_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "cms-keeps0000.qcow2").write_text("x")
    (tmp_path / "cms-goes00000.qcow2").symlink_to(tmp_path / "gone")
    (tmp_path / "cms-folder").mkdir()
    assert [entry.name for entry in files.scan(str(tmp_path))] == ["cms-keeps0000.qcow2"]
