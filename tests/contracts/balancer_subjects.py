"""Every balancer that the contract of balancers is tested on: a new one is one line of SUBJECTS here."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.live.balancing import installed
from tests.members import Asking, Member, ask, until

from cloudms.balancers.base import Balancer, Setup
from cloudms.balancers.fake import FakeBalancer
from cloudms.balancers.haproxy import daemon
from cloudms.balancers.haproxy.driver import HaproxyBalancer
from cloudms.balancers.settings import Settings
from cloudms.clock import ManualClock, SystemClock
from cloudms.errors import NotReady


class Stand(ABC):
    """A balancer under test, with members that do as they are told."""

    real = True
    """Whether requests go over the network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def open(self, **settings: Any) -> Balancer:
        """Return the balancer anew, as another process would open it."""

    @abstractmethod
    def member(self, name: str) -> tuple[str, int]:
        """Start a member, if it does not run, and return where it is reached."""

    @abstractmethod
    def well(self, name: str, *, well: bool) -> None:
        """Let the check of a member pass or fail."""

    @abstractmethod
    def ask(self) -> str:
        """Return who answers a request, nothing when nobody does."""

    @abstractmethod
    def busy(self, name: str) -> Callable[[], bool]:
        """Let a member, the only one that is ready, work on a request until what is returned is called.

        That tells whether the request was answered by it.
        """

    @abstractmethod
    def died(self) -> None:
        """Let the balancer's own process die."""

    @abstractmethod
    def left(self) -> bool:
        """Whether anything of the balancer is left."""

    def close(self) -> None:
        """Take everything away."""

    def eventually(self, check: Callable[[], Any]) -> Any:
        """Wait until something is so."""
        return until(check)


class FakeStand(Stand):
    """The pretended one."""

    real = False

    def open(self, **settings: Any) -> FakeBalancer:
        """Return it anew."""
        clock = ManualClock()
        return FakeBalancer(Setup(name="web", folder=self.folder, clock=clock, settings=Settings(**settings)))

    def member(self, name: str) -> tuple[str, int]:
        """Return a place where nobody is."""
        return "127.0.0.1", 20_000 + sum(name.encode())

    def well(self, name: str, *, well: bool) -> None:
        """Pretend it."""
        self.open().pretend(sick=[] if well else [name])

    def ask(self) -> str:
        """Return who would answer."""
        try:
            return self.open().ask()
        except NotReady:
            return ""

    def busy(self, name: str) -> Callable[[], bool]:
        """Pretend it."""
        self.open().pretend(sessions={name: 1})
        return lambda: bool(self.open().pretend(sessions={}) or True)

    def died(self) -> None:
        """A process that is not there does not die: it is only no longer said to be up."""
        from cloudms.balancers import book

        now = book.read(self.folder)
        book.write(self.folder, now.with_(more={**now.more, "up": False}))

    def left(self) -> bool:
        """Whether its book is there."""
        return self.folder.exists()


class HaproxyStand(Stand):
    """HAProxy with members in threads of ours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.members: dict[str, Member] = {}

    def open(self, **settings: Any) -> HaproxyBalancer:
        """Return it anew."""
        chosen = Settings(**{"hold": 0.0, **settings})  # most cases want to hear at once that nobody is ready
        return HaproxyBalancer(Setup(name="web", folder=self.folder, clock=SystemClock(), settings=chosen))

    def member(self, name: str) -> tuple[str, int]:
        """Start a member."""
        if name not in self.members:
            self.members[name] = Member(name)
        return "127.0.0.1", self.members[name].port

    def well(self, name: str, *, well: bool) -> None:
        """Let its check say so."""
        self.members[name].well = well

    def ask(self) -> str:
        """Ask over the network."""
        return ask(self.open().address)[1]

    def busy(self, name: str) -> Callable[[], bool]:
        """Hold a request in it."""
        member, before = self.members[name], len(self.members[name].got)
        member.gate.clear()
        asking = Asking(self.open().address)
        until(lambda: len(member.got) > before)

        def end() -> bool:
            member.gate.set()
            return asking.answer() == (200, name)

        return end

    def died(self) -> None:
        """Kill it."""
        pid = daemon.pid_of(self.folder)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not daemon.processes(self.folder))

    def left(self) -> bool:
        """Whether its folder or a process of it is there."""
        return self.folder.exists() or bool(daemon.processes(self.folder))

    def close(self) -> None:
        """Stop the members and the balancer."""
        for member in self.members.values():
            member.stop()
        self.open().down()


SUBJECTS: Mapping[str, Callable[[Path], Stand]] = {"fake": FakeStand, "haproxy": HaproxyStand}
"""Kind → what tests it, in a folder."""
MISSING: Mapping[str, Callable[[], str]] = {"haproxy": installed}
"""Kind → why it cannot be tested here, or nothing; it may install what is missing."""
