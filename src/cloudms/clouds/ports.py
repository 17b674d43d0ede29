"""Ports that are opened for a VM, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cloudms.errors import Invalid
from cloudms.record import Record

SSH = 22
_MOST_PORTS = 60
"""Rules of one group, as accounts of AWS have it by default; projects of OpenStack have 100 rules in all."""


class Port(Record):
    """Ports `low` to `high` of tcp or udp."""

    low: int
    high: int
    protocol: str = "tcp"


def ports(wanted: Any) -> list[Port]:
    """Return the ports of the option `open`: numbers, `8000-8010`, `53/udp`, a list of them or text with commas.

    Raises: Invalid.
    """
    if wanted is None or wanted == "":
        return []
    given: Iterable[Any] = wanted if isinstance(wanted, list | tuple) else str(wanted).split(",")
    distinct = {(port.low, port.high, port.protocol): port for port in (_port(str(each).strip()) for each in given)}
    found = list(distinct.values())  # clouds refuse a rule that is said twice
    if len(found) > _MOST_PORTS:
        raise Invalid(f"{len(found)} ports are more than a security group takes", hint="write ranges: 8000-8010")
    return [port for port in found if (port.low, port.high, port.protocol) != (SSH, SSH, "tcp")]


def numbers(wanted: Any) -> list[int]:
    """Return the TCP ports of the option `open` one by one, for clouds that forward each. Raises: Invalid."""
    found: list[int] = []
    for port in ports(wanted):
        if port.protocol != "tcp":
            raise Invalid(f"{port.protocol} is not forwarded", hint="open TCP ports, such as 80")
        found += range(port.low, port.high + 1)
        if len(found) > _MOST_PORTS:
            raise Invalid(f"more than {_MOST_PORTS} ports are not forwarded", hint="open those that are listened to")
    return list(dict.fromkeys(found))


def _port(text: str) -> Port:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?", text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if found is None or not 1 <= low <= high <= 65535:
        raise Invalid(f"{text!r} is not a port", hint="for instance 80, 8000-8010 or 53/udp")
    return Port(low=low, high=high, protocol=found[3] or "tcp")
