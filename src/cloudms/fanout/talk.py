"""One remote command while it runs: what it writes, reads and how it ends, whatever carries it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from cloudms.fanout.sink import Sink


class Channel(Protocol):
    """How a running command is reached."""

    def write(self, data: bytes) -> None:
        """Send input."""

    def write_eof(self) -> None:
        """End the input."""

    def send_signal(self, signal: str) -> None:
        """Send a signal by its name without SIG."""

    def abort(self) -> None:
        """Let go of the command at once."""


class Link(Protocol):
    """A connection to a host that can run commands."""

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more."""

    async def start(self, command: str, talk: Talk) -> None:
        """Start a command. Raises: OSError and what `faults` knows, before or after `talk.opened` is true."""

    def close(self) -> None:
        """Close it now."""


class Transport(Protocol):
    """Makes connections."""

    async def connect(self, host: object, through: Link | None, seconds: float) -> Link:
        """Connect to a host, `through` another one where needed. Raises: OSError and what `faults` knows."""


class Talk:
    """What is heard of one command.

    `opened` tells that the host has taken the request: from then on the command may run, and is never begun again by
    itself. `exit`, `signal` and `lost` (why the connection broke) are how it ended.
    """

    def __init__(self, out: Sink, err: Sink) -> None:
        self.out = out
        self.err = err
        self.opened = False
        self.channel: Channel | None = None
        self.exit: int | None = None
        self.signal = ""
        self.lost: BaseException | None = None
        self.ended = asyncio.Event()
        self.flowing = asyncio.Event()
        self.flowing.set()

    def begun(self, channel: Channel) -> None:
        """Hear that the host has opened a channel."""
        self.opened = True
        self.channel = channel

    def close(self, lost: BaseException | None = None) -> None:
        """Hear that nothing more will come."""
        self.lost = self.lost or lost
        self.flowing.set()
        self.ended.set()

    async def feed(self, data: bytes) -> bool:
        """Send input when there is room for it; return whether the command still runs."""
        await self.flowing.wait()
        if self.ended.is_set() or self.channel is None:
            return False
        try:
            self.channel.write(data)
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """End the input."""
        if self.channel is not None and not self.ended.is_set():
            try:
                self.channel.write_eof()
            except OSError:
                return  # it has just ended
