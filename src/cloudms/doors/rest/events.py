"""How far an operation is, as server-sent events: its state at once, then every step and what happens, until its end.

Operations of this service are told live. Those of other processes (a command, another service) are looked at in the
catalog twice a second: their steps are told, not what happens in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from cloudms.doors.rest.desk import Desk
from cloudms.doors.rest.journal import Event, Journal, Journals
from cloudms.doors.rest.streams import EVENTS, beating, event
from cloudms.engine.operation import find, observed
from cloudms.engine.process import this_process
from cloudms.model import Operation, OperationState

LOOK_S = 0.5
_AGAIN = b"retry: 2000\n\n"
"""Milliseconds after which a reader whose connection broke asks again."""


class Teller:
    """Tells of operations. Parameters: `closing` tells that the service stops, which ends every stream."""

    def __init__(self, desk: Desk, journals: Journals, closing: Callable[[], bool]) -> None:
        self._desk = desk
        self._journals = journals
        self._closing = closing

    async def answer(self, name: str, last: str) -> Response:
        """Return the stream of an operation that goes on after the event `last`; 204 when that was its end.

        Raises: NotFound.
        """
        journal = self._journals.of(name)
        if journal is None or (journal.ended and await to_thread.run_sync(self._is_elsewhere, name)):
            number, operation = await to_thread.run_sync(self._look, name)
            if last == number and operation.state is not OperationState.RUNNING:
                return Response(status_code=204)
            return _stream(self._watched(name))
        seen = _number(journal, last)
        if journal.ended and seen is not None and journal.since(seen) == []:
            return Response(status_code=204)
        return _stream(self._told(journal, seen))

    async def _told(self, journal: Journal, seen: int | None) -> AsyncIterator[bytes]:
        """Yield the events of an operation of this service."""
        loop, happened = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(happened.set)

        journal.listen(tell)
        try:
            yield _AGAIN
            while not self._closing():
                happened.clear()
                ended = journal.ended  # looked at first: all events are there once it has ended
                fresh = None if seen is None else journal.since(seen)
                if fresh is None:
                    state = journal.now()
                    seen = state.number
                    yield _event(state)
                    continue
                for each in fresh:
                    yield _event(each)
                    seen = each.number
                    if each.name == "end":
                        return
                if ended:  # the state that was told was already the last one
                    yield _event(journal.now().with_(name="end"))
                    return
                await _either(happened, LOOK_S)
        finally:
            journal.leave(tell)

    async def _watched(self, name: str) -> AsyncIterator[bytes]:
        """Yield what changes in the record of an operation that another process carries out."""
        yield _AGAIN
        seen, before = "", None
        while not self._closing():
            number, operation = await to_thread.run_sync(self._look, name)
            if before is None:
                yield event("operation", operation.to_public(), number)
            elif number != seen:
                for data in _changed(before, operation):
                    yield event("step", data, number)
            if operation.state is not OperationState.RUNNING:
                yield event("end", operation.to_public(), number)
                return
            seen, before = number, operation
            await asyncio.sleep(LOOK_S)

    def _is_elsewhere(self, name: str) -> bool:
        """Whether another process has resumed an operation since this one ended it. Raises: NotFound."""
        return self._look(name)[1].process != this_process()

    def _look(self, name: str) -> tuple[str, Operation]:
        """Return the version of an operation's record, and the record. Raises: NotFound."""
        with self._desk.context() as ctx:
            stored = find(ctx, name)
        operation = observed(Operation.from_document(stored.document))
        return f"record-{stored.version}-{operation.state}", operation


def _event(told: Event) -> bytes:
    return event(told.name, told.data, f"{Journal.life}-{told.number}")


def _stream(source: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(beating(source), media_type=EVENTS, headers={"cache-control": "no-store"})


def _changed(before: Operation, now: Operation) -> list[dict[str, Any]]:
    pairs = enumerate(zip(before.steps, now.steps, strict=False))
    return [{"kind": "step", "position": i, **new.to_document()} for i, (old, new) in pairs if old != new]


def _number(journal: Journal, last: str) -> int | None:
    """Return the number of the event that a reader saw last, or None when it was none of this journal."""
    life, _, number = last.partition("-")
    known = life == Journal.life and number.isdigit() and len(number) < 12
    return int(number) if known and journal.since(int(number)) is not None else None


async def _either(happened: asyncio.Event, seconds: float) -> None:
    """Wait until something happened, but not for ever: the service may stop meanwhile."""
    try:
        await asyncio.wait_for(happened.wait(), seconds)
    except TimeoutError:
        return
