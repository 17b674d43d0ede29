"""A member leaves: no new request, then its last answer, then it is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from cloudms.balancers.base import Balancer
from cloudms.clock import Clock
from cloudms.errors import NotFound

_LOOK = 0.1
"""Seconds from look to look at what it still works on."""


def leave(balancer: Balancer, name: str, seconds: float, clock: Clock, pause: Callable[[float], None]) -> int:
    """Drain a member, wait until it has answered what it has, and remove it; return how many requests it still had.

    Those go on, and are given to others when it goes before they are answered and the settings allow it. A member that
    is not there has left. Parameters: `seconds` to wait at most; `pause` waits, and may raise Interrupted.
    Raises: NotReady (the balancer is not up).
    """
    try:
        balancer.drain(name)
    except NotFound:
        return 0
    end = clock.monotonic() + seconds
    while left := _sessions(balancer, name):
        if clock.monotonic() >= end:
            break
        pause(_LOOK)
    balancer.remove(name)
    return left


def _sessions(balancer: Balancer, name: str) -> int:
    return sum(server.sessions + server.queue for server in balancer.servers() if server.name == name)
