"""How a long list of images is cut into parts that are fetched at the same time.

EC2 gives a list page by page, each page naming the next, so one list is never faster than its pages one after another.
A filter on the creation date makes many lists of one. Two ways, the first that the service understands:

- `Seconds`: by the second of the minute in which an image was made. That is as good as dice, so the parts are of one
  size whatever the calendar looks like: a year or month in which most images were made changes nothing.
- `Months`: by year and month, for a service that knows `*` at the end of a pattern only. What turns out to be large is
  cut into months, days and hours.

A part is a tuple of patterns of which an image matches one. Filters:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html (creation-date, at most 200 values).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from string import ascii_letters, digits
from typing import ClassVar, Protocol

from cloudms.clock import iso

Part = tuple[str, ...]

UNDATED: Part = ("",)
"""Images without a date; a service that refuses to be asked for these has none."""
_ANY = ascii_letters + digits + " !\"#$%&'()+,-./:;<=>@[]^_{|}~"
"""What a text may begin or end with; the signs of patterns themselves are left out."""
VALUES = 200
"""Values that EC2 takes in one filter."""
_OLDEST = 2006
"""The year in which EC2 began."""
_RECENT = 30
"""How many months are a part of their own from the start."""
_MONTHS = [f"-{month:02d}" for month in range(1, 13)]
_DAYS = [f"-{day:02d}" for day in range(1, 32)]
_HOURS = [f"T{hour:02d}" for hour in range(24)]


class Cut(Protocol):
    """A way to cut a list."""

    name: ClassVar[str]

    def first(self, walkers: int, now: float) -> list[Part]:
        """Return the parts to begin with, for so many walkers, at `now` (epoch seconds)."""

    def smaller(self, part: Part) -> list[Part]:
        """Return what a part is cut into, or nothing when it stays whole."""

    def large(self, part: Part, pages: int, ended: Mapping[Part, int]) -> bool:
        """Whether a part that has more after so many `pages` is to be cut; `ended` has the pages of parts that have."""


class Seconds:
    """By the second in which an image was made."""

    name: ClassVar[str] = "seconds"

    def first(self, walkers: int, now: float) -> list[Part]:
        """Return a part per walker, the last one smaller, since its walker has something else to do before."""
        count = max(min(walkers, 60), 1)
        last = max(60 // count - 1, 1) if count > 1 else 0
        rest = [f"{second:02d}" for second in range(60 - last)]
        others = count - 1 if count > 1 else 1
        bounds = [len(rest) * nth // others for nth in range(others + 1)]
        groups = [rest[start:end] for start, end in pairwise(bounds)]
        groups.append([f"{second:02d}" for second in range(60 - last, 60)])
        return [*(_of_seconds(group) for group in groups if group), _odd_end(), UNDATED]

    def smaller(self, part: Part) -> list[Part]:
        """Return its seconds one by one, or one second by the last digit of its minute."""
        if not part[0][2:4].isdigit():
            return []
        if len(part) > 2:
            return [_of_seconds([second]) for second in dict.fromkeys(pattern[2:4] for pattern in part)]
        if part[0][1] == ":":
            return [tuple(f"*{digit}{pattern[1:]}" for pattern in part) for digit in digits]
        return []

    def large(self, part: Part, pages: int, ended: Mapping[Part, int]) -> bool:
        """Whether it is far larger than the others: chance makes no such difference."""
        usual = [number for other, number in ended.items() if other and other[0][2:4].isdigit()]
        return bool(usual) and pages > 2 * max(usual) + 2


class Months:
    """By the month in which an image was made."""

    name: ClassVar[str] = "months"

    def first(self, walkers: int, now: float) -> list[Part]:
        """Return the latest months, older years, and what has no such date."""
        year, month = (int(word) for word in str(iso(now)).split("-")[:2])
        newest = year * 12 + month  # one month ahead: clocks differ
        months = [(each // 12, each % 12 + 1) for each in range(newest, newest - _RECENT, -1)]
        whole = [*range(months[0][0] + 1, year + 2), *range(months[-1][0] - 1, _OLDEST - 1, -1)]
        begun = {y: [m for at, m in months if at == y] for y, _ in months}
        rest = [f"{y}-{m:02d}*" for y, known in begun.items() for m in range(1, 13) if m not in known]
        odd = [pattern for y in begun for pattern in _between(str(y), _MONTHS)]
        odd += _between("2", [f"{y}"[1:] for y in (*whole, *begun)])
        parts = [(f"{y}-{m:02d}*",) for y, m in months] + [(f"{y}*",) for y in whole]
        odd += [f"{sign}*" for sign in _ANY if sign != "2"]
        return [*parts, tuple(rest), *(tuple(odd[at : at + VALUES]) for at in range(0, len(odd), VALUES)), UNDATED]

    def smaller(self, part: Part) -> list[Part]:
        """Return the months of a year, the days of a month, or the hours of a day, and what lies between."""
        if len(part) > 1:
            return [(pattern,) for pattern in part]
        stem = part[0].removesuffix("*")
        fine = {4: _MONTHS, 7: _DAYS, 10: _HOURS}.get(len(stem)) if part[0].endswith("*") else None
        if fine is None or not stem.startswith("20"):
            return []
        return [*((f"{stem}{word}*",) for word in fine), tuple(_between(stem, fine))]

    def large(self, part: Part, pages: int, ended: Mapping[Part, int]) -> bool:
        """Whether it is: a year is at once, a month or day after three pages."""
        return pages >= (1 if len(part[0]) == 5 else 3)


CUTS: dict[str, Cut] = {cut.name: cut for cut in (Seconds(), Months())}
"""The ways to cut a list, the best first."""


def _of_seconds(seconds: list[str]) -> Part:
    """Return the patterns of seconds: with a fraction, and without one."""
    return tuple(pattern for second in seconds for pattern in (f"*:{second}.*", f"*:{second}Z"))


def _odd_end() -> Part:
    """Return the patterns of what does not end like a time: no Z, or no digit before it, or no colon before that."""
    other = ("Z", "*:60.*", "*:60Z", "*T??????Z", "*-??Z")
    return (
        *other,
        *(f"*{sign}" for sign in _ANY if sign != "Z"),
        *(f"*{sign}Z" for sign in _ANY if not sign.isdigit()),
    )


def _between(stem: str, words: list[str]) -> list[str]:
    """Return patterns of what begins with `stem` but goes on with none of `words`; signs other than digits are few."""
    found = [stem]
    branches: dict[str, set[str]] = {}
    for word in words:
        for length in range(len(word)):
            branches.setdefault(word[:length], set()).add(word[length])
    for begin, following in branches.items():
        found += [stem + begin] if begin else []
        found += [f"{stem}{begin}{sign}*" for sign in f"{digits}- T:/." if sign not in following]
    return list(dict.fromkeys(found))
