"""What was typed before, and what of it is never kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cloudms.doors.shell import history
from cloudms.doors.shell.history import History, holds_secret


@pytest.fixture
def kept(tmp_path: Path) -> History:
    """Return an empty history."""
    return History(tmp_path / "new" / "history")


ENTRIES = ["vm list", "echo 'a\nb'", "vm \\\n  list", "echo a\\\\", "é"]


def test_entries_come_back_as_they_were(kept: History) -> None:
    for entry in ENTRIES:
        assert kept.add(entry)
    assert [entry.rstrip(" ") for entry in History(kept.file).entries()] == ENTRIES


def test_it_is_readable_by_the_person_alone(kept: History) -> None:
    kept.add("vm list")
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.file.parent.stat().st_mode) == 0o700
    kept.clear()
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600
    assert kept.entries() == []


def test_it_does_not_grow_without_end(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 10)
    for number in range(15):
        kept.add(f"echo {number}")
    assert kept.entries() == [f"echo {number}" for number in range(5, 15)]
    assert len(kept.file.read_text().splitlines()) == 10


@pytest.mark.parametrize(
    "line",
    [
        "config set cloud.aws.credentials.EC2_SECRET_KEY=abc",
        "cms config set cloud.aws.credentials.EC2_SECRET_KEY abc",
        "config set cloudmesh.cloud.x.credentials.auth.password='a b'",
        "config set database.password=x",
        "set x=1; config set a.token=x",
        "!export AWS_SECRET_ACCESS_KEY=x",
        "var password=x",
        "vm boot --password x",
        "config set proxy=http://me:pass@server/",
        "config set cloud.aws.credentials.EC2_SECRET_KEY='abc",
    ],
)
def test_a_secret_is_not_kept(kept: History, line: str) -> None:
    assert holds_secret(line)
    assert not kept.add(line)
    assert kept.entries() == []


@pytest.mark.parametrize(
    "line",
    [
        "vm list --key lab",
        "config set cloud.aws.credentials.EC2_SECRET_KEY=env:KEY",
        "config set cloud.aws.credentials.EC2_SECRET_KEY keyring:cms/aws",
        "set cloud=aws",
        "key create mine",
        "echo password",
        "a & b",
    ],
)
def test_what_holds_none_is_kept(kept: History, line: str) -> None:
    assert kept.add(line)


def test_lines_with_a_blank_before_them_and_empty_ones_are_not_kept(kept: History) -> None:
    assert not any(map(kept.add, ("", "  ", "\n", " vm list")))


def test_a_folder_that_cannot_be_written_is_no_reason_to_complain(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = History(tmp_path / "file" / "history")
    assert not kept.add("vm list")
    assert kept.entries() == []
    kept.clear()


def test_an_entry_with_odd_separators_stays_one(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.add("echo a\u2028b\x0cc")
    assert History(tmp_path / "history").entries() == ["echo a\u2028b\x0cc"]
