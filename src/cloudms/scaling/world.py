"""A pretended group for the simulation: members that boot, serve, drain and rest, and a queue before them."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from random import Random

from cloudms.record import Record
from cloudms.scaling.base import SEATS, Decision, MemberState, Sample

_TAIL = 3.0
"""How much longer the 95th percentile waits than the mean: the waits of a queue are about exponential."""
_NOISE = 4096


class Machine(Record):
    """What members are like. Times are seconds.

    `capacity` is how many requests per second one can serve, `service` how long one request takes, `slots` how many it
    serves at once. `boot` and `resume` are what it takes to come from nothing and from standby, `price` is per hour, of
    which a member on standby costs the part `resting`. Requests that would wait longer than `patience` fail. For `warm`
    seconds a new member uses all of its processors. `noise` is by which part measurements differ.
    """

    capacity: float = 10.0
    service: float = 0.1
    slots: int = 1
    boot: float = 30.0
    resume: float = 1.0
    price: float = 0.1
    resting: float = 0.05
    patience: float = 30.0
    warm: float = 0.0
    noise: float = 0.03


class Body:
    """One pretended machine; `ready` is when it will be up or gone."""

    __slots__ = ("name", "protected", "ready", "since", "status")

    def __init__(self, name: str, status: str, since: float, ready: float) -> None:
        self.name, self.status, self.since, self.ready = name, status, since, ready
        self.protected = False


class Served(Record):
    """What a step brought: requests per second that came and failed, the mean and the 95th percentile of waiting."""

    rate: float
    failed: float
    serving: float
    used: float
    queue: float
    latency: float
    latency_p95: float


class World:
    """The group. `drain` are the seconds that a member takes to go, `rests` whether it goes to standby.

    While it is `silent` nobody measures anything.
    """

    def __init__(
        self, machine: Machine, size: int, now: float, *, standby: int = 0, drain: float = 30.0, rests: bool = True,
        seed: int = 1,
    ) -> None:  # fmt: skip
        self.machine, self.drain, self.rests = machine, drain, rests
        self.queue = 0.0
        self.silent = False
        self.bodies: dict[str, Body] = {}
        self._made = 0
        self._members: tuple[MemberState, ...] | None = None
        random = Random(seed)  # noqa: S311 (no secret)
        self._noise = [1 + random.gauss(0, machine.noise) for _ in range(_NOISE)]
        self._at = 0
        for _ in range(size):
            self._make("in_service", now, now)
        for _ in range(standby):
            self._make("standby", now, now)

    def _make(self, status: str, now: float, ready: float) -> Body:
        self._made += 1
        body = Body(f"sim-{self._made}", status, now, ready)
        self.bodies[body.name] = body
        self._members = None
        return body

    @property
    def members(self) -> tuple[MemberState, ...]:
        """Return the members as a controller sees them; the same tuple while nothing changes."""
        if self._members is None:
            price = self.machine.price
            self._members = tuple(
                MemberState(body.name, body.status, body.since, price, body.protected) for body in self.bodies.values()
            )
        return self._members

    @property
    def size(self) -> int:
        """Return how many members fill a place."""
        return sum(body.status in SEATS for body in self.bodies.values())

    @property
    def busy(self) -> str:
        """Return words for what is under way, or nothing."""
        for body in self.bodies.values():
            if body.status in ("booting", "draining"):
                return f"{body.name} {'comes up' if body.status == 'booting' else 'drains'}"
        return ""

    def price(self) -> float:
        """Return what the group costs per hour now."""
        resting = sum(body.status == "standby" for body in self.bodies.values())
        return self.machine.price * (len(self.bodies) - resting + self.machine.resting * resting)

    def settle(self, now: float) -> None:
        """Let happen what was to happen until now: machines are up, or gone."""
        for body in [each for each in self.bodies.values() if each.ready <= now]:
            if body.status == "booting":
                self._become(body, "in_service", body.ready)
            elif body.status == "draining":
                self._gone(body)

    def act(self, decision: Decision, now: float) -> None:
        """Do what was decided: standby first, then boot; drain before going; a new machine for a sick one."""
        if decision.action == "replace":
            for name in decision.members:
                del self.bodies[name]
                self._make("booting", now, now + self.machine.boot)
        elif decision.action == "in":
            for name in decision.members:
                body = self.bodies[name]
                self._become(body, "draining", now)
                body.ready = now + self.drain
        elif decision.action == "out":
            for name in decision.members:
                body = self.bodies[name]
                self._become(body, "booting", now)
                body.ready = now + self.machine.resume
            for _ in range(decision.clamped - decision.size - len(decision.members)):
                self._make("booting", now, now + self.machine.boot)

    def fail(self, names: Iterable[str], now: float) -> None:
        """Make members sick."""
        for name in names:
            self._become(self.bodies[name], "sick", now)

    def protect(self, names: Iterable[str]) -> None:
        """Protect members, as a person would."""
        for name in names:
            self.bodies[name].protected = True
        self._members = None

    def serve(self, rate: float, now: float, step: float) -> Served:
        """Serve `rate` requests per second for `step` seconds that end at `now`."""
        machine = self.machine
        serving = sum(self._share(body, now, step) for body in self.bodies.values())
        capacity = serving * machine.capacity
        todo = self.queue + rate * step
        done = min(todo, capacity * step)
        room = capacity * machine.patience
        left = todo - done
        failed = max(left - room, 0.0)
        queued, self.queue = self.queue, left - failed
        used = min(done / (capacity * step), 1.0) if capacity else (1.0 if todo else 0.0)
        waits = (queued + self.queue) / 2 / capacity if capacity else machine.patience if todo else 0.0
        waits = min(waits + _waiting(used, serving * machine.slots, machine.service), machine.patience)
        return Served(
            rate=rate, failed=failed / step, serving=serving, used=used, queue=self.queue,
            latency=machine.service + waits, latency_p95=machine.service + min(_TAIL * waits, machine.patience),
        )  # fmt: skip

    def samples(self, served: Served, now: float, metrics: Iterable[str]) -> list[Sample]:
        """Return what sources would measure of the last step."""
        found: list[Sample] = []
        if self.silent:
            return found
        failed = 100 * served.failed / served.rate if served.rate else 0.0
        group = {
            "requests": served.rate, "queue": served.queue, "tasks": served.queue, "latency": served.latency_p95,
            "errors": min(failed, 100.0),
        }  # fmt: skip
        for metric in metrics:
            if metric in group:
                found.append(Sample(metric, now, group[metric], "", "simulation"))
                continue
            level = 100.0 * served.used if metric != "memory" else 20.0 + 50.0 * served.used
            serving = [body for body in self.bodies.values() if body.status == "in_service"]
            names = [body.name for body in serving]
            self._at = (self._at + 997) % _NOISE
            noise = self._noise[self._at :] + self._noise[: self._at]
            if len(names) > _NOISE:
                noise *= len(names) // _NOISE + 1
            found += [
                Sample(metric, now, min(level * off, 100.0), name, "simulation")
                for name, off in zip(names, noise, strict=False)
            ]
            if self.machine.warm and metric == "cpu":
                cold = {body.name for body in serving if body.since > now - self.machine.warm}
                found = [each._replace(value=100.0) if each.member in cold else each for each in found]
        return found

    def _become(self, body: Body, status: str, since: float) -> None:
        body.status, body.since = status, since
        self._members = None

    def _gone(self, body: Body) -> None:
        if self.rests:
            self._become(body, "standby", body.ready)
        else:
            del self.bodies[body.name]
            self._members = None

    @staticmethod
    def _share(body: Body, now: float, step: float) -> float:
        """Return for which part of the step a machine has served."""
        if body.status == "in_service":
            return min((now - body.since) / step, 1.0) if body.since > now - step else 1.0
        return 0.0


def _waiting(used: float, servers: float, service: float) -> float:
    """Return how long a request waits on average before one of `servers` takes it (Sakasegawa's approximation)."""
    if servers <= 0 or used <= 0:
        return 0.0
    used = min(used, 0.995)
    return float(service * used ** (sqrt(2 * (servers + 1)) - 1) / (servers * (1 - used)))
