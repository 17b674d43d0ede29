"""What clouds write beside a VM: times, truths, names and tokens of a batch, and what is read where others wrote."""

from __future__ import annotations

import pytest

from cloudms.clouds import notes
from cloudms.errors import Invalid
from cloudms.model import VmSpec


def specs(*tokens: str) -> list[VmSpec]:
    """Return requests with these tokens."""
    return [VmSpec(name=f"a{n}", token=token, image="micro", flavor="tiny") for n, token in enumerate(tokens)]


def test_the_token_of_a_request_and_its_number() -> None:
    assert [notes.base_token(each) for each in ("abc.3", "abc", "abc.x", ".3", "a.b.12")] == [
        ("abc", 3),
        ("abc", 0),
        ("abc.x", 0),
        (".3", 0),
        ("a.b", 12),
    ]


def test_a_batch_has_its_tokens_in_order() -> None:
    assert notes.batch_token(specs("abc.1", "abc.2")) == "abc"
    for wrong in (specs("abc.2", "abc.1"), specs("abc.1", "abd.2"), specs("abc", "abc"), specs(".1"), []):
        with pytest.raises(Invalid, match="TOKEN"):
            notes.batch_token(wrong)


@pytest.mark.parametrize(
    "names", [["a1", "a2", "a3"], ["a2", "a1"], ["web"], [f"vm{n:04}x" for n in range(0, 3000, 7)]]
)
def test_names_are_cut_and_come_back_in_their_order(names: list[str]) -> None:
    pairs = notes.names_pairs(names, "cms:names", 250)
    assert all(len(value) <= 250 for value in pairs.values())
    assert list(pairs)[:2] == ["cms:names", "cms:names.2"][: len(pairs)]
    assert notes.names_of({**pairs, "other": "x"}, "cms:names") == names


def test_names_that_nobody_can_read_are_none() -> None:
    assert notes.names_of({}, "cms:names") == []
    assert notes.names_of({"cms:names": "a[1-"}, "cms:names") == []


def test_times_are_whole_seconds_and_come_back() -> None:
    assert (notes.time_text(12.7), notes.time_text(None)) == ("12", "")
    assert [notes.time_of(text) for text in ("12", "12.5", "", None, "never", "9" * 30)] == [12.0, 12.5] + [None] * 4
    assert notes.end_text(None, timer=True) == "never"
    assert notes.end_text(None, timer=False) == ""
    assert notes.end_text(99.9, timer=True) == "99"


def test_what_does_not_hold_is_not_written() -> None:
    assert (notes.yes(True), notes.yes(False)) == ("yes", "")
