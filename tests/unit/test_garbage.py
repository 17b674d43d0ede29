"""The search for garbage is seldom for as long as anybody wants it, and as before afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from cloudms.garbage import seldom


@pytest.fixture(autouse=True)
def usual() -> Iterator[tuple[int, int, int]]:
    """Return the thresholds of this process, and bring them back."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield gc.get_threshold()
    gc.set_threshold(*before)


def test_the_last_to_leave_brings_the_usual_back(usual: tuple[int, int, int]) -> None:
    with pytest.raises(KeyError), seldom:
        with seldom:
            assert gc.get_threshold()[0] > 10_000
        assert gc.get_threshold()[0] > 10_000
        raise KeyError
    assert gc.get_threshold() == usual


@pytest.mark.parametrize("wanted", [(0, 10, 10), (500_000, 5, 5)])
def test_what_is_seldom_already_or_switched_off_stays_so(wanted: tuple[int, int, int]) -> None:
    gc.set_threshold(*wanted)
    with seldom:
        assert gc.get_threshold() == wanted
    assert gc.get_threshold() == wanted
