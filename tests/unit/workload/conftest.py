"""A store in memory, and services on loopback without anything that takes time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.workload.answers import Answer, SqliteAnswers
from cloudms.workload.service import Desk, PlateHandler, Refused, Server, Slots
from cloudms.workload.store import Store

TOKEN = "a-token-that-nobody-guesses"


class Memory:
    """A store as a member sees it; `lost` makes it answer nothing."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.lost = False

    def find(self, ident: str) -> dict[str, Any] | None:
        """Return the answer of an id."""
        if self.lost:
            raise Refused(503, "the store does not answer: it is lost")
        return self.answers.get(ident)

    def keep(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the first answer of an id."""
        if self.lost:
            raise Refused(503, "the store does not answer: it is lost")
        return dict(self.answers.setdefault(str(answer["id"]), dict(answer)))


@pytest.fixture
def memory() -> Memory:
    """Return a store in memory."""
    return Memory()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    """Return a store that listens, with its file in the folder of the test."""
    with Store(SqliteAnswers(tmp_path / "answers.sqlite"), TOKEN, clock=clock) as found:
        yield found


@contextmanager
def serving(desk: Desk) -> Iterator[str]:
    """Serve a desk on loopback and give its address."""
    server = Server(("127.0.0.1", 0), PlateHandler, desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def desk_of(store: Any, slots: int = 2, **more: Any) -> Desk:
    """Return a desk over a store."""
    return Desk(store, Slots(slots, wait=30.0), member="web-1", **more)


def answer(ident: str, member: str = "web-1", salt: str = "00" * 16, rounds: int = 1) -> Answer:
    """Return an answer to a request whose plate is KL-12-AB-3456."""
    from cloudms.workload.service import digest

    return Answer(id=ident, salt=salt, hash=digest("KL-12-AB-3456", salt, rounds), rounds=rounds, member=member)
