"""The set-up of nodes: found by what it is made of, and a script that names nothing of this machine."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from cloudms.errors import NotFound
from cloudms.jobs import setup
from cloudms.jobs.spec import Archive, Git, Setup, Transfer


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with a program."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "fit.py").write_text("print(1)\n")
    return folder


def _of(folder: Path) -> Setup:
    return Setup(files=(Transfer(source=str(folder), target="code"),))


def test_nothing_to_do_has_no_digest() -> None:
    assert not setup.digest(Setup())


def test_the_digest_is_that_of_what_is_there_and_not_of_where(code: Path, tmp_path: Path) -> None:
    first = setup.digest(_of(code))
    (tmp_path / "elsewhere").mkdir()
    moved = code.rename(tmp_path / "elsewhere" / "code")
    assert setup.digest(_of(moved)) == first
    (moved / "fit.py").write_text("print(22)\n")
    assert setup.digest(_of(moved)) != first


@pytest.mark.parametrize(
    "other",
    [
        Setup(packages=("git",)),
        Setup(requirements=("numpy",)),
        Setup(git=(Git(url="https://example.org/x"),)),
        Setup(git=(Git(url="https://example.org/x", ref="v1"),)),
        Setup(archives=(Archive(source="https://example.org/x.tar.gz"),)),
        Setup(commands=("true",)),
        Setup(commands=("false",)),
    ],
)
def test_whatever_is_asked_for_changes_the_digest(other: Setup) -> None:
    assert setup.digest(other) != setup.digest(Setup(commands=("make",)))


def test_a_file_that_is_gone_is_named(code: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        setup.digest(_of(code / "nowhere"))


def test_everything_that_is_needed_is_sent(code: Path, tmp_path: Path) -> None:
    archive = tmp_path / "data.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(code, arcname="code")
    wanted = _of(code).with_(archives=(Archive(source=str(archive)),), requirements=("numpy>=1",))
    with setup.parcel(wanted).packed() as sent:
        (tmp_path / "sent.tar").write_bytes(sent if isinstance(sent, bytes) else sent.read_bytes())
    with tarfile.open(tmp_path / "sent.tar") as packed:
        names = packed.getnames()
        assert {"script", "requirements.txt", "files/code/fit.py", "archives/0"} <= set(names)
        assert {member.uid for member in packed} == {0}
    assert str(tmp_path / "code") not in setup.script(wanted)


def test_words_of_people_are_quoted() -> None:
    text = setup.script(Setup(git=(Git(url="https://example.org/$(reboot)", ref="a b", into="x y"),)))
    assert "'https://example.org/$(reboot)'" in text
    assert "'./x y'" in text
