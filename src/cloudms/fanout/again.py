"""Connecting again where a host closes the door before it has greeted: its sshd has too many at once (MaxStartups)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

Made = TypeVar("Made")

TRIES = 5
"""How often one connection is tried."""
FIRST_S = 0.25
"""Seconds before the second try, on the average; each further one waits twice as long."""


class TurnedAway(Exception):
    """The host closed the connection before it said anything of SSH. Parameters: `times`, how often it did."""

    def __init__(self, why: object, times: int = 1) -> None:
        super().__init__(str(why))
        self.times = times


async def again(connect: Callable[[float], Awaitable[Made]], seconds: float) -> Made:
    """Connect, some times if the host turns us away, and return what was made.

    The waits differ by chance, so that many who were turned away at once do not come back at once. `connect` is told
    how many of all `seconds` are left. Raises: TurnedAway (by every try), and what `connect` raises.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    for tried in range(1, TRIES + 1):
        try:
            return await connect(max(end - loop.time(), 0.1))
        except TurnedAway as error:
            pause = FIRST_S * 2 ** (tried - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (nothing secret)
            if tried == TRIES or loop.time() + pause >= end:
                raise TurnedAway(error, tried) from None
        await asyncio.sleep(pause)
    raise AssertionError("the last try returns or raises")
