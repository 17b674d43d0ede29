"""What a boot asks is asked once in a while, by one thread at a time, and beside other things."""

from __future__ import annotations

import threading

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.aws.known import HOLDS_S, Known
from cloudms.errors import NotFound


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands."""
    return ManualClock(1795000000.0)


@pytest.fixture
def known(clock: ManualClock) -> Known:
    """Return what knows nothing yet."""
    return Known(clock)


def test_an_answer_holds_for_a_while(known: Known, clock: ManualClock) -> None:
    answers = iter("abc")
    ask = lambda: next(answers)  # noqa: E731
    assert [known.get(ask, "image", "debian-12") for _ in range(2)] == ["a", "a"]
    assert known.begin(ask, "image", "debian-12")() == "a"
    clock.sleep(HOLDS_S + 1)
    assert known.get(ask, "image", "debian-12") == "b"
    known.clear()
    assert known.get(ask, "image", "debian-12") == "c"


def test_several_things_are_asked_at_the_same_time(known: Known) -> None:
    both = threading.Barrier(2, timeout=10)
    first, second = known.begin(both.wait, "image"), known.begin(both.wait, "network")
    assert {first(), second()} == {0, 1}


def test_one_thing_is_asked_by_one_thread(known: Known) -> None:
    asked, go_on = [], threading.Event()

    def ask() -> int:
        asked.append(threading.get_ident())
        go_on.wait(10)
        return len(asked)

    waiting = [known.begin(ask, "keys") for _ in range(3)]
    go_on.set()
    assert [answer() for answer in waiting] == [1, 1, 1]
    assert len(asked) == 1


def test_what_goes_wrong_is_raised_where_the_answer_is_wanted_and_is_asked_again(known: Known) -> None:
    def fail() -> None:
        raise NotFound("there is no such image")

    for _ in range(2):
        answer = known.begin(fail, "image")
        with pytest.raises(NotFound, match="no such image"):
            answer()
    assert known.get(lambda: 7, "image") == 7
