"""Hosts in memory: a transport that connects to nothing and does what a test says, and a pool that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cloudms.clock import ManualClock
from cloudms.fanout.host import Host
from cloudms.fanout.pool import Pool
from cloudms.fanout.talk import Link, Talk

Does = Callable[[str, Talk], Awaitable[None]]


async def fine(_command: str, talk: Talk) -> None:
    """End well, having said nothing."""
    talk.exit = 0


class MemoryChannel:
    """Keeps what is sent."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.sent = b""
        self.signals: list[str] = []

    def write(self, data: bytes) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.sent += b"<eof>"

    def send_signal(self, signal: str) -> None:
        self.signals.append(signal)
        self.talk.signal = signal
        self.talk.close()

    def abort(self) -> None:
        self.talk.close()


class MemoryLink:
    """A connection; `dies` is what starting a command raises."""

    def __init__(self, does: Does) -> None:
        self.does = does
        self.closed = False
        self.dies: Exception | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, command: str, talk: Talk) -> None:
        if self.dies:
            raise self.dies
        talk.begun(MemoryChannel(talk))
        self.tasks.append(asyncio.create_task(self._run(command, talk)))

    async def _run(self, command: str, talk: Talk) -> None:
        try:
            await self.does(command, talk)
            talk.close()
        except ConnectionError as error:
            self.closed = True
            talk.close(error)

    def close(self) -> None:
        self.closed = True


class Memory:
    """The transport: `does` by host name, `refuses` what connecting to a host raises, `made` who was connected to."""

    def __init__(self, does: dict[str, Does] | None = None, refuses: dict[str, Exception] | None = None) -> None:
        self.does = does or {}
        self.refuses = refuses or {}
        self.made: list[str] = []
        self.through: dict[str, Any] = {}
        self.links: dict[str, MemoryLink] = {}

    def jumps(self, host: Host) -> tuple[Host, ...]:
        return host.jump

    async def connect(self, host: Host, through: Link | None, _seconds: float) -> Link:
        self.made.append(host.name)
        self.through[host.name] = through
        if host.name in self.refuses:
            raise self.refuses[host.name]
        self.links[host.name] = MemoryLink(self.does.get(host.name, fine))
        return self.links[host.name]


def hosts(*names: str, **facts: Any) -> list[Host]:
    """Return hosts of these names."""
    return [Host(name=name, cloud="local", address=f"{name}.test", alias=f"cms-{name}", **facts) for name in names]


@contextmanager
def pool(transport: Memory) -> Iterator[Pool]:
    """Give a pool over hosts in memory."""
    with Pool(clock=ManualClock(), transport=lambda: transport) as made:
        yield made
