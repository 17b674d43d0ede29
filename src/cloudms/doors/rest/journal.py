"""What happens in the operations that this service carries out, for those who listen."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from cloudms.model import Operation, Step
from cloudms.record import Record

_KEPT = 2000
"""Events of one operation that a listener who was away can still be told."""
_SAID = 1024 * 1024
"""Characters of output that are kept in them."""
_ENDED, _LAST = 50, 200
"""Operations whose events are kept after their end, and how many of each: a boot of a thousand VMs has thousands."""


class Event(Record):
    """One event of a stream: its number, its name and its data (JSON values)."""

    number: int
    name: str
    data: dict[str, Any]


class Journal:
    """The events of one operation: `step` and `progress` as they happen, `end` as the last.

    `life` stands for this process in the ids of events: numbers of another one mean nothing here.
    """

    life = secrets.token_hex(4)

    def __init__(self, operation: Operation) -> None:
        self.ended = False
        self._operation = operation
        self._steps = list(operation.steps)
        self._events: deque[Event] = deque()
        self._number = 0
        self._said = 0
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def step(self, position: int, step: Step) -> None:
        """Hear that the record of a step has changed."""
        with self._lock:
            self._steps[position] = step
        self._add("step", {"kind": "step", "position": position, **step.to_document()})

    def progress(self, target: str, text: str) -> None:
        """Hear what happens to a target now."""
        self._add("progress", {"kind": "progress", "target": target, "text": text})

    def output(self, target: str, stream: str, text: str) -> None:
        """Hear whole lines that a target says; of much that is said only the last part is kept for who comes late."""
        self._add("output", {"kind": "output", "target": target, "stream": stream, "text": text})

    def end(self, operation: Operation) -> None:
        """Hear how the operation has ended."""
        with self._lock:
            self._operation, self._steps = operation, list(operation.steps)
        self._add("end", operation.to_public())

    def _add(self, name: str, data: dict[str, Any]) -> None:
        with self._lock:
            self.ended = name == "end"
            self._number += 1
            self._events.append(Event(number=self._number, name=name, data=data))
            self._said += len(data["text"]) if name == "output" else 0
            while self._said > _SAID or len(self._events) > _KEPT:
                oldest = self._events.popleft()
                self._said -= len(oldest.data["text"]) if oldest.name == "output" else 0
            if self.ended:
                self._events = deque(self._events, maxlen=_LAST)
            listeners = list(self._listeners)
        for tell in listeners:
            tell()

    def now(self) -> Event:
        """Return the operation as it is at this moment, as an event that stands for all before it."""
        with self._lock:
            operation = self._operation.with_(steps=tuple(self._steps))
            return Event(number=self._number, name="operation", data=operation.to_public())

    def since(self, number: int) -> list[Event] | None:
        """Return the events after a number, or None when some of them are no longer kept."""
        with self._lock:
            oldest = self._events[0].number if self._events else self._number + 1
            if number > self._number or number + 1 < oldest:
                return None
            return [event for event in self._events if event.number > number]

    def listen(self, tell: Callable[[], None]) -> None:
        """Call `tell`, from any thread, after each event."""
        with self._lock:
            self._listeners.add(tell)

    def leave(self, tell: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners.discard(tell)


class Journals:
    """The journals of this service: all that are open, and the last that were closed."""

    def __init__(self) -> None:
        self._known: dict[str, Journal] = {}
        self._lock = threading.Lock()

    def open(self, operation: Operation) -> Journal:
        """Begin the journal of an operation."""
        made = Journal(operation)
        with self._lock:
            self._known.pop(operation.name, None)
            self._known[operation.name] = made
            ended = [name for name, journal in self._known.items() if journal.ended]
            for name in ended[: max(len(ended) - _ENDED, 0)]:
                del self._known[name]
        return made

    def of(self, name: str) -> Journal | None:
        """Return the journal of an operation, or None when another process carries it out or it ended long ago."""
        with self._lock:
            return self._known.get(name)
