"""HTTP on the wire: what cannot be read at all is refused in the same shape as everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cloudms.doors.rest.gate import HEADERS
from cloudms.doors.rest.replies import unreadable

HEAD_S = 30.0
"""Seconds in which the head of a request must have come; whoever takes longer holds connections others need."""


class Protocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read, and wait for what is missing of a head, but not for ever."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_more()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that cannot be read, and close the connection."""
        body = unreadable()
        headers = [*HEADERS.items(), ("content-type", "application/json"), ("connection", "close")]
        head = [(name.encode(), value.encode()) for name, value in [*headers, ("content-length", str(len(body)))]]
        parts: tuple[Any, ...] = (
            h11.Response(status_code=400, headers=head, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        for part in parts:
            self.transport.write(self.conn.send(part) or b"")
        self.transport.close()
