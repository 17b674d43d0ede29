"""A schedule: at stated hours, in a stated time zone, no fewer than so many members."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Self

from cloudms import units
from cloudms.record import Record
from cloudms.scaling.base import Silence, View, Wish
from cloudms.scaling.reading import Section, shown
from cloudms.scaling.words import count_of
from cloudms.scaling.zones import zone, zone_of

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GROUPS = {"daily": DAYS, "weekdays": DAYS[:5], "weekend": DAYS[5:]}
EXAMPLE = "for instance: {days: mon-fri, at: '08:00', until: '18:00', size: 10}"


class Hours(Record):
    """From `at` until `until` (minutes after midnight) on `days`, which are words of DAYS or dates: `size` members.

    Hours that end before they begin reach into the next day.
    """

    days: tuple[str, ...]
    at: int
    until: int
    size: int
    text: str = ""

    def holds(self, when: datetime) -> bool:
        """Whether a local time is inside."""
        minute = when.hour * 60 + when.minute
        if self.at < self.until:
            return self._on(when.date()) and self.at <= minute < self.until
        today = self._on(when.date()) and minute >= self.at
        return today or (self._on(when.date() - timedelta(days=1)) and minute < self.until)

    def _on(self, day: date) -> bool:
        return DAYS[day.weekday()] in self.days or day.isoformat() in self.days

    def to_plain(self) -> dict[str, Any]:
        """Return it as YAML has it."""
        return {"days": self.text, "at": _clock(self.at), "until": _clock(self.until), "size": self.size}


class Schedule(Record):
    """`zone` is the time zone of all hours, `ahead` the seconds by which members are wanted earlier, to be up in time.

    Where hours overlap the largest size counts; outside of them it asks for `otherwise` members.
    """

    kind: ClassVar[str] = "schedule"
    metrics: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[float] = 0.0

    times: tuple[Hours, ...]
    zone: str = "UTC"
    ahead: float = 0.0
    otherwise: int = 0
    label: str = ""

    @property
    def name(self) -> str:
        """Return how sentences call it."""
        return self.label or "schedule"

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the policy with these settings. Raises: Invalid."""
        settings = Section(plain)
        settings.known("name", "zone", "times", "ahead", "otherwise")
        times = tuple(_hours(each) for each in settings.sections("times"))
        if not times:
            raise settings.wrong("has no hours", EXAMPLE, "times")
        return cls(
            times=times,
            zone=zone_of(settings),
            ahead=settings.seconds("ahead", 0.0),
            otherwise=settings.whole("otherwise", 0),
            label=settings.text("name", ""),
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as YAML has them."""
        plain: dict[str, Any] = {"zone": self.zone, "times": [each.to_plain() for each in self.times]}
        plain |= {"ahead": f"{units.plain(self.ahead)}s", "otherwise": self.otherwise}
        return plain | ({"name": self.label} if self.label else {})

    def wish(self, observed: View, size: int) -> Wish | Silence:
        """Return the largest size of the hours that it is, or will be in `ahead` seconds."""
        here_zone = zone(self.zone)
        here, soon = (datetime.fromtimestamp(at, here_zone) for at in (observed.now, observed.now + self.ahead))
        held = [each for each in self.times if each.holds(here) or each.holds(soon)]
        told = f"it is {here:%a %H:%M} in {self.zone}"
        if not held:
            return Wish(count=self.otherwise, reason=f"{told}, outside of all hours", exact=True)
        most = max(held, key=lambda each: each.size)
        word = "within" if most.holds(here) else "soon"
        hours = f"{word} {most.text} {_clock(most.at)} to {_clock(most.until)}"
        told += f", {hours} with {count_of(most.size, 'member')}"
        return Wish(count=most.size, reason=told, exact=True)


def _hours(section: Section) -> Hours:
    section.known("days", "at", "until", "size")
    at, until = _minute(section, "at"), _minute(section, "until")
    if at in (until, 24 * 60):
        raise section.wrong("ends when it begins", EXAMPLE)
    text, days = _days(section)
    return Hours(days=days, at=at, until=until, size=section.whole("size"), text=text)


def _days(section: Section) -> tuple[str, tuple[str, ...]]:
    value = section.plain.get("days", "daily")
    text = ",".join(str(each) for each in value) if isinstance(value, list | tuple) else str(value)
    found: list[str] = []
    for word in text.lower().replace(" ", "").split(","):
        meant = GROUPS.get(word) or _range(word) or _date(word)
        if not meant:
            hint = "mon-fri, sat, daily, weekend or 2026-12-24"
            raise section.wrong(f"has '{word[:40]}', which is no day", hint, "days")
        found += meant
    return text, tuple(dict.fromkeys(found))


def _range(word: str) -> tuple[str, ...]:
    first, _, last = word.partition("-")
    if first not in DAYS or (last or first) not in DAYS:
        return ()
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return tuple(DAYS[place % 7] for place in range(begin, end + 1 + 7 * (end < begin)))


def _date(word: str) -> tuple[str, ...]:
    try:
        return (date.fromisoformat(word).isoformat(),) if re.fullmatch(r"\d{4}-\d\d-\d\d", word) else ()
    except ValueError:
        return ()


def _minute(section: Section, key: str) -> int:
    value = section.plain.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 24 * 60:
        return value  # YAML reads 08:00 as the number of its minutes
    match = re.fullmatch(r"(\d{1,2}):(\d\d)", str(value or ""))
    if not match or int(match[1]) > 24 or int(match[2]) > 59 or (match[1] == "24" and match[2] != "00"):
        raise section.wrong(f"is {shown(value)} and no time of the day", f"for instance: {key}: '08:30'", key)
    return int(match[1]) * 60 + int(match[2])


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
