"""A ledger proves that each request was answered exactly once and stored once, or names those that were not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudms.errors import Denied, Exists, Invalid, NoCapacity, NotFound
from cloudms.workload.answers import Answer
from cloudms.workload.ledger import Ledger, Lines, prove, told
from tests.unit.workload.conftest import answer

PLATE = "KL-12-AB-3456"


class Written:
    """A ledger of five requests, each answered and stored, that a test spoils."""

    def __init__(self, file: Path) -> None:
        self.file = file
        book = Ledger(file, run="aa", url="http://127.0.0.1:8080")
        self.stored = [answer(f"aa-{number}") for number in range(1, 6)]
        for found in self.stored:
            book.sent(found.id, PLATE, 1.0)
            book.answered(found.id, 0.5, 1, {**found.to_document(), "repeated": False})
        book.close()

    def without(self, *words: str) -> None:
        """Take away the lines that have all of these words."""
        lines = [line for line in self.file.read_text().splitlines() if not all(word in line for word in words)]
        self.file.write_text("".join(f"{line}\n" for line in lines))

    def add(self, **line: Any) -> None:
        """Add a line."""
        with self.file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    def verdict(self) -> Any:
        """Return what it proves beside the store."""
        return prove(Lines(self.file), self.stored)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return a good ledger."""
    return Written(tmp_path / "ledger")


def bad(verdict: Any) -> dict[str, tuple[str, ...]]:
    """Return the ids that a verdict names, by what is wrong with them."""
    names = ("failed", "lost", "doubled", "missing", "different", "unknown", "wrong")
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}


def test_what_was_answered_and_stored_once_is_good(written: Written) -> None:
    verdict = written.verdict()
    assert (verdict.good, verdict.sent, verdict.answered, verdict.stored, verdict.verified) == (True, 5, 5, 5, 5)
    assert not bad(verdict)
    assert verdict.members == {"web-1": 5}
    assert told(verdict) == "each of 5 requests was answered exactly once and stored once"
    assert written.file.stat().st_mode & 0o777 == 0o600


def test_a_lost_request_is_named(written: Written) -> None:
    written.without('"answered": "aa-3"')
    assert bad(written.verdict()) == {"lost": ("aa-3",)}
    assert told(written.verdict()) == "of 5 requests 4 were answered; 1 lost (aa-3)"


def test_a_request_that_was_given_up_is_named_and_is_not_lost(written: Written) -> None:
    written.without('"answered": "aa-3"')
    written.add(failed="aa-3", tries=9, reason="the connection was refused")
    assert bad(written.verdict()) == {"failed": ("aa-3",)}


def test_a_doubled_answer_is_named(written: Written) -> None:
    written.add(answered="aa-2", seconds=1.0, tries=2)
    assert bad(written.verdict()) == {"doubled": ("aa-2",)}


def test_a_doubled_row_of_the_store_is_named(written: Written) -> None:
    written.stored.append(written.stored[0])
    assert bad(written.verdict()) == {"doubled": ("aa-1",)}


def test_an_answer_that_is_not_stored_is_named(written: Written) -> None:
    del written.stored[4]
    assert bad(written.verdict()) == {"missing": ("aa-5",)}


def test_an_answer_that_is_stored_otherwise_is_named(written: Written) -> None:
    written.stored[1] = answer("aa-2", salt="cd" * 16)
    assert bad(written.verdict()) == {"different": ("aa-2",)}


def test_what_was_never_sent_is_named(written: Written) -> None:
    written.stored.append(answer("aa-77"))
    written.add(answered="aa-88", seconds=1.0, tries=1)
    assert bad(written.verdict()) == {"missing": ("aa-88",), "unknown": ("aa-77", "aa-88")}


def test_a_hash_that_is_not_the_plates_is_named(written: Written) -> None:
    written.file.write_text(written.file.read_text().replace(PLATE, "MH-01-ZZ-0001", 1))
    assert bad(written.verdict()) == {"wrong": ("aa-1",)}


def test_work_may_be_done_more_than_once(written: Written) -> None:
    written.stored[0] = written.stored[0].with_(tries=3)
    verdict = written.verdict()
    assert (verdict.good, verdict.repeated) == (True, 1)
    assert told(verdict).endswith("; the work of 1 was done more than once")


def test_without_a_store_it_proves_what_it_can(written: Written) -> None:
    verdict = prove(Lines(written.file))
    assert (verdict.good, verdict.stored, verdict.verified) == (True, None, 5)
    assert told(verdict) == "each of 5 requests was answered exactly once"


def test_hashes_that_take_long_are_proved_in_part(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger", run="aa", url="")
    for number in range(40):
        found = answer(f"aa-{number:02}", rounds=1)
        book.sent(found.id, PLATE, 1.0)
        book.answered(found.id, 0.5, 1, {**found.to_document(), "rounds": 400_000} if number else found.to_document())
    book.close()
    verdict = prove(Lines(tmp_path / "ledger"))
    assert 5 <= verdict.verified <= 11
    assert len(verdict.wrong) == verdict.verified - 1


def test_the_ledger_of_a_killed_load_has_its_open_requests(written: Written) -> None:
    with written.file.open("ab") as stream:
        stream.write(b'{"sent": "aa-6", "plate": "KL-12-AB-3456", "due": 2.0}\n{"answered": "aa-6", "sec')
    assert bad(written.verdict()) == {"lost": ("aa-6",)}


def test_what_is_no_ledger_is_said(tmp_path: Path, written: Written) -> None:
    for content in (
        b"",
        b"[" * 100_000 + b"\n",
        b"no ledger\n",
        b"[1]\n",
        b'{"other": 1}\n',
        b"\xff\xfe\n",
        b'{"load": "aa", "version": 9}\n',
    ):
        written.file.write_bytes(content)
        with pytest.raises(Invalid, match="is no"):
            Lines(written.file)
    with pytest.raises(NotFound):
        Lines(tmp_path / "nothing")
    with pytest.raises(Denied):
        Lines(tmp_path)


def test_a_ledger_is_never_written_over(written: Written, tmp_path: Path) -> None:
    with pytest.raises(Exists, match="is there"):
        Ledger(written.file, run="bb", url="")
    with pytest.raises(Denied):
        Ledger(tmp_path / "no" / "ledger", run="bb", url="")


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Ledger(tmp_path / "ledger", run="aa", url="")

    def full(_handle: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cloudms.workload.ledger.os.write", full)
        with pytest.raises(NoCapacity, match="No space left"):
            book.sent("aa-1", PLATE, 1.0)
    book.close()
    book.sent("aa-2", PLATE, 1.0)
    assert "aa-2" not in (tmp_path / "ledger").read_text()


def test_answers_of_other_services_prove_themselves(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger", run="aa", url="", plates=False)
    book.sent("aa-1", "", 1.0)
    book.answered("aa-1", 0.5, 1, {})
    book.close()
    lines = Lines(tmp_path / "ledger")
    assert not lines.proved
    assert prove(lines).good


def test_an_answer_without_its_numbers_is_wrong_and_no_end(written: Written) -> None:
    text = written.file.read_text().replace('"rounds": 1', '"rounds": "many"', 1).replace('"salt": "00', '"salt": "zz')
    written.file.write_text(text)
    assert set(bad(written.verdict())["wrong"]) == {found.id for found in written.stored}
    assert isinstance(written.stored[0], Answer)
