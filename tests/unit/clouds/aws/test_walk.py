"""A long list comes whole: cut in parts, proven by its first page, gone on with where it broke off."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from tests.aws.replay import Replay, images

from cloudms.clock import ManualClock
from cloudms.clouds.aws import markup, shapes
from cloudms.clouds.aws.pace import Pace
from cloudms.clouds.aws.walk import Batch, Walk
from cloudms.clouds.aws.wire import query
from cloudms.errors import CloudmsError, Denied, Invalid, NotReady


@cache
def shape() -> shapes.Shape:
    """Return the table of DescribeImages."""
    return shapes.compiled(shapes.described(), "DescribeImages")


class Wire:
    """A replay without a network; `faults` maps a text in a request to what it raises."""

    def __init__(self, replay: Replay, clock: ManualClock, page: int = 100) -> None:
        self.replay, self.size = replay, page
        self.pace = Pace(clock)
        self.faults: dict[str, CloudmsError] = {}
        self.asked: list[dict[str, str]] = []
        self._lock = threading.Lock()

    def page(
        self, operation: str, params: Mapping[str, Any], *, hold: bool = False, ahead: bool = False
    ) -> dict[str, Any]:
        """Answer."""
        asked = query(operation, {**params, "MaxResults": self.size})
        with self._lock:
            self.asked.append(asked)
            for text, error in self.faults.items():
                if text in str(asked):
                    raise error
            return markup.read(self.replay.answer(asked), shape())

    def release(self) -> None:
        """Do nothing: there is room."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands where the calendars end."""
    return ManualClock(1795000000.0)


@pytest.fixture
def wire(clock: ManualClock) -> Wire:
    """Return 3,000 images, 60 % of them of the last year, behind pages of 100."""
    return Wire(Replay(images(3000, "skewed")), clock)


def walk(wire: Wire, clock: ManualClock, **options: Any) -> Iterator[Batch]:
    """Return a walk over all."""
    wire.pace = Pace(clock)  # the one before has stopped it
    return iter(Walk(wire, {}, clock, **options))  # type: ignore[arg-type]


def ids(batches: Any) -> list[str]:
    """Return the ids of all rows in batches."""
    return [row["ImageId"] for batch in batches for row in batch.rows]


def everything(wire: Wire) -> list[str]:
    """Return the ids of all images."""
    return sorted(row.id for row in wire.replay.images)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("walkers", [1, 12])
def test_every_image_comes_once(wire: Wire, clock: ManualClock, many: bool, walkers: int) -> None:
    batches = list(walk(wire, clock, many=many, walkers=walkers))
    assert sorted(ids(batches)) == everything(wire)
    assert [batch.last for batch in batches[-2:]] == [False, True]


def test_images_with_odd_dates_and_none_come_too(wire: Wire, clock: ManualClock) -> None:
    rows = wire.replay.images
    odd = ("", "2024", "2024-05-01", "2024-05-01T12:34:56+00:00", "20240501T123456Z", "long ago")
    rows[1200:1206] = [row._replace(created=date) for row, date in zip(rows[1200:1206], odd, strict=True)]
    wire.replay.set_images(rows)
    assert sorted(ids(walk(wire, clock))) == everything(wire)


def test_a_list_of_one_page_costs_one_question(wire: Wire, clock: ManualClock) -> None:
    wire.replay.set_images(images(80))
    assert sorted(ids(walk(wire, clock))) == everything(wire)
    assert len(wire.asked) == 1


@pytest.mark.parametrize("knows", ["prefix", "none"])
def test_a_service_that_knows_fewer_patterns_is_walked_in_another_way(
    wire: Wire, clock: ManualClock, knows: str
) -> None:
    wire.replay.wildcards = knows
    assert sorted(set(ids(walk(wire, clock)))) == everything(wire)


def test_a_service_that_refuses_the_filter_is_walked_page_by_page(wire: Wire, clock: ManualClock) -> None:
    wire.faults = {"creation-date": Invalid("The filter 'creation-date' is invalid")}
    assert sorted(set(ids(walk(wire, clock)))) == everything(wire)


