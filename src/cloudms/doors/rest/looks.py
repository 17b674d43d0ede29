"""What lists were like when their first page was asked for, so that the pages after it cost nothing and fit to it.

A list may ask every cloud, or be made of a hundred thousand images: that is done once and not for each page. Kept for
a short time only, and never needed: a page whose look is gone is found by its cursor in a new one.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from cloudms.clock import Clock
from cloudms.engine.plan import Listing
from cloudms.record import Record

_KEPT_S = 120.0
_MOST = 16
_LARGEST = 400_000
"""How many looks are kept, and how many things all of them may have together."""


class _Look(Record):
    listing: Listing
    question: str
    until: float


class Looks:
    """The last lists that had more than one page."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Look] = {}
        self._lock = threading.Lock()

    def keep(self, path: str, values: Mapping[str, Any], listing: Listing) -> str:
        """Keep a list for the pages to come, and return the name it is found by."""
        name = secrets.token_hex(6)
        look = _Look(listing=listing, question=_question(path, values), until=self._clock.monotonic() + _KEPT_S)
        with self._lock:
            self._known[name] = look
            self._tidy()
        return name

    def find(self, name: str, path: str, values: Mapping[str, Any]) -> Listing | None:
        """Return a list that was kept for the same question, or None."""
        with self._lock:
            self._tidy()
            look = self._known.get(name)
        return look.listing if look and look.question == _question(path, values) else None

    def _tidy(self) -> None:
        now = self._clock.monotonic()
        self._known = {name: look for name, look in self._known.items() if look.until > now}
        while len(self._known) > _MOST or sum(len(look.listing.items) for look in self._known.values()) > _LARGEST:
            del self._known[next(iter(self._known))]


def _question(path: str, values: Mapping[str, Any]) -> str:
    return f"{path} {sorted(values.items())!r}"
