"""One action on one host, from connecting to its record; whatever happens there becomes the record."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudms.clock import Clock
from cloudms.errors import CloudmsError, Interrupted
from cloudms.fanout import faults, perform
from cloudms.fanout.action import Action, Command, Get, Put
from cloudms.fanout.end import end
from cloudms.fanout.host import Host
from cloudms.fanout.kept import Kept
from cloudms.fanout.record import HostRecord, blank
from cloudms.fanout.sink import LIMIT, TAIL, Heard, Sink
from cloudms.fanout.talk import Talk

AGAIN = "--failed-of last runs it where it did not end well"


class Outlet:
    """Where the output of a host goes.

    Parameters: `out` and `err`, files; `tail` and `limit` in bytes; `heard`, called with (stream, whole lines); `now`,
    called with what happens at the moment. Both are called in the thread of the pool and must not wait.
    """

    def __init__(
        self,
        out: Path | None = None,
        err: Path | None = None,
        *,
        tail: int = TAIL,
        limit: int = LIMIT,
        heard: Callable[[str, str], None] | None = None,
        now: Callable[[str], None] | None = None,
    ) -> None:
        self.out = Sink(out, tail=tail, limit=limit, heard=_to(heard, "stdout"))
        self.err = Sink(err, tail=tail, limit=limit, heard=_to(heard, "stderr"))
        self.now = now or _unheard


def _to(heard: Callable[[str, str], None] | None, stream: str) -> Heard | None:
    return (lambda text: heard(stream, text)) if heard else None


def _unheard(_text: str) -> None:
    """Say nothing."""


class One:
    """Does actions on hosts. Parameters: `timeout` and `connect_timeout` in seconds."""

    def __init__(self, kept: Kept, clock: Clock, *, timeout: float | None, connect_timeout: float) -> None:
        self._kept = kept
        self._clock = clock
        self._timeout = timeout
        self._connect_timeout = min(connect_timeout, timeout) if timeout else connect_timeout

    async def do(self, host: Host, action: Action, outlet: Outlet) -> HostRecord:
        """Do it and return the record; only a bug is raised."""
        started, begun = self._clock.now(), self._clock.monotonic()
        facts = _simulated(host, action, outlet) if host.simulated else await self._real(host, action, outlet)
        seconds = round(self._clock.monotonic() - begun, 3)
        return blank(host, started=started, seconds=seconds, **facts)

    async def _real(self, host: Host, action: Action, outlet: Outlet) -> dict[str, Any]:
        try:
            line = perform.line_of(action)
        except OSError as error:
            return _failed(faults.local(error, f"{_place(action)} cannot be read"))
        try:
            out, err = perform.open_sinks(action, outlet.out, outlet.err)
        except OSError as error:
            return _failed(faults.local(error, f"{_place(action)} cannot be written"))
        talk = Talk(out, err)
        try:
            facts = await self._talked(host, action, line, talk, outlet)
            out.close()
            facts |= await self._settled(host, action, talk, facts)
        finally:
            out.close()
            err.close()
        return {**_output(talk, action), **facts}

    async def _settled(self, host: Host, action: Action, talk: Talk, facts: dict[str, Any]) -> dict[str, Any]:
        """Bring what was got to its place, and see whether the output could be kept."""
        if facts["state"] not in ("done", "failed"):
            perform.drop(action, talk.out)
            return {}
        error = await asyncio.to_thread(perform.settle, action, talk) if not isinstance(action, Command) else None
        broken = talk.out.error or talk.err.error
        if error is None and broken is not None:
            error = faults.local(broken, f"the output of {host.name} cannot be kept")
        return {"state": "failed", "error": error.to_public()} if error else {}

    async def _talked(self, host: Host, action: Action, line: str, talk: Talk, outlet: Outlet) -> dict[str, Any]:
        """Connect, run and wait; return what the record says of the end."""
        if not host.address:
            return _ended("unreached", faults.nowhere(host))
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ran(host, action, line, talk, outlet)
        except TimeoutError:
            if not talk.opened:
                return _ended("unreached", faults.silent(host, self._timeout or 0))
            return _ended("timeout", faults.late(host, self._timeout or 0), talk)
        except asyncio.CancelledError:
            return _ended("cancelled", Interrupted("was stopped while it ran", hint=AGAIN), talk)

    async def _ran(self, host: Host, action: Action, line: str, talk: Talk, outlet: Outlet) -> dict[str, Any]:
        outlet.now("connecting")
        try:
            use = await self._kept.start(host, line, talk, self._connect_timeout)
        except TimeoutError:
            return _ended("unreached", _broken(host, talk) or faults.silent(host, self._connect_timeout))
        except Exception as error:  # noqa: BLE001 (whatever asyncssh raises is what became of this host)
            return _ended("unreached", _broken(host, talk, error) or faults.of_connection(host, error))
        try:
            outlet.now("running")
            return await self._fed(host, action, talk)
        except OSError as error:
            await end(talk, use)
            return _ended("failed", faults.local(error, f"{_place(action)} cannot be read"), talk)
        except asyncio.CancelledError:
            await end(talk, use)
            raise
        finally:
            use.leave()

    async def _fed(self, host: Host, action: Action, talk: Talk) -> dict[str, Any]:
        """Send the input and wait for the end. Raises: OSError (a file of this machine cannot be read)."""
        await perform.feed(action, talk)
        await talk.ended.wait()
        if talk.exit is not None:
            return {"state": "failed" if talk.exit else "done", "exit": talk.exit}
        if talk.signal:
            return {"state": "signalled", "signal": talk.signal}
        return _ended("unreached", faults.lost(host, True, talk.lost), talk)


def _broken(host: Host, talk: Talk, why: BaseException | None = None) -> CloudmsError | None:
    """Return the error of a command that the host has taken and not answered; None when it has not begun."""
    return faults.lost(host, True, why) if talk.opened else None


def _ended(state: str, error: CloudmsError, talk: Talk | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": state, "error": error.to_public()}
    return facts | ({"exit": talk.exit, "signal": talk.signal} if talk else {})


def _failed(error: CloudmsError) -> dict[str, Any]:
    return {"state": "failed", "error": error.to_public()}


def _output(talk: Talk, action: Action) -> dict[str, Any]:
    facts = {"stderr": talk.err.text, "stderr_bytes": talk.err.count, "stderr_file": talk.err.file}
    if isinstance(action, Get):
        there = str(action.local) if action.local.exists() else ""
        return {**facts, "stdout_bytes": talk.out.count, "stdout_file": there}
    return {**facts, "stdout": talk.out.text, "stdout_bytes": talk.out.count, "stdout_file": talk.out.file}


def _place(action: Action) -> str:
    if isinstance(action, Get):
        return str(action.local)
    return str(action.source) if isinstance(action, Put) and isinstance(action.source, Path) else "the input"


def _simulated(host: Host, action: Action, outlet: Outlet) -> dict[str, Any]:
    """Answer what would run, as `cms ssh` does."""
    if isinstance(action, Command):
        what = action.command
    elif isinstance(action, Put):
        what = f"put {action.source if isinstance(action.source, Path) else 'it'} as {action.remote}"
    else:
        what = f"get {action.remote} as {action.local}"
    port = f" -p {host.port}" if host.port != 22 else ""
    run = f"ssh{port} {host.login}@{host.address} -- {shlex.quote(what)}" if isinstance(action, Command) else what
    outlet.out.take(f"{host.name} is simulated: this is what would run\n{run}\n".encode())
    outlet.out.close()
    sink = outlet.out
    return {
        "state": "done", "exit": 0, "simulated": True,
        "stdout": sink.text, "stdout_bytes": sink.count, "stdout_file": sink.file,
    }  # fmt: skip