def test_without_seconds_what_is_large_is_cut(wire: Wire, clock: ManualClock) -> None:
    wire.replay.wildcards = "prefix"
    list(walk(wire, clock, walkers=128))  # so many that none has another part to do before
    dates = {value for asked in wire.asked for name, value in asked.items() if ".Value." in name}
    assert any(len(date) == len("2026-09-01*") for date in dates), "a month was not cut into days"


def test_one_bad_part_leaves_the_others_and_is_told(wire: Wire, clock: ManualClock) -> None:
    wire.faults = {"*:07.*": NotReady("An internal error has occurred")}
    batches = []
    with pytest.raises(NotReady, match="internal error"):
        for batch in walk(wire, clock):
            batches.append(batch)
    came = ids(batches)
    assert 2500 < len(came) < 3000
    left = next(batch.left for batch in reversed(batches) if batch.left is not None)
    assert len(left["parts"]) == 1
    assert "*:07.*" in left["parts"][0]
    wire.faults, wire.asked = {}, []
    rest = list(walk(wire, clock, left=left))
    assert sorted({*came, *ids(rest)}) == everything(wire)
    assert len(wire.asked) < 8, "it did not go on, it began anew"
    assert rest[-1].last


def test_what_concerns_all_parts_ends_the_walk_at_once(wire: Wire, clock: ManualClock) -> None:
    wire.faults = {"Filter": Denied("not allowed")}
    with pytest.raises(Denied):
        list(walk(wire, clock))
    assert len(wire.asked) < 20


def test_a_walk_that_is_left_goes_on_where_it_was(wire: Wire, clock: ManualClock) -> None:
    came: list[str] = []
    left: dict[str, Any] = {}
    going = walk(wire, clock, walkers=2)
    for batch in going:
        came += ids([batch])
        left = batch.left or left
        if len(came) > 1500:
            break
    going.close()  # type: ignore[attr-defined]
    assert 0 < len(left["parts"]) < 14
    assert sorted({*came, *ids(walk(wire, clock, left=left))}) == everything(wire)


def test_an_image_that_goes_meanwhile_is_no_reason_to_begin_anew(wire: Wire, clock: ManualClock) -> None:
    going = walk(wire, clock, walkers=1)
    first = ids([next(going)])
    with wire._lock:
        wire.replay.set_images([row for row in wire.replay.images if row.id != first[3]])
    assert sorted({*first, *ids(going)}) == sorted({*everything(wire), first[3]})
    assert not any("2024" in str(asked) for asked in wire.asked), "the list was cut again"


def test_pauses_grow_and_hold_everybody() -> None:
    clock = ManualClock()
    pace = Pace(clock)
    pace.turn()
    waits = [pace.refused(attempt) for attempt in range(1, 9)]
    assert all(0.25 * 2 ** (nth) <= wait <= min(0.5 * 2**nth, 30) for nth, wait in enumerate(waits[:6]))
    begun = clock.monotonic()
    pace.turn()
    assert clock.monotonic() - begun >= max(waits) - 0.01
    assert pace.refused(1, retry_after=77) == 77


def test_turns_come_apart_after_a_refusal_and_together_again() -> None:
    clock = ManualClock()
    pace = Pace(clock)

    def distance() -> float:
        begun = clock.monotonic()
        for _ in range(10):
            pace.turn()
        return clock.monotonic() - begun

    assert distance() == 0
    for attempt in range(1, 4):
        pace.refused(attempt)
    clock.sleep(60)
    assert distance() >= 9 * 0.05
    for _ in range(100):
        pace.answered()
    clock.sleep(60)
    distance()
    assert distance() == 0


def test_a_rate_is_never_exceeded() -> None:
    clock = ManualClock()
    pace = Pace(clock, rate=4)
    for _ in range(9):
        pace.turn()
        pace.answered()
    assert clock.monotonic() - ManualClock().monotonic() >= 8 / 4
