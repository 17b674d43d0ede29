"""The Idempotency-Key of a request: the same key means the same operation, for as long as its record is kept.

The key is written in one piece with the operation, as labels of it: a service that is killed between the two cannot
exist. A lease lets only one of several requests with a key go on at a time, whichever process has them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cloudms.doors.rest.asking import Question
from cloudms.doors.rest.desk import Desk
from cloudms.engine.operation import observed
from cloudms.engine.process import this_process
from cloudms.errors import Conflict, Invalid
from cloudms.model import Operation

LONGEST = 255
_HOLD_S = 120.0
"""Seconds after which the right to a key lapses when its holder was killed."""
_WAIT_S = 30.0
_LOOK_S = 0.05


class Once:
    """Knows which requests were made before."""

    def __init__(self, desk: Desk) -> None:
        self._catalog = desk.catalog
        self._clock = desk.first.clock

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Keep other requests with this key waiting. Raises: Conflict (the first one takes too long)."""
        # A lease is renewed for its owner, not refused: every request is an owner of its own.
        name, owner = f"request/{_short(key)}", f"{this_process()}/{secrets.token_hex(8)}"
        deadline = self._clock.monotonic() + _WAIT_S
        while (lease := self._catalog.acquire(name, owner, now=self._clock.now(), seconds=_HOLD_S)) is None:
            if self._clock.monotonic() > deadline:
                raise Conflict("a request with this Idempotency-Key is still being planned", hint="ask again later")
            self._clock.sleep(_LOOK_S)
        try:
            yield
        finally:
            self._catalog.release(lease)

    def known(self, key: str, asked: str) -> Operation | None:
        """Return the operation that was begun with this key, or None. Raises: Invalid (for something else)."""
        rows = self._catalog.find("operation", labels={_key(key): "yes"}, limit=1)
        if not rows:
            return None
        found = Operation.from_document(rows[0].document)
        if found.labels.get(_what(key)) != asked:
            raise Invalid(
                f"this Idempotency-Key belongs to {found.name}, another request",
                hint="take a new key for a new request",
            )
        return observed(found)

    def labels(self, key: str, asked: str) -> dict[str, str]:
        """Return what an operation is labelled with, to be found by its key; `asked` is the digest of the request."""
        return {_key(key): "yes", _what(key): asked}


def checked(key: str | None) -> str:
    """Return the key of a request, empty where it has none. Raises: Invalid."""
    if key is None:
        return ""
    if not 1 <= len(key) <= LONGEST or not all("!" <= letter <= "~" for letter in key):
        raise Invalid(f"an Idempotency-Key is 1 to {LONGEST} characters of ASCII, no spaces", hint="a UUID will do")
    return key


def _key(key: str) -> str:
    return f"request.{_short(key)}"


def _what(key: str) -> str:
    return f"request.{_short(key)}.content"


def _short(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def digest(path: str, question: Question) -> str:
    """Return what tells one request from another: where it goes, what it says and the content of its files."""
    words = {name: value for name, value in question.values.items() if not isinstance(value, Path)}
    found = sha256(f"{path} {json.dumps(words, sort_keys=True)}".encode("utf-8", "surrogatepass"))
    for name in sorted(question.values.keys() - words.keys()):
        found.update(f" {name} ".encode() + sha256(question.values[name].read_bytes()).digest())
    return found.hexdigest()[:32]
