"""Cursors: nothing is missed and nothing is shown twice, whatever comes and goes between two pages."""

from __future__ import annotations

import random

import pytest

from cloudms.doors.rest import pages
from cloudms.errors import Invalid
from cloudms.model import Vm


def vms(*numbers: int) -> list[Vm]:
    return [Vm(name=f"web-{number:03}", cloud="fake", id=f"i-{number}") for number in numbers]


def walk(before: list[Vm], after: list[Vm], limit: int) -> tuple[list[str], list[str]]:
    """Return the names on the first page of `before`, and on the second one, of `after`."""
    first, cursor = pages.page(before, None, limit)
    assert cursor
    second, _ = pages.page(after, pages.read(cursor.written()), limit)
    return [vm.name for vm in first], [vm.name for vm in second]


def test_all_pages_make_the_whole() -> None:
    items, cursor = vms(*range(25)), None
    seen: list[Vm] = []
    for _ in range(3):
        shown, word = pages.page(items, cursor, 10)
        seen += shown
        cursor = pages.read(word.written()) if word else None
    assert (seen, cursor) == (items, None)


def test_what_was_shown_may_be_deleted() -> None:
    assert walk(vms(*range(200)), vms(*range(100, 200)), 100)[1] == [vm.name for vm in vms(*range(100, 200))]


def test_what_follows_may_be_deleted() -> None:
    assert walk(vms(*range(20)), vms(*range(10), *range(12, 20)), 10)[1][0] == "web-012"
    assert walk(vms(*range(30)), vms(*range(10), *range(25, 30)), 10)[1][0] == "web-025"


def test_more_may_come_before_it() -> None:
    assert walk(vms(*range(50, 70)), vms(*range(70)), 10)[1][0] == "web-060"


def test_a_state_that_changes_moves_nothing() -> None:
    changed = [vm.with_(reason="other", fetched=1.0) for vm in vms(*range(20))]
    assert walk(vms(*range(20)), changed, 10)[1][0] == "web-010"


def test_any_change_on_either_side_misses_nothing_that_stays() -> None:
    dice = random.Random(7)
    for _ in range(200):
        before = sorted(dice.sample(range(100), 40))
        gone = set(dice.sample(before, 6))
        after = sorted({number for number in before if number not in gone} | set(dice.sample(range(100, 120), 3)))
        first, second = walk(vms(*before), vms(*after), 20)
        stays = [vm.name for vm in vms(*(number for number in before[20:] if number not in gone))]
        assert not set(first) & set(second)
        assert set(stays) <= set(second) or len(second) == 20


@pytest.mark.parametrize(
    "word",
    [
        *("x", "W10", "WzEsW10", "e30", "bnVsbA", "WyJhIiwiIixbXSxbXV0", "[1,[],[]]", "Wy0xLCIiLFtdLFtdXQ", "é"),
        "WzkyMjMzNzIwMzY4NTQ3NzU4MDgsIiIsW10sW11d",  # 2**63 things before it
    ],
)
def test_what_is_no_cursor_is_refused(word: str) -> None:
    with pytest.raises(Invalid, match="is not a cursor"):
        pages.read(word)
