"""The pool: one asyncio loop in one thread, one kept connection per host, and a record for whatever happens.

Every call may come from any thread. Connections stay open until `close`, or until nothing used them for `IDLE_S`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from cloudms.clock import Clock, SystemClock
from cloudms.fanout.action import Action, Command, Get, Put
from cloudms.fanout.crowd import Crowd, Rules
from cloudms.fanout.host import Host
from cloudms.fanout.kept import Kept
from cloudms.fanout.one import One, Outlet
from cloudms.fanout.record import HostRecord

CONNECT_S = 20.0
"""Seconds that a host has to let us in."""
WIDTH = 50
"""Hosts at once: more of them are not faster (measured at 500)."""
_FILES = 65536


class Pool:
    """Connections to hosts, and what runs over them.

    Parameters: `clock`, the time that records bear; `transport`, what makes connections (asyncssh when not given).
    """

    def __init__(self, *, clock: Clock | None = None, transport: Callable[[], Any] | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._transport = transport or _ssh
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._kept: Kept | None = None
        self._made: Any = None

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes every connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def run(
        self,
        host: Host,
        command: str,
        *,
        input: bytes = b"",  # noqa: A002 (the word of subprocess)
        timeout: float | None = None,
        connect_timeout: float = CONNECT_S,
    ) -> HostRecord:
        """Run a shell line on a host and return how it ended; nothing that the host does is raised.

        Parameters: `timeout`, seconds from beginning to end; `connect_timeout`, those of them for connecting.
        Raises: MissingExtra (asyncssh is not installed).
        """
        return self._one(host, Command(command=command, input=input), timeout, connect_timeout)

    def put(
        self,
        host: Host,
        source: Path | bytes,
        remote: str,
        *,
        mode: int | None = None,
        timeout: float | None = None,
        connect_timeout: float = CONNECT_S,
    ) -> HostRecord:
        """Write a file, a folder or bytes to a host: beside its place first, and then renamed. Raises: MissingExtra."""
        return self._one(host, Put(source=source, remote=remote, mode=mode), timeout, connect_timeout)

    def get(
        self,
        host: Host,
        remote: str,
        local: Path,
        *,
        timeout: float | None = None,
        connect_timeout: float = CONNECT_S,
    ) -> HostRecord:
        """Bring a file or folder of a host to `local`, written beside it and then renamed. Raises: MissingExtra."""
        return self._one(host, Get(remote=remote, local=local), timeout, connect_timeout)

    def _one(self, host: Host, action: Action, timeout: float | None, connect_timeout: float) -> HostRecord:
        kept = self._started(needed=not host.simulated)
        one = One(kept, self._clock, timeout=timeout, connect_timeout=connect_timeout)
        work = asyncio.run_coroutine_threadsafe(one.do(host, action, Outlet()), kept.loop)
        try:
            return work.result()
        except BaseException:
            work.cancel()
            raise

    def each(
        self,
        hosts: Sequence[Host],
        action: Action | str,
        *,
        width: int = WIDTH,
        batch: int = 0,
        timeout: float | None = None,
        connect_timeout: float = CONNECT_S,
        max_fail: float | None = None,
        cancel: threading.Event | None = None,
        outlet: Callable[[Host], Outlet] | None = None,
        action_of: Callable[[Host], Action] | None = None,
    ) -> Iterator[HostRecord]:
        """Yield a record for every host as it ends, `width` at once; none is left out, whatever happens.

        Parameters: `batch`, hosts of which all have ended before the next so many begin (0: no batches); `timeout`,
        seconds for each host; `max_fail`, when more than this share of all hosts (0 to 1) has failed nothing begins any
        more; `cancel`, set when what runs is to be stopped; `outlet`, where the output of a host goes; `action_of`,
        what is done on each host where that is not `action`.
        """
        kept = self._started(needed=not all(host.simulated for host in hosts))
        room_for_files(len(hosts))
        wanted = Command(command=action) if isinstance(action, str) else action
        rules = Rules(width=max(width, 1), batch=max(batch, 0), max_fail=max_fail, cancel=cancel)
        one = One(kept, self._clock, timeout=timeout, connect_timeout=connect_timeout)

        def do(host: Host) -> Coroutine[Any, Any, HostRecord]:
            return one.do(host, action_of(host) if action_of else wanted, outlet(host) if outlet else Outlet())

        crowd = Crowd(hosts, do, rules, self._clock)
        running = asyncio.run_coroutine_threadsafe(crowd.run(), kept.loop)
        try:
            yield from crowd.records(running)
        finally:
            crowd.stop()

    def close(self, host: Host | None = None) -> None:
        """Close the connection to a host, or all of them and the thread."""
        with self._lock:
            loop, kept, thread = self._loop, self._kept, self._thread
            if host is None:
                self._loop = self._thread = self._kept = None
        if loop is None or kept is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(kept.close(host), loop).result()
        if host is None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self, *, needed: bool) -> Kept:
        """Begin the loop with the first call, and what makes connections when `needed`. Raises: MissingExtra."""
        with self._lock:
            if self._made is None and needed:
                self._made = self._transport()
            if self._kept is None:
                loop = self._loop = asyncio.new_event_loop()
                self._kept = Kept(lambda: self._made, loop)
                self._thread = threading.Thread(target=loop.run_forever, name="cms-fanout", daemon=True)
                self._thread.start()
            return self._kept


def _ssh() -> Any:
    from cloudms.fanout.connection import Ssh

    return Ssh()


def room_for_files(hosts: int) -> None:
    """Raise the number of files that may be open, where so many hosts need more; without the right it stays."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * hosts + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = _FILES if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, most)), hard))
