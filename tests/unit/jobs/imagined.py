"""Nodes that are only imagined: they do what `agent.sh` promises, by the clock of the test, and fail on demand."""

from __future__ import annotations

import io
import tarfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.jobs.node import Answer, Remote
from cloudms.jobs.task import Ending
from cloudms.model import Experiment, Vm


class Killed(BaseException):
    """The manager was killed at this point."""


class World:
    """All nodes. Parameters: `seconds` a task takes; `code`, its exit code by number, attempt and node."""

    def __init__(self, clock: ManualClock, seconds: float = 10.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.code: Callable[[int, int, str], int] = lambda _number, _attempt, _node: 0
        self.nodes: dict[str, Imagined] = {}
        self.silent: set[str] = set()
        self.bad: set[str] = set()
        self.ran: list[str] = []
        self.calls = 0
        self.kill_at = 0
        self.lock = threading.RLock()

    def remote(self, _ctx: Context, _experiment: Experiment, vm: Vm) -> Remote:
        """Return a node, as an engine asks for it."""
        return self.nodes.setdefault(vm.name, Imagined(self, vm.name))

    def begun(self) -> Counter[int]:
        """Return how often each task was begun, by its number."""
        return Counter(int(name.partition(".")[0]) for name in self.ran)

    def call(self, effect: Callable[[], object]) -> None:
        """Do something on a node; the manager may be killed before the node does it, or before it hears of it."""
        with self.lock:
            self.calls += 1
            if self.calls == self.kill_at:
                raise Killed
            effect()
            self.calls += 1
            if self.calls == self.kill_at:
                raise Killed


class Imagined:
    """One node."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.known = False
        self.setup = "none"
        self.slots = 1
        self.queued: list[str] = []
        self.running: dict[str, float] = {}
        self.ended: dict[str, Ending] = {}
        self.withdrawn: set[str] = set()
        self.gone: set[str] = set()

    def ask(self, *words: str, sent: bytes | Path = b"") -> Answer:
        """Do what a word says."""
        if self.name in self.world.silent:
            raise NotReady(f"{self.name}: no route to host")
        self.world.call(lambda: self._do(words[0], list(words[1:]), sent))
        with self.world.lock:
            self._go_on()
            return Answer(
                boot="boot", now=self.world.clock.now(), setup=self.setup, fresh=not self.known,
                queued=tuple(self.queued), running=dict(self.running), ended=dict(self.ended),
                withdrawn=tuple(self.withdrawn),
            )  # fmt: skip

    def _do(self, word: str, names: list[str], sent: bytes | Path) -> None:
        self._go_on()
        if word == "put":
            self._put(sent)
        elif word == "prepare":
            self.setup = "failed" if self.name in self.world.bad else "done"
        elif word in ("withdraw", "stop"):
            self._stop(names or [*self.queued, *self.running], running=word == "stop")
        elif word == "forget":
            self.gone |= set(names)
            self.ended = {name: ending for name, ending in self.ended.items() if name not in names}
            self.withdrawn -= set(names)

    def _put(self, sent: bytes | Path) -> None:
        stream = io.BytesIO(sent.read_bytes() if isinstance(sent, Path) else sent)
        with tarfile.open(fileobj=stream) as archive:
            names = sorted({name.split("/")[1] for name in archive.getnames() if name.startswith("tasks/")})
            self.known = self.known or "exp/conf" in archive.getnames()
        have = {*self.queued, *self.running, *self.ended, *self.withdrawn, *self.gone}
        self.queued += [name for name in names if name not in have]

    def _stop(self, names: list[str], *, running: bool) -> None:
        self.withdrawn |= {name for name in self.queued if name in names}
        self.queued = [name for name in self.queued if name not in names]
        for name in [name for name in self.running if running and name in names]:
            since = self.running.pop(name)
            self.ended[name] = Ending(exit=143, signal="TERM", started=since, ended=since, cause="cancelled")

    def _go_on(self) -> None:
        """End what has run long enough, and begin what waits."""
        now = self.world.clock.now()
        for name, since in list(self.running.items()):
            if now - since >= self.world.seconds:
                del self.running[name]
                number, _, attempt = name.partition(".")
                code = self.world.code(int(number), int(attempt), self.name)
                self.ended[name] = Ending(exit=code, started=since, ended=since + self.world.seconds)
        while self.queued and len(self.running) < self.slots:
            name = self.queued.pop(0)
            self.running[name] = now
            self.world.ran.append(name)

    def text(self, *words: str) -> str:
        """Tell how the set-up went."""
        if self.name in self.world.silent:
            raise NotReady(f"{self.name}: no route to host")
        return "E: no package\n" if words[0] == "log" else ""

    def tail(self, name: str, _file: str, place: int) -> tuple[str, int]:
        """Return what a task has printed so far: one line a second."""
        if self.name in self.world.silent:
            raise NotReady(f"{self.name}: no route to host")
        lines = int(self.world.clock.now() - self.running.get(name, self.world.clock.now()))
        text = "".join(f"{number} é\n" for number in range(lines)).encode()[place:]
        return text.decode(), len(text)

    def fetch(self, name: str, folder: Path) -> str:
        """Bring what a task has printed."""
        if self.name in self.world.silent:
            raise NotReady(f"{self.name}: no route to host")

        def write() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "stdout").write_text(f"value={name}\n")

        self.world.call(write)
        return ""
