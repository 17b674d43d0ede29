"""However a list is cut, every date is in a part."""

from __future__ import annotations

import pytest
from tests.aws.replay import _pattern, calendar

from cloudms.clouds.aws.parts import CUTS, UNDATED, VALUES, Cut, Part

NOW = 1795000000.0
ODD = (
    "", "2024", "2024-", "2024-1", "2024-1-5", "2024-13-01", "2024-02-31T25:00:00Z", "2024/05/01", "20240501",
    "2024-05-01", "2024-05-01T12:34Z", "2024-05-01T12:34:05Z", "2024-05-01T12:34:05+00:00", "2024-05-01 12:34:05",
    "1999-12-31T23:59:59.000Z", "2031-01-01T00:00:00.000Z", "2005-01-01T00:00:00.000Z", "yesterday", "Thu May 2", "Z",
    "xZ", "2024-05-01T12:34:60.123456Z", "20240501T123456Z", "2024-05-01Z", "0", "12:61.x",
)  # fmt: skip


def missing(parts: list[Part], dates: list[str]) -> list[str]:
    """Return the dates that no part has."""
    tests = [_pattern(list(part)) for part in parts]
    return [date for date in dates if not any(test(date) for test in tests)]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("walkers", [1, 2, 12, 60, 100])
def test_every_date_is_in_a_part(cut: Cut, walkers: int) -> None:
    parts = cut.first(walkers, NOW)
    assert missing(parts, [*calendar("even", 300), *calendar("skewed", 300)]) == []
    assert missing(parts, list(ODD)) == []
    assert all(len(part) <= VALUES for part in parts)
    assert UNDATED in parts


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_part_that_is_cut_loses_nothing(cut: Cut) -> None:
    dates = [*calendar("skewed", 400), *ODD]
    for part in cut.first(12, NOW):
        holds = _pattern(list(part))
        inside = [date for date in dates if holds(date)]
        smaller = cut.smaller(part)
        if not smaller:
            continue
        assert missing(smaller, inside) == []
        for each in smaller[:3]:
            below = cut.smaller(each)
            test = _pattern(list(each))
            assert not below or missing(below, [date for date in inside if test(date)]) == []


def test_seconds_make_parts_of_one_size_of_any_calendar() -> None:
    for kind in ("even", "skewed"):
        dates = calendar(kind, 6_000)
        parts = [part for part in CUTS["seconds"].first(12, NOW) if part[0][2:4].isdigit()]
        assert len(parts) == 12
        tests = [_pattern([pattern.removeprefix("*") for pattern in part]) for part in parts]
        sizes = sorted(sum(bool(holds(date[16:])) for date in dates) for holds in tests)
        assert sizes[-1] < 1.7 * sizes[0]


def test_months_cut_a_year_at_once_and_a_month_when_it_is_long() -> None:
    cut = CUTS["months"]
    assert cut.large(("2019*",), 1, {})
    assert not cut.large(("2024-05*",), 2, {})
    assert cut.large(("2024-05*",), 3, {})
    assert ("2019-07*",) in cut.smaller(("2019*",))
    assert ("2024-05-31*",) in cut.smaller(("2024-05*",))
    assert ("2024-05-31T23*",) in cut.smaller(("2024-05-31*",))
    assert cut.smaller(("2024-05-31T23*",)) == []
