"""Results that come over time: lines as text or as server-sent events, and the end of both when the reader has gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

from anyio import CapacityLimiter, to_thread

from cloudms.context import Context
from cloudms.doors.rest.log import Log
from cloudms.doors.view import public
from cloudms.errors import CloudmsError, Interrupted

EVENTS = "text/event-stream"
LINES = 64
"""Streams of verbs at one time."""
BEAT_S = 15.0
"""Seconds of silence after which a comment shows that the connection is alive."""
_PATIENCE_S = 1.0
"""Seconds in which an error still becomes the status of the reply."""
_LOOK_S = 0.5
"""Seconds between looks at whether the service stops."""
_END = object()


def event(name: str, data: Any, number: str = "") -> bytes:
    """Return one server-sent event; JSON has no line breaks, so that one `data` line holds it."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, default=str)}\n\n".encode()


class Lines:
    """The rows of a streaming verb, each asked for in a thread.

    Parameters: `opened` is closed when the last row was given; `closing` tells that the service stops.
    """

    def __init__(
        self,
        ctx: Context,
        rows: Iterator[Any],
        opened: ExitStack,
        *,
        limiter: CapacityLimiter,
        closing: Callable[[], bool],
    ) -> None:
        self._ctx = ctx
        self._rows = rows
        self._opened = opened
        self._limiter = limiter
        self._closing = closing
        self._whole = False
        self._pending: asyncio.Task[Any] | None = None

    async def begin(self) -> None:
        """Ask for the first row. Raises what the verb raises before it, if it does so soon."""
        pending = self._ask()
        await asyncio.wait({pending}, timeout=_PATIENCE_S)
        if pending.done() and (error := pending.exception()) is not None:
            self._end()
            raise error

    def _ask(self) -> asyncio.Task[Any]:
        self._pending = asyncio.ensure_future(self._next())
        return self._pending

    async def _next(self) -> Any:
        # When the reader goes, the thread is left alone: it ends when the verb sees that it is asked to stop.
        return await to_thread.run_sync(next, self._rows, _END, abandon_on_cancel=True, limiter=self._limiter)

    def _end(self) -> None:
        self._ctx.stop()
        if self._pending is not None:
            self._pending.cancel()
        self._opened.close()

    async def rows(self) -> AsyncIterator[Any]:
        """Yield every row; at the end, or when the reader has gone, the verb is asked to stop."""
        pending = self._pending or self._ask()
        try:
            while not self._closing():
                done, _ = await asyncio.wait({pending}, timeout=_LOOK_S)
                if not done:
                    continue
                row = pending.result()
                if row is _END:
                    self._whole = True
                    return
                yield row
                pending = self._ask()
        finally:
            self._end()

    async def content(self) -> AsyncIterator[bytes]:
        """Yield rows that are bytes. Raises: Interrupted (the service stops), which breaks the connection off, too."""
        async for row in self.rows():
            yield row
        if not self._whole:
            raise Interrupted("the service is stopping")

    async def text(self) -> AsyncIterator[bytes]:
        """Yield lines of text. An error breaks the connection off, so that no reader takes a part for the whole."""
        async for row in self.rows():
            yield _line(row)

    async def events(self, log: Log, where: str) -> AsyncIterator[bytes]:
        """Yield each row as an event `line`, then `end`, or `error` with what went wrong."""
        try:
            async for row in self.rows():
                yield event("line", public(row))
            yield event("end", {"warnings": list(self._ctx.warnings)})
        except CloudmsError as error:
            yield event("error", {"error": error.to_public()})
        except Exception as error:  # noqa: BLE001 (told as every other bug)
            log.bug(where, error)
            told = CloudmsError(f"this is a bug in cloudms: {type(error).__name__}")
            yield event("error", {"error": told.to_public()})


async def beating(source: AsyncIterator[bytes], seconds: float = BEAT_S) -> AsyncIterator[bytes]:
    """Yield what `source` yields, and a comment, which readers skip, whenever it is silent for long."""
    pending = asyncio.ensure_future(_following(source))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=seconds)
            if not done:
                yield b": still here\n\n"
                continue
            chunk = pending.result()
            if chunk is None:
                return
            yield chunk
            pending = asyncio.ensure_future(_following(source))
    finally:
        pending.cancel()


async def _following(source: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(source)
    except StopAsyncIteration:
        return None


def _line(row: Any) -> bytes:
    text = row if isinstance(row, str) else json.dumps(public(row), default=str)
    return (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace")
