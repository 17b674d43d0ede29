"""Tasks are shared out fairly, and shared out again when a node has nothing left."""

from __future__ import annotations

from collections import Counter

import pytest

from cloudms.jobs.sharing import Place, given, taken_back
from cloudms.model import Task


def _tasks(count: int) -> list[Task]:
    return [Task(name=f"exp/{number}", number=number) for number in range(count)]


def _places(*loads: int, slots: int = 1) -> list[Place]:
    return [Place(node=f"n{number}", slots=slots, load=load) for number, load in enumerate(loads)]


@pytest.mark.parametrize(
    ("tasks", "loads", "expected", "shares"),
    [
        (60, (0, 0, 0), 3, {"n0": 20, "n1": 20, "n2": 20}),
        (7, (0, 0, 0), 3, {"n0": 3, "n1": 2, "n2": 2}),
        (4, (4, 0), 2, {"n1": 4}),
        (60, (0,), 3, {"n0": 20}),
        (1, (0, 0), 2, {"n0": 1}),
        (2, (0,), 10, {"n0": 1}),
        (5, (), 3, {}),
    ],
)
def test_every_node_gets_its_share(tasks: int, loads: tuple[int, ...], expected: int, shares: dict[str, int]) -> None:
    found = given(_tasks(tasks), _places(*loads), expected)
    assert Counter(place.node for _, place in found) == shares


def test_a_node_with_more_slots_gets_more() -> None:
    places = [Place(node="big", slots=3), Place(node="small", slots=1)]
    assert Counter(place.node for _, place in given(_tasks(4), places, 1)) == {"big": 3, "small": 1}


def test_a_task_is_tried_again_on_another_node_where_there_is_one() -> None:
    failed = Task(name="exp/1", history=({"node": "n0", "status": "failed"},))
    assert [place.node for _, place in given([failed], _places(0, 0), 2)] == ["n1"]
    assert [place.node for _, place in given([failed], _places(0), 1)] == ["n0"]


def test_a_node_with_nothing_left_gets_what_others_have_not_begun() -> None:
    queued = {"n0": ["1", "2", "3", "4", "5"]}
    assert taken_back(_places(6, 0), queued) == {"n0": ["3", "4", "5"]}


@pytest.mark.parametrize(("loads", "queued"), [((3, 1), {"n0": ["1", "2"]}), ((1, 0), {}), ((0, 0), {})])
def test_nothing_is_taken_back_where_nobody_is_idle_or_nothing_waits(
    loads: tuple[int, ...], queued: dict[str, list[str]]
) -> None:
    assert not taken_back(_places(*loads), queued)


def test_taking_back_comes_to_an_end() -> None:
    assert not taken_back(_places(1, 0, slots=1), {"n0": []})
    assert taken_back(_places(2, 0, slots=1), {"n0": ["2"]}) == {"n0": ["2"]}
    assert not taken_back(_places(1, 1, slots=1), {"n0": []})
