"""One request of a load, from when it is due to its fate: sent, and sent again with its id until it is answered."""

from __future__ import annotations

import threading
from binascii import crc32
from collections.abc import Callable, Mapping
from typing import Any, Literal

from cloudms.clock import Clock, SystemClock
from cloudms.record import Record
from cloudms.workload.ledger import Ledger
from cloudms.workload.meter import Meter
from cloudms.workload.wire import Address, Reply, Wire

Kind = Literal["plate", "get", "post"]
"""What is sent: a plate to the licence-plate service, or a bare request to any address."""
Ask = Callable[["Request"], Reply]
"""Sends a request once."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0
_LONGEST_ASKED = 30.0
"""Seconds that a service may ask us to wait at most."""
_AGAIN = frozenset((0, 408, 425, 429))
"""What is worth another try, beside everything from 500 on; 0 is no reply at all."""


class Request(Record):
    """One request: its id stays the same however often it is sent; `due` is in seconds from the beginning."""

    id: str
    plate: str
    due: float


class Aim:
    """Where a load goes, with one connection for each thread. Parameters: `timeout`, the seconds a try may take."""

    def __init__(self, to: Address, kind: Kind, timeout: float) -> None:
        self.to = to
        self.kind = kind
        self._timeout = timeout
        self._kept = threading.local()
        self._wires: list[Wire] = []

    def __call__(self, request: Request) -> Reply:
        """Send a request once, over the connection of this thread."""
        wire: Wire | None = getattr(self._kept, "wire", None)
        if wire is None:
            wire = self._kept.wire = Wire(self.to, timeout=self._timeout)
            self._wires.append(wire)
        if self.kind == "plate":
            return checked(request, wire.ask("POST", "/plate", {"id": request.id, "plate": request.plate}))
        return wire.ask(self.kind.upper(), "", headers={"X-Request-Id": request.id})

    def close(self) -> None:
        """Close the connections; nobody sends any more."""
        for wire in self._wires:
            wire.close()


def checked(request: Request, reply: Reply) -> Reply:
    """Return a reply, or what is wrong with it when it does not answer this request."""
    if 200 <= reply.status < 400 and (reply.document.get("id") != request.id or not reply.document.get("hash")):
        return Reply(reason="what came is no answer to this request")
    return reply


class Halt:
    """Waits on a clock, until it is told to stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait `seconds`, or less when it is stopped; whether it is."""
        if isinstance(self._clock, SystemClock):
            self._stopped.wait(max(seconds, 0.0))
        elif seconds > 0 and not self.stopped:
            self._clock.sleep(seconds)
        return self.stopped

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()


class Sender:
    """Brings requests to their fate and tells meter and ledger.

    Parameters: `give_up`, the seconds after which a request that is due is tried no more; `hurry`, which ends tries.
    """

    def __init__(
        self, ask: Ask, *, clock: Clock, meter: Meter, ledger: Ledger, give_up: float, hurry: Halt | None = None
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._meter = meter
        self._ledger = ledger
        self._give_up = give_up
        self.hurry = hurry or Halt(clock)
        self._begin = 0.0

    def begin(self) -> None:
        """Let the time of the load begin now."""
        self._begin = self._clock.monotonic()

    def now(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock.monotonic() - self._begin

    def announce(self, request: Request) -> None:
        """Write down that a request is due, before it is sent."""
        self._meter.sent(request.due)
        self._ledger.sent(request.id, request.plate, request.due)

    def deliver(self, request: Request) -> None:
        """Send a request until it is answered or given up. Latency counts from when it was due, not from a try."""
        tries, pause = 0, _FIRST_WAIT
        while True:
            tries += 1
            reply = self._ask(request)
            now = self.now()
            if 200 <= reply.status < 400:
                self._answered(request, now, tries, reply.document)
                return
            late = now - request.due >= self._give_up
            if late or not _again(reply.status) or self.hurry.stopped:
                self._meter.failed(now, reply.reason)
                self._ledger.failed(request.id, tries, reply.reason)
                return
            self._meter.retried(now, reply.reason)
            self.hurry.wait(max(pause, min(reply.wait, _LONGEST_ASKED)) * _spread(request.id, tries))
            pause = min(pause * 2, _LONGEST_WAIT)

    def _answered(self, request: Request, now: float, tries: int, document: Mapping[str, Any]) -> None:
        member = document.get("member")
        self._ledger.answered(request.id, now - request.due, tries, document)
        self._meter.answered(now, now - request.due, member if isinstance(member, str) else "")


def _spread(ident: str, tries: int) -> float:
    """Return a factor between 0.75 and 1.25, so that those who were sent away do not all come back at once."""
    return 0.75 + crc32(f"{ident}/{tries}".encode()) % 1024 / 2048


def _again(status: int) -> bool:
    return status in _AGAIN or status >= 500
