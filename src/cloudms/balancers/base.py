"""The contract of a balancer: one address for a group, whose members are added, drained and removed while it answers.

Rules for every balancer (each has a case in tests/contracts/test_balancer.py):

- Every call MUST be safe to repeat: what is already so is success.
- Nothing MUST be held in memory between calls: another process that opens the same folder sees and does the same.
- A member that was added MUST get no request before `ready`, and then only while its check passes.
- `drain` MUST give a member no new request and let those it has end undisturbed; so MUST `remove`, which forgets it.
- No change of members MUST lose a request that another member can answer.
- A request that a member dropped MUST be given to another one when the settings say that requests are `idempotent`,
  and MUST NOT be given to a second member when they do not, unless its method promises the same (GET, HEAD, OPTIONS).
- A member MUST get no more requests at a time than its slots; what is above waits, first come first served.
- While no member is ready a request MUST wait for one, `hold` seconds at most, and be refused only then.
- `up` MUST bring back the members that were there when its process died, each as it was.
- `down` MUST leave nothing behind: no process, no file, no open port.
- `stats` and `servers` MUST raise NotReady when it is not up, and never answer with made-up numbers.
- Only errors of the house MUST be raised, and no call waits for more than seconds.

Seconds are those of `clock.now`; durations are in seconds, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from cloudms.balancers.settings import Settings
from cloudms.clock import Clock
from cloudms.model import Noun
from cloudms.record import Record

STATUSES = {
    "added": "known and checked, and given no request until `balancer ready`",
    "ready": "given requests",
    "down": "its check fails: given no request until it passes again, then by itself",
    "draining": "given no new request; it answers those it has",
}
"""What a member can be behind a balancer."""


class Server(Noun):
    """A member behind a balancer: `host` and `port` where it is reached, `status` one of STATUSES.

    `check` is ok, unknown (not looked at yet) or why it fails. `sessions` are the requests it has now, of at most
    `slots`, and `queue` those that wait for it alone. Since the balancer was started it was given `requests`, answered
    with `errors` (5xx) and refused `retries` connections, which were tried again. `latency` is the mean of its answers
    in seconds.
    """

    kind: ClassVar[str] = "server"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "balancer", "status", "check", "host", "port", "sessions", "slots", "queue", "requests", "errors",
        "retries", "latency",
    )  # fmt: skip

    balancer: str = ""
    host: str = ""
    port: int = 0
    status: str = "added"
    check: str = "unknown"
    sessions: int = 0
    slots: int = 0
    queue: int = 0
    requests: int = 0
    errors: int = 0
    retries: int = 0
    latency: float | None = None

    @property
    def key(self) -> str:
        """Return a key that is unique among the members of all balancers."""
        return f"{self.balancer}/{self.name}"

    @property
    def takes(self) -> bool:
        """Whether it is given requests now."""
        return self.status == "ready"


class Stats(Record):
    """What a balancer measured until `at`.

    `requests` arrived since it was started, `rate` of them in the last second; `queue` wait for a slot now and
    `sessions` are being worked on. Of the answers of the last `window` seconds (less, when they were more than it
    keeps): how many there were per second (`answered`), their `mean`, `p50` and `p95` in seconds from request to
    answer, None without any; what percentage were errors (`errors`, 5xx), and how many were tried more than once
    (`retries`). `servers` are its members.
    """

    at: float
    window: float = 0.0
    requests: int = 0
    rate: float = 0.0
    answered: float = 0.0
    queue: int = 0
    sessions: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    errors: float = 0.0
    retries: int = 0
    servers: tuple[Server, ...] = ()

    @property
    def slots(self) -> int:
        """Return how many requests its ready members can work on at a time."""
        return sum(server.slots for server in self.servers if server.takes)

    @property
    def busy(self) -> float | None:
        """Return the percentage of these slots that are taken, None when there are none."""
        taken = sum(min(server.sessions, server.slots) for server in self.servers if server.takes)
        return 100.0 * taken / self.slots if self.slots else None


class Setup(Record):
    """What a balancer is opened with: the `name` of its group, the `folder` that is its own, and its `settings`."""

    name: str
    folder: Path
    clock: Clock
    settings: Settings


class Balancer(ABC):
    """One balancer. Opening it starts nothing and asks nothing."""

    kind: ClassVar[str]
    """The word by which it is registered."""
    packages: ClassVar[Mapping[str, str]] = {}
    """Programs that it needs on this machine, each with the package that brings it."""

    def __init__(self, setup: Setup) -> None:
        self.name = setup.name
        self.folder = setup.folder
        self.clock = setup.clock
        self.settings = setup.settings

    def check_installed(self) -> None:
        """Refuse when a program that it needs is missing. Raises: NotReady, whose hint installs it."""

    @abstractmethod
    def up(self) -> None:
        """Make it answer at its address with the settings it was opened with.

        One that runs with other settings changes to them without a lost request; one whose process died has its
        members back. Raises: NotReady (a program is missing, or it does not start), Exists (the address is taken).
        """

    @abstractmethod
    def down(self) -> None:
        """End it and forget its members; requests under way are given some seconds. One that is not up is fine.

        Raises: Timeout (its process does not end).
        """

    @property
    @abstractmethod
    def is_up(self) -> bool:
        """Whether it answers."""

    @property
    @abstractmethod
    def address(self) -> tuple[str, int]:
        """Return where it listens. Raises: NotReady (it was never up)."""

    @abstractmethod
    def add(self, name: str, host: str, port: int, *, slots: int = 0) -> None:
        """Make a member known; one of this name that is elsewhere now is looked for there.

        Parameters: `slots`, its requests at a time (0: as the settings say).
        Raises: NotReady (not up), Invalid (name, host or port), NoCapacity (more members than `most`).
        """

    @abstractmethod
    def ready(self, name: str) -> None:
        """Give a member requests as soon as its check passes. Raises: NotReady (not up), NotFound."""

    @abstractmethod
    def drain(self, name: str) -> None:
        """Give a member no new request. Raises: NotReady (not up), NotFound."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Forget a member; what it works on goes on. One that is not known is fine. Raises: NotReady (not up)."""

    @abstractmethod
    def servers(self) -> list[Server]:
        """Return the members in the order of their names. Raises: NotReady (not up)."""

    @abstractmethod
    def stats(self, window: float = 10.0) -> Stats:
        """Return what it measured, answers over the last `window` seconds. Raises: NotReady (not up)."""


class BalancerInfo(Noun):
    """The balancer of a group, whose name it has: `provider` its kind, `address` where it listens, `state` running,
    stopped, or why it does not answer. `settings` are those that were given, `servers` its members by status.

    `rate` are the requests of the last second; `queue` how many wait, `sessions` how many are worked on; `p50` and
    `p95` are seconds from request to answer over the last ten, and `errors` the percentage that failed in them.
    `made` is false while its creation has not ended.
    """

    kind: ClassVar[str] = "balancer"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "provider", "state", "address", "servers", "rate", "queue", "sessions", "p50", "p95", "errors",
        "created",
    )  # fmt: skip

    provider: str = "haproxy"
    state: str = ""
    address: str = ""
    servers: Mapping[str, int] = {}
    settings: Mapping[str, Any] = {}
    requests: int | None = None
    rate: float | None = None
    queue: int | None = None
    sessions: int | None = None
    busy: float | None = None
    p50: float | None = None
    p95: float | None = None
    errors: float | None = None
    owner: str = ""
    created: float | None = None
    made: bool = True

    @property
    def key(self) -> str:
        """Return the catalog key: a group has one."""
        return self.name
