"""How much is asked over time: a rate that stays, steps, a ramp, a day; and the moments at which requests are due.

Everything here is arithmetic without a clock: `due` gives seconds from the beginning, the same for the same numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from random import Random

from cloudms.errors import Invalid
from cloudms.units import duration

_HALVINGS = 40
MOST = 100_000.0
"""Requests per second that no machine sends; more is a slip."""


class Profile(ABC):
    """Requests per second over time; `length` are its seconds, infinite when it goes on until it is stopped."""

    length: float

    @abstractmethod
    def rate(self, at: float) -> float:
        """Return the requests per second that are asked for `at` seconds after the beginning."""

    @abstractmethod
    def area(self, at: float) -> float:
        """Return how many requests are due in the first `at` seconds."""

    def due(self, random: Random | None = None) -> Iterator[float]:
        """Yield when each request is due, in seconds; evenly spaced, or with `random` as people come: at random."""
        target, before = 0.0, 0.0
        while True:
            target += 1.0 if random is None else random.expovariate(1.0)
            moment = self._when(target, before)
            if moment is None:
                return
            yield moment
            before = moment

    def _when(self, target: float, after: float) -> float | None:
        """Return the first moment at which the area reaches `target`, or None: it never does."""
        high, step = after, 1.0
        while self.area(high) < target - 1e-9:
            if high >= self.length:
                return None
            high, step = min(high + step, self.length), step * 2
        low = after
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.area(middle) < target - 1e-9:
                low = middle
            else:
                high = middle
        return high


class Pieces(Profile):
    """Straight lines, one after the other: each with its seconds, and the rates it begins and ends with."""

    def __init__(self, pieces: Sequence[tuple[float, float, float]]) -> None:
        self._pieces = tuple(pieces)
        starts, areas = [0.0], [0.0]
        for seconds, first, last in pieces:
            starts.append(starts[-1] + seconds)
            areas.append(areas[-1] + (seconds * (first + last) / 2 if math.isfinite(seconds) else math.inf))
        self._starts, self._areas = starts, areas
        self.length = starts[-1]

    def _at(self, at: float) -> int:
        """Return the number of the piece that holds at a moment."""
        return min(bisect_right(self._starts, at), len(self._pieces)) - 1

    def rate(self, at: float) -> float:
        """Return the rate on the line."""
        seconds, first, last = self._pieces[self._at(at)]
        if not 0 <= at <= self.length:
            return 0.0
        return first if first == last else first + (last - first) * (at - self._starts[self._at(at)]) / seconds

    def area(self, at: float) -> float:
        """Return the area below the lines."""
        at = min(max(at, 0.0), self.length)
        index = self._at(at)
        passed = at - self._starts[index]
        return self._areas[index] + passed * (self._pieces[index][1] + self.rate(at)) / 2


class Day(Profile):
    """A day in `length` seconds: `low` at its beginning and its end, which are night, `high` at noon, round between."""

    def __init__(self, low: float, high: float, length: float) -> None:
        self.length = length
        self._low, self._high = low, high

    def rate(self, at: float) -> float:
        """Return the rate at that hour."""
        if not 0 <= at <= self.length:
            return 0.0
        return self._low + (self._high - self._low) * (1 - math.cos(2 * math.pi * at / self.length)) / 2

    def area(self, at: float) -> float:
        """Return the area below the curve."""
        at = min(max(at, 0.0), self.length)
        turn = 2 * math.pi / self.length
        return self._low * at + (self._high - self._low) * (at - math.sin(turn * at) / turn) / 2


def constant(rate: float, length: float = math.inf) -> Profile:
    """Return a rate that stays. Raises: Invalid."""
    return Pieces([(length, _rate(rate), _rate(rate))])


def steps(text: str) -> Profile:
    """Return the steps of `5:60,20:2m`: requests per second, and for how long each. Raises: Invalid."""
    pieces = []
    for part in text.split(","):
        rate, colon, seconds = part.partition(":")
        length = duration(seconds) if colon and seconds.strip() else 0.0
        if not length:
            raise Invalid(f"'{part}' is no step", hint="RATE:DURATION, such as --steps 5:60,20:2m,5:60")
        pieces.append((length, _number(rate), _number(rate)))
    return Pieces(pieces)


def ramp(text: str, length: float) -> Profile:
    """Return the ramp of `1:50`, from the first rate to the second in `length` seconds. Raises: Invalid."""
    first, last = _pair(text, "--ramp 1:50")
    return Pieces([(_finite(length, "--ramp"), first, last)])


def day(text: str, length: float) -> Profile:
    """Return the day of `2:40`, night and noon, in `length` seconds. Raises: Invalid."""
    low, high = _pair(text, "--day 2:40")
    return Day(low, high, _finite(length, "--day"))


def _pair(text: str, example: str) -> tuple[float, float]:
    first, colon, last = text.partition(":")
    if not colon:
        raise Invalid(f"'{text}' are not two rates", hint=f"for instance {example}")
    return _number(first), _number(last)


def _finite(length: float, option: str) -> float:
    if not math.isfinite(length):
        raise Invalid(f"{option} needs an end", hint="for instance --for 10m")
    return length


def _number(text: str) -> float:
    try:
        return _rate(float(text))
    except ValueError:
        raise Invalid(f"'{text}' is no number of requests per second", hint="for instance 5 or 0.5") from None


def _rate(rate: float) -> float:
    if not 0 <= rate <= MOST:  # false for NaN, too
        raise Invalid(f"{rate:g} is no number of requests per second", hint=f"0 to {MOST:,.0f}")
    return rate
