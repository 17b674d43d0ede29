"""Settings of clouds, however they were written."""

from __future__ import annotations

import pytest

from cloudms.clouds import words
from cloudms.errors import Invalid


@pytest.mark.parametrize(("value", "found"), [(None, True), ("No", False), (0, False), (" on ", True), (True, True)])
def test_a_truth_is_read_as_people_write_it(value: object, found: bool) -> None:
    assert words.flag("encrypted", value, True) is found


def test_numbers_have_bounds_and_a_default() -> None:
    assert words.number("read_timeout", None, 60.0) == 60.0
    assert words.number("read_timeout", "2.5", 60.0) == 2.5


def test_lists_are_lists_or_text_with_commas() -> None:
    assert words.listed("a, b,,a") == ("a", "b")
    assert words.listed(["a", " b ", ""]) == ("a", "b")
    assert words.listed(None) == ()


@pytest.mark.parametrize("value", ["perhaps", "", 2])
def test_what_is_no_truth_is_said(value: object) -> None:
    with pytest.raises(Invalid, match="encrypted cannot be"):
        words.flag("encrypted", value)


@pytest.mark.parametrize("value", [-1, 3601, "soon", [], "nan"])
def test_what_is_no_number_is_said(value: object) -> None:
    with pytest.raises(Invalid, match="read_timeout cannot be") as refused:
        words.number("read_timeout", value, 60.0)
    assert "by default 60" in str(refused.value.hint)
