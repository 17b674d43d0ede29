"""A load that goes on: requests that come when they are due (open loop), or as fast as they are answered (closed loop).

Who measures only what it can send misses the time in which nothing could be sent (coordinated omission). In the open
loop a request is due whatever becomes of the others, and its latency counts from that moment.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from random import Random

from cloudms.clock import Clock, SystemClock
from cloudms.workload.plates import plate
from cloudms.workload.profile import Profile
from cloudms.workload.sending import Halt, Request, Sender


class Load(ABC):
    """A load in the background. On a clock of a test it runs to its end at once, one request after the other.

    Parameters: `run`, what the ids of its requests begin with; `random`, for plates and for what comes at random;
    `length` in seconds, or so many requests (`number`), whichever comes first; `width`, the most requests that are on
    their way at once.
    """

    def __init__(
        self, sender: Sender, *, clock: Clock, run: str, random: Random, length: float, number: float, width: int
    ) -> None:
        self.run = run
        self.ended = threading.Event()
        self.problem: BaseException | None = None
        self.length = length
        self.seconds = 0.0
        self._sender = sender
        self._clock = clock
        self._random = random
        self._halt = Halt(clock)
        self._left = number
        self._numbers = count(1)
        self._alone = not isinstance(clock, SystemClock)
        self._pool = None if self._alone else ThreadPoolExecutor(width, thread_name_prefix="cms-load")

    @abstractmethod
    def rate(self, at: float) -> float | None:
        """Return the requests per second that are asked for at a moment, or None: as many as are answered."""

    @abstractmethod
    def _send(self) -> None:
        """Let requests begin until the end or until it is stopped."""

    def begin(self) -> None:
        """Begin, in a thread of its own."""
        self._sender.begin()
        if self._alone:
            self._whole()
        else:
            threading.Thread(target=self._whole, name="cms-load", daemon=True).start()

    def stop(self) -> None:
        """Send no new requests; those on their way are brought to their end."""
        self._halt.stop()

    def abandon(self) -> None:
        """Stop, and give up what is on its way after its current try."""
        self.stop()
        self._sender.hurry.stop()

    def now(self) -> float:
        """Return the seconds since it began, at the end those that it took."""
        return self.seconds if self.ended.is_set() else self._sender.now()

    def check(self) -> None:
        """Raise what went wrong while it ran, such as a ledger that cannot be written."""
        if self.problem is not None:
            raise self.problem

    def _whole(self) -> None:
        try:
            self._guarded(self._send)
            if self._pool is not None:
                self._pool.shutdown(wait=True)
        finally:
            self.seconds = self._sender.now()
            self.ended.set()

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 (check raises it where it is seen)
            self.problem = self.problem or error
            self.abandon()

    def _start(self, act: Callable[[], object]) -> None:
        if self._pool is None:
            self._guarded(act)
        else:
            self._pool.submit(self._guarded, act)

    def _request(self, due: float) -> Request | None:
        """Return the next request, written down, or None when there have been enough."""
        if not self._left:
            return None
        self._left -= 1
        request = Request(id=f"{self.run}-{next(self._numbers):06}", plate=plate(self._random), due=due)
        self._sender.announce(request)
        return request


class OpenLoop(Load):
    """Requests that come as a profile says, whether earlier ones were answered or not.

    Parameters: as `Load`; `scatter`, what makes them come at random moments, evenly spaced without it.
    """

    def __init__(
        self,
        sender: Sender,
        profile: Profile,
        *,
        clock: Clock,
        run: str,
        random: Random,
        length: float = math.inf,
        number: float = math.inf,
        width: int = 256,
        scatter: Random | None = None,
    ) -> None:
        super().__init__(
            sender, clock=clock, run=run, random=random, length=min(length, profile.length), number=number, width=width
        )
        self._profile = profile
        self._scatter = scatter

    def rate(self, at: float) -> float | None:
        """Return the rate of the profile."""
        return self._profile.rate(at) if at <= self.length else 0.0

    def _send(self) -> None:
        for due in self._profile.due(self._scatter):
            if due > self.length or not self._left or self._halt.wait(due - self._sender.now()):
                break
            request = self._request(due)
            if request is None:
                break
            self._start(lambda request=request: self._sender.deliver(request))  # type: ignore[misc]
        if math.isfinite(self.length) and self._left:
            self._halt.wait(self.length - self._sender.now())


class ClosedLoop(Load):
    """So many users, each of which sends its next request when the last one was answered and `think` seconds passed."""

    def __init__(
        self,
        sender: Sender,
        users: int,
        *,
        clock: Clock,
        run: str,
        random: Random,
        length: float = math.inf,
        number: float = math.inf,
        think: float = 0.0,
    ) -> None:
        super().__init__(sender, clock=clock, run=run, random=random, length=length, number=number, width=users)
        self._users = users
        self._think = think
        self._lock = threading.Lock()

    def rate(self, at: float) -> float | None:
        """Return None: the service says how fast it goes."""
        return None

    def _send(self) -> None:
        for _user in range(self._users):
            self._start(self._one_after_the_other)

    def _one_after_the_other(self) -> None:
        while (now := self._sender.now()) < self.length and not self._halt.stopped:
            with self._lock:
                request = self._request(now)
            if request is None:
                return
            self._sender.deliver(request)
            if self._think and self._halt.wait(self._think):
                return
