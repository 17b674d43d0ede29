"""Connections that are kept: found by host, made once however many ask, made anew when they have died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cloudms.fanout.host import Host
from cloudms.fanout.talk import Link, Talk

IDLE_S = 600.0
"""Seconds after which a connection that nobody uses is closed."""
STALE_S = 8.0
"""Seconds in which a kept connection that nothing else uses takes a command, or is given up for a new one."""
_SESSIONS = 8
"""Commands at once over one connection; OpenSSH allows 10 (MaxSessions, sshd_config(5))."""


class _Place:
    """The connection to one host."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.making = asyncio.Lock()
        self.slots = asyncio.Semaphore(_SESSIONS)
        self.users = 0
        self.used = 0.0
        self.leads = False
        """Whether other connections lead through it."""


class Kept:
    """All connections of a pool; everything here runs in its loop, `loop`."""

    def __init__(self, transport: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._transport = transport
        self._places: dict[str, _Place] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: Host, command: str, talk: Talk, seconds: float) -> Use:
        """Start a command; connecting takes at most `seconds`.

        A kept connection that turns out to be dead before the host has taken the command is replaced once.
        Raises: what connecting raises; TimeoutError.
        """
        place = self._places.setdefault(host.key, _Place())
        use = Use(place, self.loop)
        await use.enter()
        try:
            link, was_kept = await self._linked(host, place, seconds)
            try:
                await self._begun(place, link, command, talk, seconds, was_kept=was_kept)
            except Exception:
                if not was_kept or talk.opened:
                    raise
                link.close()
                if place.link is link:  # it is told closed only later
                    place.link = None
                link, _ = await self._linked(host, place, seconds)
                await self._begun(place, link, command, talk, seconds, was_kept=False)
        except BaseException:
            use.leave()
            raise
        return use

    async def _begun(
        self, place: _Place, link: Link, command: str, talk: Talk, seconds: float, *, was_kept: bool
    ) -> None:
        """Ask the host to run the command. One that is taken but not answered may run: that is no reason to repeat."""
        alone = was_kept and place.users == 1
        async with asyncio.timeout(min(STALE_S, seconds) if alone else seconds):
            await link.start(command, talk)

    async def _linked(self, host: Host, place: _Place, seconds: float) -> tuple[Link, bool]:
        """Return the connection, and whether there was one before."""
        async with asyncio.timeout(seconds), place.making:
            if place.link is not None and not place.link.closed:
                return place.link, True
            through = await self._through(self._transport().jumps(host), seconds)
            place.link = await self._transport().connect(host, through, seconds)
            self._sweeping()
            return place.link, False

    async def _through(self, jump: tuple[Host, ...], seconds: float) -> Link | None:
        """Return the connection to the last of the hosts that lead somewhere; all that go there share it."""
        if not jump:
            return None
        last = jump[-1]
        place = self._places.setdefault(f"jump {last.with_(jump=jump[:-1]).key}", _Place())
        place.leads = True
        async with place.making:
            if place.link is None or place.link.closed:
                place.link = await self._transport().connect(last, await self._through(jump[:-1], seconds), seconds)
            return place.link

    def _sweeping(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = self.loop.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Close what nobody has used for long, until nothing is left."""
        while self._places:
            await asyncio.sleep(IDLE_S / 4)
            now = self.loop.time()
            for key, place in list(self._places.items()):
                idle = not place.users and now - place.used > IDLE_S and not place.making.locked()
                if place.link is not None and place.link.closed:
                    place.link = None
                if idle and not (place.leads and len(self._places) > 1):
                    self._drop(key)

    def _drop(self, key: str) -> None:
        place = self._places.pop(key)
        if place.link is not None:
            place.link.close()

    async def close(self, host: Host | None = None) -> None:
        """Close the connection to a host, or all."""
        if host is not None:
            if host.key in self._places:
                self._drop(host.key)
            return
        for key in list(self._places):
            self._drop(key)
        here = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=5) if others else None
        await asyncio.sleep(0)


class Use:
    """The right to run one command over a connection, given back with `leave`."""

    def __init__(self, place: _Place, loop: asyncio.AbstractEventLoop) -> None:
        self._place = place
        self._loop = loop

    async def enter(self) -> None:
        """Wait until there is room."""
        await self._place.slots.acquire()
        self._place.users += 1

    def leave(self) -> None:
        """Give it back."""
        self._place.users -= 1
        self._place.used = self._loop.time()
        self._place.slots.release()

    @property
    def alone(self) -> Link | None:
        """Return the connection when this is all that runs over it, else None."""
        return self._place.link if self._place.users == 1 else None
