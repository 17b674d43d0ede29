"""Which node gets which task: greedy and fair, and all at once, so that nodes go on while nobody gives them anything.

Every task that waits is given to the node with the least to do, none more than its share; a node that has nothing left
gets what others have not begun.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from cloudms.model import Task
from cloudms.record import Record


class Place(Record):
    """A node that takes tasks: how many it runs at once, and how many it has (`load`)."""

    node: str
    cloud: str = ""
    slots: int = 1
    load: int = 0


def given(waiting: Sequence[Task], places: Sequence[Place], expected: int) -> list[tuple[Task, Place]]:
    """Return who gets what; what is left out waits for nodes that come later.

    Parameters: `expected`, how many nodes there are when those that boot are there.
    """
    if not places or not waiting:
        return []
    total = len(waiting) + sum(place.load for place in places)
    share = -(-total // max(expected, len(places)))
    room = [[place.load / place.slots, number, place.load] for number, place in enumerate(places)]
    heapq.heapify(room)
    found = []
    for task in waiting:
        chosen = _chosen(task, places, room, share)
        if chosen is None:
            break
        found.append((task, chosen))
    return found


def _chosen(task: Task, places: Sequence[Place], room: list[list[float]], share: int) -> Place | None:
    """Take the least loaded place with room, one where the task has not failed before if there is another."""
    tried = {record["node"] for record in task.history if record["status"] not in ("returned", "starting")}
    passed: list[list[float]] = []
    picked: list[float] | None = None
    while room and picked is None:
        entry = heapq.heappop(room)
        place = places[int(entry[1])]
        if entry[2] >= max(share, place.slots):
            continue  # it has its share
        if place.node in tried:
            passed.append(entry)
        else:
            picked = entry
    if picked is None and passed:
        picked = passed.pop(0)
    for entry in passed:
        heapq.heappush(room, entry)
    if picked is None:
        return None
    place = places[int(picked[1])]
    load = picked[2] + 1
    heapq.heappush(room, [load / place.slots, picked[1], load])
    return place


def taken_back(places: Sequence[Place], queued: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return by node what it is to give back so that others with free slots have something to do.

    Parameters: `queued`, by node the tasks that it has not begun, the next one first.
    """
    if not any(place.load < place.slots for place in places):
        return {}
    slots = sum(place.slots for place in places)
    total = sum(place.load for place in places)
    found = {}
    for place in places:
        fair = max(-(-total * place.slots // slots), place.slots)
        surplus = min(place.load - fair, len(queued.get(place.node, ())))
        if surplus > 0:
            found[place.node] = list(queued[place.node])[-surplus:]
    return found
