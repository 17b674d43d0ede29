"""How sentences spell numbers, times and members; and time zones."""

from __future__ import annotations

from zoneinfo import ZoneInfoNotFoundError

import pytest

from cloudms.errors import Invalid
from cloudms.scaling import words, zones
from cloudms.scaling.reading import Section


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1.5, "1.5s"),
        (59.96, "60s"),
        (60, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (90061, "1d1h1m1s"),
    ],
)
def test_a_time(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (2.5, "2.5"), (7.256, "7.26"), (0.0314, "0.0314"), (1234.5, "1234")]
)
def test_a_number(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("cpu", 91.7, "92%"), ("cpu", 7.06, "7.1%"), ("cpu", 0, "0%"), ("latency", 0.25, "0.25s"),
        ("requests", 12.5, "12.5/s"), ("queue", 4, "4"), ("unheard of", 1.5, "1.5"),
    ],
)  # fmt: skip
def test_a_value_in_its_unit(metric: str, value: float, text: str) -> None:
    assert words.value_of(metric, value) == text


def test_names_in_a_sentence() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert words.count_of(1, "member") == "1 member"
    assert words.count_of(2.5, "member") == "2.5 members"


def test_utc_needs_no_time_zones_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zones, "ZoneInfo", none)
    assert zones.zone_of(Section({})) == "UTC"
    with pytest.raises(Invalid) as caught:
        zones.zone_of(Section({"zone": "Europe/Berlin"}))
    assert "tzdata" in caught.value.hint
