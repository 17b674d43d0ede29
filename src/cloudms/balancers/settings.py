"""The settings of a balancer, as `balancer create` and a group's scaling file give them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from cloudms.errors import Invalid
from cloudms.names import nearest
from cloudms.record import Record
from cloudms.units import duration

MOST_SLOTS = 100_000
"""Requests that a member may work on at a time."""
_LONGEST_PATH = 200
_SHOWN = 60


class Settings(Record):
    """How a balancer works.

    `address` is where it listens (empty: a loopback address of its own) and `port` the port there; `member_port` is
    where the members' service listens. A member works on `slots` requests at a time, and there are `most` members at
    most. `check` is the path that a member answers with 200 while it is well (empty: it only has to accept a
    connection), looked at every `interval` seconds; `fall` failures in a row take it out and `rise` successes let it
    back. With `idempotent` any request may be done twice, so that one a dying member dropped is given to another, up to
    `retries` times. `connect`, `timeout` and `queue` are the seconds that a member has to accept a connection and to
    answer, and that a request waits for a slot; `hold` those that it waits while no member is ready at all.
    """

    address: str = ""
    port: int = 8080
    member_port: int = 8080
    slots: int = 4
    most: int = 250
    check: str = "/health"
    interval: float = 1.0
    fall: int = 2
    rise: int = 1
    idempotent: bool = False
    retries: int = 10
    connect: float = 2.0
    timeout: float = 60.0
    queue: float = 60.0
    hold: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises: Invalid."""
        for name, (least, greatest) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= greatest:
                text = f"{name} {str(value)[:_SHOWN]} is not between {least:g} and {greatest:g}"
                raise Invalid(text, hint=_HINT, details={"setting": name})
        if self.address:
            _check_address(self.address)
        plain = self.check.isascii() and self.check.isprintable() and not set(self.check) & set(" \"'\\#")
        if self.check and not (self.check.startswith("/") and plain and len(self.check) <= _LONGEST_PATH):
            hint = "for instance /health, or '' for a connection only"
            raise Invalid(f"check {self.check[:_SHOWN]!r} is no path", hint=hint, details={"setting": "check"})

    @classmethod
    def from_plain(cls, given: Mapping[str, Any]) -> Settings:
        """Return the settings of a plain dict, as YAML or options have it; None is not given.

        Raises: Invalid, naming the setting, the nearest known one in its hint.
        """
        values = {}
        for name, value in given.items():
            if name not in cls.field_names():
                close = nearest(str(name), cls.field_names())
                hint = f"did you mean '{close}'" if close else f"there are {', '.join(cls.field_names())}"
                raise Invalid(f"a balancer has no setting '{str(name)[:_SHOWN]}'", hint=hint, details={"setting": name})
            if value is not None:
                values[name] = _typed(name, value, cls._defaults[name])
        return cls(**values)

    def to_plain(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        return {name: value for name, value in self.to_document().items() if value != self._defaults[name]}


_HINT = "see the settings of a balancer in docs/balancer.md"
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "port": (1, 65535), "member_port": (1, 65535), "slots": (1, MOST_SLOTS), "most": (1, 4000), "interval": (0.1, 3600),
    "fall": (1, 100), "rise": (1, 100), "retries": (0, 100), "connect": (0.1, 600), "timeout": (0.1, 86400),
    "queue": (0.1, 86400), "hold": (0, 86400),
}  # fmt: skip


def _typed(name: str, value: Any, like: Any) -> Any:
    """Return a value as the type of a default; durations may be written as people do. Raises: Invalid."""
    if isinstance(like, float):
        try:
            return duration(value)
        except Invalid as error:
            raise Invalid(f"{name}: {error.message}", hint=error.hint, details={"setting": name}) from None
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        raise _wrong(name, value, "neither true nor false")
    if isinstance(like, str):
        if isinstance(value, str):
            return value
        raise _wrong(name, value, "no text")
    try:
        number = int(str(value))
    except ValueError:
        raise _wrong(name, value, "no whole number") from None
    return number


def _wrong(name: str, value: Any, why: str) -> Invalid:
    return Invalid(f"{name} {repr(value)[:_SHOWN]} is {why}", hint=_HINT, details={"setting": name})


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        hint = "for instance 127.87.0.1, or 0.0.0.0 for every address of this machine"
        text = f"{address[:_SHOWN]!r} is no address to listen on"
        raise Invalid(text, hint=hint, details={"setting": "address"}) from None
