"""The life of one pretend VM: its states over time, computed when they are asked for, so that nothing runs meanwhile.

A VM carries a timeline: entries `[time, state, reason]`, the first of them the state it is in. An action replaces the
timeline; `settled` moves it forward to the present.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi
from zlib import crc32

from cloudms.clouds.fake.store import Doc
from cloudms.errors import Conflict, NotFound, NotReady
from cloudms.model import VmState

GONE = "gone"
"""The end of a timeline: the VM is no longer listed."""

ON = frozenset((VmState.RUNNING, VmState.REBOOTING, VmState.AWAITING_CONFIRM, VmState.SUSPENDED, VmState.PENDING))
OFF = frozenset((VmState.STOPPED, VmState.DEALLOCATED, VmState.SAVED))
ENDED = frozenset((VmState.TERMINATING, VmState.TERMINATED))
LIVING = frozenset(VmState) - ENDED
_ENDED_WORDS = frozenset((*ENDED, GONE))

_GRACE = 60.0
"""Seconds that a guest has which starts after its lease has ended."""

_WAVE = 300.0
"""Seconds after which the pretended load repeats."""


def at(vm: Doc, now: float) -> int:
    """Return the position in the timeline of what holds at `now`."""
    timeline = vm["timeline"]
    return next((i for i in range(len(timeline) - 1, 0, -1) if timeline[i][0] <= now), 0)


def settled(vm: Doc, now: float) -> Doc:
    """Return a copy of `vm` as it is at `now`: what has passed is applied and its use of CPU is counted."""
    vm = _without_lease(vm, now)
    timeline, passed = vm["timeline"], at(vm, now)
    used = sum(
        _cpu(vm, max(start, vm["counted"]), min(end, now))
        for start, end, state in _stretches(timeline, now)
        if state == VmState.RUNNING and min(end, now) > max(start, vm["counted"])
    )
    return {**vm, "timeline": timeline[passed:], "cpu": vm["cpu"] + used, "counted": max(now, vm["counted"])}


def _without_lease(vm: Doc, now: float) -> Doc:
    """Return `vm` with what its guest does when its lease has ended: it powers itself off, as soon as it runs."""
    end = vm["expires"]
    if not end or end > now or vm["protected"]:
        return vm
    timeline = vm["timeline"]
    for position in range(at(vm, end), len(timeline)):
        began = float(timeline[position][0])
        off = began + _GRACE if began > end else end
        if timeline[position][1] == VmState.RUNNING and off <= now:
            return {**vm, "timeline": [*timeline[: position + 1], [off, str(VmState.STOPPED), "its lease has ended"]]}
    return vm


def _stretches(timeline: list[list[object]], now: float) -> Iterator[tuple[float, float, object]]:
    starts = [float(str(entry[0])) for entry in timeline]
    for entry, start, end in zip(timeline, starts, [*starts[1:], now], strict=True):
        yield start, end, entry[1]


def _cpu(vm: Doc, start: float, end: float) -> float:
    """Return the CPU seconds of one virtual CPU between `start` and `end`."""
    if vm.get("load") is not None:
        return float(vm["load"]) * (end - start)
    steady = 0.1 + crc32(vm["id"].encode()) % 40 / 100
    turn = 2 * pi / _WAVE
    return steady * (end - start) + 0.1 * (cos(turn * start) - cos(turn * end)) / turn


def busy(vm: Doc, start: float, end: float) -> float:
    """Return to which part its CPUs were busy between `start` and `end`, from 0 to 1."""
    return _cpu(vm, start, end) / (end - start)


def alive(vm: Doc, now: float) -> bool:
    """Whether `vm` is neither being deleted nor gone at `now`; for many VMs cheaper than settling each."""
    return vm["timeline"][at(vm, now)][1] not in _ENDED_WORDS


def vanished(vm: Doc, now: float) -> bool:
    """Whether `vm` is no longer listed at `now`."""
    last = vm["timeline"][-1]
    return bool(last[1] == GONE and last[0] <= now)


def state(vm: Doc) -> VmState:
    """Return the state of a settled `vm`."""
    word = vm["timeline"][0][1]
    return VmState.TERMINATED if word == GONE else VmState(word)


def heading(vm: Doc) -> str:
    """Return the state a settled `vm` will be in at last."""
    return str(vm["timeline"][-1][1])


def timeline(now: float, *steps: tuple[float, str, str]) -> list[list[object]]:
    """Return the entries for `steps`, each of them the seconds it begins after the one before, a state and a reason."""
    entries: list[list[object]] = []
    for after, word, reason in steps:
        now += after
        entries.append([now, str(word), reason])
    return entries


def boot(vm: Doc, now: float, seconds: float, via: VmState = VmState.PENDING) -> None:
    """Start the guest; it is running after `seconds`."""
    vm["timeline"] = timeline(now, (0, via, ""), (seconds, VmState.RUNNING, ""))
    vm["boots"] = [*vm["boots"][-4:], [now, seconds, vm["contents"]]]


def wanted(vm: Doc, goal: VmState) -> bool:
    """Whether a settled `vm` is in state `goal` or on its way there."""
    return heading(vm) == goal


def demand(vm: Doc, allowed: frozenset[VmState], action: str) -> VmState:
    """Return the state of a settled `vm` when `action` is possible in it.

    Raises: NotFound (terminated), Conflict (being deleted), NotReady (any other state; `details` names it).
    """
    now = state(vm)
    if now is VmState.TERMINATED:
        raise NotFound(f"vm '{vm['name']}' is terminated", details={"vm": vm["name"]})
    if now is VmState.TERMINATING:
        raise Conflict(f"vm '{vm['name']}' is being deleted", details={"vm": vm["name"]})
    if now not in allowed:
        raise NotReady(
            f"vm '{vm['name']}' is {now}: cannot {action}",
            hint=f"it must be {' or '.join(sorted(allowed))}",
            details={"vm": vm["name"], "state": str(now)},
        )
    return now


def move(vm: Doc, now: float, seconds: float, via: VmState, goal: VmState, reason: str = "") -> None:
    """Bring `vm` to `goal` through `via`, which lasts `seconds`."""
    vm["timeline"] = timeline(now, (0, via, ""), (seconds, goal, reason))
