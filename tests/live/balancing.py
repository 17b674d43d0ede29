"""HAProxy for tests: installed when a test wants it, members that are processes, and people who ask them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from cloudms.balancers.base import Balancer
from cloudms.balancers.haproxy import daemon
from tests.members import ask

ROOT = Path(__file__).parent.parent.parent


def installed() -> str:
    """Install HAProxy where it is missing, and return why that cannot be done, or an empty string."""
    if daemon.find():
        return ""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode:
        return "haproxy is not installed"
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600"]
    for words in (["update"], ["install", "--no-install-recommends", daemon.PROGRAM]):
        done = subprocess.run([*apt, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.stderr.strip()[-300:] if done.returncode else ""


class Process:
    """A member that is a process of its own, on a port that it keeps."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, 0
        self.start()

    def start(self) -> None:
        """Start it, again on its port."""
        argv = [sys.executable, "-m", "tests.live.member", self.name, str(self.port)]
        self._child = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self._child.stdout is not None
        with self._child.stdout as said:
            self.port = int(said.readline())

    def signal(self, number: int) -> None:
        """Send it a signal, and wait for its end where that ends it."""
        self._child.send_signal(number)
        if number == signal.SIGKILL:
            self._child.wait(60)


@contextmanager
def processes(*names: str) -> Iterator[list[Process]]:
    """Yield members that are processes; none is left."""
    started: list[Process] = []
    try:
        started += [Process(name) for name in names]
        yield started
    finally:
        for each in started:
            with suppress(ProcessLookupError):
                each.signal(signal.SIGKILL)


class Crowd:
    """People who ask one after the other, each as soon as the last answer came; `answers` has status and body."""

    def __init__(self, address: tuple[str, int], size: int, path: str) -> None:
        self._address, self._path = address, path
        self._numbers, self._over = count(1), threading.Event()
        self.answers: dict[str, tuple[int, str]] = {}
        self._people = [threading.Thread(target=self._ask, daemon=True) for _ in range(size)]
        for person in self._people:
            person.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            body = f"id-{next(self._numbers)}"
            self.answers[body] = ask(self._address, self._path, body=body)

    def move(self, address: tuple[str, int]) -> None:
        """Ask elsewhere from now on."""
        self._address = address

    def end(self) -> Counter[int]:
        """Let everybody end, and return how many answers had which status."""
        self._over.set()
        for person in self._people:
            person.join(120)
            assert not person.is_alive()
        return Counter(status for status, _member in self.answers.values())


async def pour(address: tuple[str, int], rate: float, total: int) -> Counter[str]:
    """Send requests at a rate, whether or not others were answered, and count them by how they ended.

    `total` requests, `rate` of them a second; on a machine that cannot, they come later, and none is left out.
    """
    ends: Counter[str] = Counter()

    async def one(number: int) -> None:
        body = f"id-{number}".encode()
        try:
            reader, writer = await asyncio.open_connection(*address)
            head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            writer.write(head + body)
            said = await reader.read()
            writer.close()
            told = json.loads(said.partition(b"\r\n\r\n")[2])
            ends[f"{said.split()[1].decode()} {told.get('body') == body.decode()}"] += 1
        except (OSError, ValueError, IndexError) as error:
            ends[type(error).__name__] += 1

    loop = asyncio.get_running_loop()
    begin, asked = loop.time(), []
    for number in range(total):
        if (early := begin + number / rate - loop.time()) > 0:
            await asyncio.sleep(early)
        asked.append(asyncio.create_task(one(number)))
    await asyncio.gather(*asked)
    return ends


def pipelined(address: tuple[str, int], count: int) -> int:
    """Send requests on one connection without waiting for answers, read them all, and return how many there were."""
    with socket.create_connection(address, timeout=60) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        answers, end = 0, b""
        while answers < count:
            part = line.recv(1 << 16)
            assert part, f"{answers} of {count} were answered"
            said = end + part
            answers += said.count(b"HTTP/1.1 ")
            end = said[-8:]  # what may be the beginning of one
    return answers


def put(balancer: Balancer, *members: Process) -> None:
    """Let members be given requests."""
    for member in members:
        balancer.add(member.name, "127.0.0.1", member.port)
        balancer.ready(member.name)
