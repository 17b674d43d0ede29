"""Connections that never say what they want."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from cloudms.doors.rest.protocol import HEAD_S, Protocol


class Wire(asyncio.Transport):
    """A connection that only remembers whether it was closed."""

    closed = False

    def write(self, data: Any) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True


class Later:
    """What is to be done later, until it is cancelled."""

    def __init__(self, seconds: float, do: Callable[[], Any]) -> None:
        self.seconds = seconds
        self.do = do
        self.cancelled = False

    def cancel(self) -> None:
        """Do it never."""
        self.cancelled = True


class Loop:
    """A loop whose time the test lets pass."""

    def __init__(self) -> None:
        self.waiting: list[Later] = []

    def call_later(self, seconds: float, do: Callable[[], Any]) -> Later:
        """Remember what is to be done."""
        self.waiting.append(Later(seconds, do))
        return self.waiting[-1]

    def create_task(self, task: Any, **_how: Any) -> Future[None]:
        """Carry nothing out."""
        task.close()
        return Future()


def connected() -> tuple[Protocol, Wire, Loop]:
    """Return a connection that was just made."""
    config = uvicorn.Config(lambda: None, log_config=None, lifespan="off")
    config.load()
    loop, wire = Loop(), Wire()
    made = Protocol(config, ServerState(), {}, _loop=loop)  # type: ignore[arg-type]
    made.connection_made(wire)
    return made, wire, loop


def test_who_never_ends_the_head_of_a_request_is_not_waited_for() -> None:
    protocol, wire, loop = connected()
    for part in (b"GET /healthz HTTP/1.1\r\n", b"x: y\r\n"):
        protocol.data_received(part)
    (late,) = loop.waiting
    assert (late.seconds, late.cancelled) == (HEAD_S, False)
    late.do()
    assert wire.closed


def test_who_has_left_is_not_waited_for() -> None:
    protocol, _, loop = connected()
    protocol.connection_lost(None)
    assert [late.cancelled for late in loop.waiting] == [True]


def test_a_request_has_the_time_it_needs() -> None:
    protocol, wire, loop = connected()
    protocol.data_received(b"POST /v1/sweep HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
    protocol.data_received(b"{")
    assert [late.cancelled for late in loop.waiting] == [True]
    assert not wire.closed
