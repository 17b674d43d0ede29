"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest

from cloudms.errors import Invalid
from cloudms.units import duration, plain, size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("15m", 900), ("1d12h", 129600), ("2w", 1209600), ("never", 0), ("0", 0)]
)
def test_durations_are_read_as_written(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-5h", "abc", "5 years", "999999999999999999999w", "9" * 400])
def test_what_is_no_duration_or_ends_at_no_date_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        duration(text)


@pytest.mark.parametrize(
    ("count", "text"), [(0.0, "0"), (90.0, "90"), (100.5, "100.5"), (1e-7, "0.0000001"), (1e-12, "0")]
)
def test_numbers_are_written_so_that_they_can_be_read_again(count: float, text: str) -> None:
    assert plain(count) == text
    assert duration(f"{text}s") == pytest.approx(count, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (340 * 2**20, "340 MiB"), (2**42, "4.0 TiB")]
)
def test_sizes_are_told_to_people(count: int, text: str) -> None:
    assert size(count) == text
