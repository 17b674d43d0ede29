"""Loads for the simulation: requests per second over time, made up from a shape or read from a file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from math import cos, isfinite, pi
from pathlib import Path
from random import Random

from cloudms.errors import Invalid, NotFound
from cloudms.names import nearest
from cloudms.record import Record

MIDNIGHT = 1_700_006_400.0
"""When a simulated day begins: a Wednesday, 00:00 UTC."""
DAY = 86400.0
_LONGEST = 41_000
"""Steps of a trace: four weeks of minutes."""


class Trace(Record):
    """`rates` are requests per second, each for `step` seconds, from `start` (epoch seconds) on."""

    name: str
    step: float
    rates: tuple[float, ...]
    start: float = MIDNIGHT

    @property
    def most(self) -> float:
        """Return the largest rate."""
        return max(self.rates, default=0.0)


def _day(at: float) -> float:
    """Return a working day: little at night, a peak before noon and a lower one in the afternoon."""
    hour = at % 1.0 * 24
    morning, evening = _bump(hour, 11.0, 4.0), 0.8 * _bump(hour, 16.5, 4.5)
    return 0.1 + 0.9 * max(morning, evening, 0.35 * _bump(hour, 21.0, 4.0))


def _bump(hour: float, middle: float, width: float) -> float:
    off = abs(hour - middle) / width
    return (1 + cos(pi * off)) / 2 if off < 1 else 0.0


def _steps(at: float) -> float:
    return (0.2, 0.5, 1.0, 0.7, 0.4, 0.9, 0.3, 0.1)[int(at % 1.0 * 8)]


def _spike(at: float) -> float:
    hour = at % 1.0 * 24
    return 1.0 if 12.0 <= hour < 12.5 else 0.15


def _ramp(at: float) -> float:
    part = at % 1.0
    return 0.1 + 1.8 * min(part, 1 - part)


SHAPES: dict[str, tuple[Callable[[float], float], str]] = {
    "day": (_day, "a working day: little at night, peaks before noon and in the afternoon"),
    "steps": (_steps, "a new level every three hours"),
    "spike": (_spike, "quiet, but for half an hour at noon"),
    "ramp": (_ramp, "slowly up until noon, and down again"),
    "flat": (lambda _at: 0.6, "always the same"),
}
"""The shapes there are: from the part of the day to the part of the largest rate, and what each is like."""


def shaped(name: str, most: float, *, days: int = 1, step: float = 60.0, seed: int = 1, noise: float = 0.05) -> Trace:
    """Return the trace of a shape.

    Parameters: `most`, the requests per second at its height; `step` in seconds; `noise`, the part by which single
    steps differ (0.05 is 5 %), drawn with `seed`. Raises: NotFound (no such shape), Invalid (too many steps).
    """
    if name not in SHAPES:
        close = nearest(name, list(SHAPES))
        hint = f"did you mean '{close}'?" if close else f"a file, or one of: {', '.join(SHAPES)}"
        raise NotFound(f"there is no load of the shape '{name[:60]}'", hint=hint)
    shape, random = SHAPES[name][0], Random(seed)  # noqa: S311 (no secret)
    count = int(days * DAY / step)
    if count > _LONGEST:
        raise Invalid(f"{days} days in steps of {step:g}s are {count} steps", hint="choose longer steps or fewer days")
    rates = (max(most * shape(each * step / DAY) * (1 + random.gauss(0, noise)), 0.0) for each in range(count))
    return Trace(name=name, step=step, rates=tuple(rates))


def read(file: Path, *, step: float = 60.0) -> Trace:
    """Return the trace of a CSV file with a time (seconds, or RFC 3339) and requests per second in each line.

    Parameters: `step` in seconds; a rate lasts until the next line. Raises: NotFound, Invalid, naming the line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"there is no file {file}", hint=f"or name a shape: {', '.join(SHAPES)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read: {error}", hint="it is a CSV file: time,requests") from None
    points = _points(file, text)
    start = points[0][0]
    count = int((points[-1][0] - start) / step) + 1
    if count > _LONGEST:
        raise Invalid(f"{file} has {count} steps of {step:g}s", hint="choose longer steps")
    rates, place = [], 0
    for number in range(count):
        while place + 1 < len(points) and points[place + 1][0] <= start + number * step:
            place += 1
        rates.append(points[place][1])
    return Trace(name=file.stem, step=step, rates=tuple(rates), start=start if start > DAY * 366 else MIDNIGHT + start)


def _points(file: Path, text: str) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if not row or row[0].lstrip().startswith("#") or (number == 1 and not _is_time(row[0])):
            continue
        try:
            at, rate = _time(row[0]), float(row[1])
        except (ValueError, IndexError):
            hint = "each line is a time and requests per second: 60,12.5"
            raise Invalid(f"{file}, line {number}: {','.join(row)[:60]!r} is no measurement", hint=hint) from None
        if not isfinite(rate) or rate < 0:
            raise Invalid(f"{file}, line {number}: {rate:g} requests per second cannot be", hint="0 or more")
        points.append((at, rate))
    if not points:
        raise Invalid(f"{file} has no measurement", hint="each line is a time and requests per second: 60,12.5")
    return sorted(points)


def _is_time(text: str) -> bool:
    try:
        _time(text)
    except ValueError:
        return False
    return True


def _time(text: str) -> float:
    plain = text.strip()
    try:
        found = float(plain)
    except ValueError:
        when = datetime.fromisoformat(plain.replace("Z", "+00:00"))
        found = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not isfinite(found):
        raise ValueError(plain)
    return found
