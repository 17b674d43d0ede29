"""Files of jobs: merged in one place, never written over."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from cloudms import ssh
from cloudms.cluster import files
from cloudms.cluster.node import packed
from cloudms.errors import NotReady
from cloudms.model import Vm


def vm(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, **content: str) -> Vm:
    """Return a VM whose `ssh` is a script that gives a tar of `content`."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path, text in content.items():
            member = tarfile.TarInfo(f"./{path.replace('__', '/')}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    tar = tmp_path / f"{name}.tar"
    tar.write_bytes(whole.getvalue())
    monkeypatch.setattr(ssh, "command", lambda vm: ["sh", "-c", f"cat {tmp_path}/{vm.name}.tar"])
    return Vm(name=name, cloud="local", ssh_host="127.77.0.1")


def test_files_of_several_nodes_are_merged_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "files"
    for name, content in (("lab-1", {"a": "1", "sub__b": "2"}), ("lab-2", {"a": "other", "c": "3"})):
        files.fetch_from(vm(tmp_path, name, monkeypatch, **content), target)
    found = {str(path.relative_to(target)): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {"a": "1", "sub/b": "2", "a~lab-2": "other", "c": "3"}


def test_fetching_again_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "files"
    node = vm(tmp_path, "lab-1", monkeypatch, a="1", b="2")
    assert files.fetch_from(node, target) == files.fetch_from(node, target) == [target / "a", target / "b"]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    files.fetch_from(vm(tmp_path, "lab-1", monkeypatch, a="changed"), target)
    files.fetch_from(vm(tmp_path, "lab-1", monkeypatch, a="again"), target)
    assert (target / "a~lab-1").read_text() == "changed"
    assert (target / "a~lab-1-2").read_text() == "again"


def test_a_node_cannot_write_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = vm(tmp_path, "lab-1", monkeypatch, **{"..__..__evil": "x"})
    with pytest.raises(NotReady, match="broken"):
        files.fetch_from(node, tmp_path / "files")
    assert not list(tmp_path.rglob("evil")) and not list((tmp_path / "files").iterdir())


def test_a_node_that_does_not_answer_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "command", lambda vm: ["sh", "-c", "echo 'Connection refused' >&2; exit 255"])
    with pytest.raises(NotReady, match="lab-1: its files could not be fetched: Connection refused"):
        files.fetch_from(Vm(name="lab-1"), tmp_path / "files")


def test_the_key_is_packed_for_its_owner_alone() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed({"munge.key": b"secret", "slurm.conf": b"x"}))) as archive:
        assert [(member.name, stat.S_IMODE(member.mode), member.uid) for member in archive] == [
            ("munge.key", 0o400, 0), ("slurm.conf", 0o400, 0),
        ]  # fmt: skip
