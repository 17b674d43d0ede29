"""The book of a balancer: places that are free, files that are whole, and a lock that one has at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cloudms.balancers import addresses, book
from cloudms.balancers.book import Book, Entry
from cloudms.errors import NoCapacity, NotFound, NotReady


def entry(name: str, port: int = 80) -> Entry:
    """Return a member."""
    return Entry(name=name, host="127.0.0.1", port=port, slots=4)


def test_a_member_has_the_first_place_that_is_free_and_keeps_it() -> None:
    now = Book().placed(entry("a"), 3).placed(entry("b"), 3).placed(entry("c"), 3)
    assert {name: each.place for name, each in now.members.items()} == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(NoCapacity):
        now.placed(entry("d"), 3)
    again = now.wanting("b", "draining").placed(entry("b", port=90), 3)
    assert (again.member("b").place, again.member("b").port, again.member("b").wanted) == (2, 90, "draining")
    assert now.without("a").placed(entry("d"), 3).member("d").place == 1
    with pytest.raises(NotFound, match="'z'"):
        now.wanting("z", "ready")


def test_a_place_whose_last_member_still_works_is_taken_last() -> None:
    assert Book().placed(entry("a"), 3, frozenset({1, 2})).member("a").place == 3
    assert Book().placed(entry("a"), 2, frozenset({1, 2})).member("a").place == 1


def test_what_is_written_is_read_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "balancers" / "web"
    assert book.read(folder) == Book()
    written = Book(address="127.87.0.1", port=8080, more={"up": True}).placed(entry("a"), 3)
    book.write(folder, written)
    assert book.read(folder) == written
    assert (folder / "book.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["book.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"members": 5}', '{"members": {"a": {}}}', '{"members": {"a": 5}}'])
def test_a_broken_book_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "book.json").write_text(text)
    with pytest.raises(NotReady, match="cannot be read"):
        book.read(tmp_path)


def test_one_at_a_time_changes_a_balancer(tmp_path: Path) -> None:
    folder = tmp_path / "balancers" / "web"
    book.write(folder, Book())

    def add(number: int) -> None:
        with book.locked(folder):
            now = book.read(folder)
            book.write(folder, now.placed(entry(f"m{number}"), 50))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(each.place for each in book.read(folder).members.values()) == list(range(1, 21))


def test_a_folder_has_an_address_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[str] = set()
    monkeypatch.setattr(addresses, "refusal", lambda address, _port: 98 if address in taken else 0)
    first = addresses.chosen(tmp_path / "a", "", 8080)
    assert first.startswith("127.87.")
    assert addresses.chosen(tmp_path / "a", "", 8080) == first
    assert addresses.chosen(tmp_path / "b", "", 8080) != first
    taken.add(first)
    assert addresses.chosen(tmp_path / "a", "", 8080) not in ("", first)
    monkeypatch.setattr(addresses, "refusal", lambda _address, _port: 98)
    with pytest.raises(NotReady, match="no loopback address"):
        addresses.chosen(tmp_path / "a", "", 8080)
