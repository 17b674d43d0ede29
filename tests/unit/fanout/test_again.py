"""Hosts that turn some away: a real SSH server of asyncssh, behind a door that closes on the first who come."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from cloudms.fanout import again
from cloudms.fanout.connection import Ssh
from cloudms.fanout.host import Host
from cloudms.fanout.pool import Pool

FULL = b"Exceeded MaxStartups\r\n"
"""What OpenSSH says before it closes since 8.5."""


class Anybody(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return False


class Door:
    """An SSH server on loopback; the first `closed` that come are treated as `how` says.

    Parameters: `how`, what is done to them: shut (the connection is closed), reset, or told (a line is said first);
    greeted (closed after the server has said its version).
    """

    def __init__(self, closed: int, how: str) -> None:
        self.came = 0
        self.port = 0
        self._closed = closed
        self._how = how
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(30)

    async def _begin(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Anybody, server_host_keys=[key], process_factory=self._process
        )
        self._door = await asyncio.start_server(self._at_the_door, "127.0.0.1", 0)
        self.port = self._door.sockets[0].getsockname()[1]

    def _process(self, process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write(f"ran {process.command}\n")
        process.exit(0)

    async def _at_the_door(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.came += 1
        if self.came > self._closed:
            inside, to_inside = await asyncio.open_connection("127.0.0.1", self._server.get_port())
            self._writers.append(to_inside)
            await asyncio.gather(_pass_on(reader, to_inside), _pass_on(inside, writer))
            return
        if self._how == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self._how == "told":
            writer.write(FULL)
        elif self._how == "greeted":
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            await writer.drain()
            await reader.readuntil(b"\n")
        writer.close()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._door.close()
        self._server.close()
        await asyncio.sleep(0.01)  # who has just come is let begin, so that the way back is known
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Door]]:
    """Return a function that opens a door; the waits between tries are short."""
    monkeypatch.setattr(again, "FIRST_S", 0.01)
    made: list[Door] = []

    def open_(closed: int, how: str = "shut") -> Door:
        made.append(Door(closed, how))
        return made[-1]

    yield open_
    for each in made:
        each.close()


@pytest.fixture
def pool(tmp_path: Path, own_home: Path) -> Iterator[Pool]:
    with Pool(transport=lambda: Ssh(config=tmp_path / "none")) as made:
        yield made


def host(door: Door) -> Host:
    return Host(name="web1", cloud="local", vm="t1", address="127.0.0.1", port=door.port, login="root", alias="cms-t1")


@pytest.mark.parametrize("how", ["shut", "reset", "told"])
def test_who_is_turned_away_comes_again(door: Callable[..., Door], pool: Pool, how: str) -> None:
    there = door(again.TRIES - 1, how)
    record = pool.run(host(there), "uptime", connect_timeout=60)
    assert (record.state, record.stdout) == ("done", "ran uptime\n"), record.error
    assert there.came == again.TRIES


@pytest.mark.parametrize("how", ["shut", "reset", "told"])
def test_who_is_always_turned_away_is_told_so(door: Callable[..., Door], pool: Pool, how: str) -> None:
    there = door(1000, how)
    record = pool.run(host(there), "uptime", connect_timeout=60)
    assert (record.state, record.error["code"]) == ("unreached", "not_ready")
    assert record.error["message"] == f"web1 (127.0.0.1:{there.port}) closes connections before it greets, 5 times"
    assert "MaxStartups" in record.error["hint"]
    assert there.came == again.TRIES


def test_what_breaks_after_the_greeting_is_not_tried_again(door: Callable[..., Door], pool: Pool) -> None:
    there = door(1000, "greeted")
    record = pool.run(host(there), "uptime", connect_timeout=60)
    assert record.state == "unreached"
    assert "greets" not in record.error["message"]
    assert there.came == 1


def test_what_refuses_connections_is_not_tried_again(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    closed = Host(name="web1", cloud="local", vm="t1", address="127.0.0.1", port=port, login="root", alias="cms-t1")
    record = pool.run(closed, "uptime", connect_timeout=60)
    assert "connection refused" in record.error["message"]


def test_no_try_begins_after_the_time_for_connecting(
    door: Callable[..., Door], pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "FIRST_S", 1000.0)
    there = door(1000)
    record = pool.run(host(there), "uptime", connect_timeout=60)
    assert record.error["message"].endswith("closes connections before it greets")
    assert there.came == 1
