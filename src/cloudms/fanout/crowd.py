"""Many hosts: so many at once, in batches, until too many have failed or somebody stops it; a record for each."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from cloudms.clock import Clock
from cloudms.errors import Conflict, Interrupted
from cloudms.fanout.host import Host
from cloudms.fanout.record import HostRecord, blank
from cloudms.record import Record

_LOOK_S = 0.1
"""Seconds between looks at whether somebody wants it stopped."""
Do = Callable[[Host], Coroutine[Any, Any, HostRecord]]


class Rules(Record):
    """How many at once (`width`), how many before the next begin (`batch`, 0: all), which share may fail (0 to 1)."""

    width: int
    batch: int = 0
    max_fail: float | None = None
    cancel: threading.Event | None = None


class Crowd:
    """One action over hosts. Parameters: `do` does it on one host and always returns a record."""

    def __init__(self, hosts: Sequence[Host], do: Do, rules: Rules, clock: Clock) -> None:
        self._hosts = hosts
        self._do = do
        self._rules = rules
        self._clock = clock
        self._ended: queue.SimpleQueue[HostRecord | None] = queue.SimpleQueue()
        self._running: set[asyncio.Task[HostRecord]] = set()
        self._failed = 0
        self._left = threading.Event()

    def records(self, running: Future[None]) -> Iterator[HostRecord]:
        """Yield records as they come, until every host has one. Raises: a bug of the loop."""
        while (record := self._ended.get()) is not None:
            yield record
        running.result()

    def stop(self) -> None:
        """Ask what runs to stop, and begin nothing any more."""
        self._left.set()

    @property
    def _stopped(self) -> bool:
        return self._left.is_set() or bool(self._rules.cancel and self._rules.cancel.is_set())

    @property
    def _too_many(self) -> bool:
        share = self._rules.max_fail
        return share is not None and self._failed > share * len(self._hosts)

    async def run(self) -> None:
        """Do it on all hosts; it works in the loop of the pool."""
        watcher = asyncio.create_task(self._watch())
        try:
            size = self._rules.batch or len(self._hosts) or 1
            for begin in range(0, len(self._hosts), size):
                left = deque(self._hosts[begin : begin + size])
                workers = [self._work(left) for _ in range(min(self._rules.width, len(left)))]
                await asyncio.gather(*workers)
        finally:
            watcher.cancel()
            self._ended.put(None)

    async def _work(self, left: deque[Host]) -> None:
        while left:
            host = left.popleft()
            if self._stopped or self._too_many:
                self._ended.put(self._skipped(host))
                continue
            task = asyncio.create_task(self._do(host))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            record = await self._record(host, task)
            self._failed += not record.ok
            self._ended.put(record)

    async def _record(self, host: Host, task: asyncio.Task[HostRecord]) -> HostRecord:
        """Wait for a task; one that was stopped before its first step has nothing to tell."""
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return self._skipped(host)

    async def _watch(self) -> None:
        while not self._stopped:
            await asyncio.sleep(_LOOK_S)
        for task in self._running:
            task.cancel()

    def _skipped(self, host: Host) -> HostRecord:
        if self._stopped:
            stopped = Interrupted("was not begun", hint="--failed-of last runs it where it did not end well")
            return blank(host, state="skipped", error=stopped.to_public())
        share = f"{100 * (self._rules.max_fail or 0):g} %"
        error = Conflict(
            f"was not begun: {self._failed} of {len(self._hosts)} had failed, more than {share}",
            hint="--max-fail allows more",
        )
        return blank(host, state="skipped", error=error.to_public())
