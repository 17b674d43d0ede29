"""A pretended balancer: no process and no port, the same rules. It serves tests, documentation and dry runs.

`pretend` says what it is to have measured and which members are unwell; `ask` is a request that comes and is answered
at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudms.balancers import book
from cloudms.balancers.addresses import chosen
from cloudms.balancers.base import Balancer, Server, Stats
from cloudms.balancers.book import Book, Entry
from cloudms.errors import NotReady


class FakeBalancer(Balancer):
    """All that a balancer does, on paper: what it knows is in its book alone."""

    kind: ClassVar[str] = "fake"

    def up(self) -> None:
        """Say that it answers."""
        with book.locked(self.folder):
            now = book.read(self.folder)
            same = now.port == self.settings.port and self.settings.address in ("", now.address)
            where = now.address if same else chosen(self.folder, self.settings.address, self.settings.port)
            book.write(self.folder, now.with_(address=where, port=self.settings.port, more={**now.more, "up": True}))

    def down(self) -> None:
        """Forget everything."""
        with book.locked(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_up(self) -> bool:
        """Whether it was told to be."""
        return bool(book.read(self.folder).more.get("up"))

    @property
    def address(self) -> tuple[str, int]:
        """Return where it would listen."""
        return book.address(self.folder, self.name)

    def add(self, name: str, host: str, port: int, *, slots: int = 0) -> None:
        """Write a member down."""
        book.check_member(name, host, port, slots)
        entry = Entry(name=name, host=host, port=port, slots=slots or self.settings.slots)
        self._change(lambda now: now.placed(entry, self.settings.most))

    def ready(self, name: str) -> None:
        """Write down that it is given requests."""
        self._change(lambda now: now.wanting(name, "ready"))

    def drain(self, name: str) -> None:
        """Write down that it is given none."""
        self._change(lambda now: now.wanting(name, "draining"))

    def remove(self, name: str) -> None:
        """Strike it out."""
        self._change(lambda now: now.without(name))

    def servers(self) -> list[Server]:
        """Return the members, those that are pretended to be unwell among them."""
        return _servers(self.name, self._book())

    def stats(self, window: float = 10.0) -> Stats:
        """Return what it is pretended to have measured."""
        now = self._book()
        told: Mapping[str, Any] = now.more.get("stats", {})
        counts = {"requests": int(now.more.get("asked", 0)), **told}
        return Stats(at=self.clock.now(), window=window, servers=tuple(_servers(self.name, now)), **counts)

    def pretend(
        self, *, sick: Sequence[str] | None = None, sessions: Mapping[str, int] | None = None, **stats: Any
    ) -> None:
        """Let members be unwell, or work on so many requests, and `stats` (fields of Stats) have been measured."""

        def change(now: Book) -> Book:
            more = {**now.more, "stats": {**now.more.get("stats", {}), **stats}}
            more |= {} if sick is None else {"sick": list(sick)}
            more |= {} if sessions is None else {"sessions": dict(sessions)}
            return now.with_(more=more)

        self._change(change)

    def ask(self) -> str:
        """Return the member that answers a request that comes now. Raises: NotReady (not up, or nobody takes it)."""
        takers: list[str] = []

        def change(now: Book) -> Book:
            number = int(now.more.get("asked", 0))
            found = [server.name for server in _servers(self.name, now) if server.takes]
            takers[:] = found[number % len(found) :] if found else []
            return now.with_(more={**now.more, "asked": number + 1})

        self._change(change)
        if not takers:
            raise NotReady(f"no member of '{self.name}' is ready", hint=f"cms balancer stats {self.name}")
        return takers[0]

    def _book(self) -> Book:
        now = book.read(self.folder)
        if not now.more.get("up"):
            raise NotReady(f"the balancer of '{self.name}' is not up", hint=f"cms balancer start {self.name}")
        return now

    def _change(self, change: Any) -> None:
        with book.locked(self.folder):
            book.write(self.folder, change(self._book()))


def _servers(balancer: str, now: Book) -> list[Server]:
    sick, sessions = now.more.get("sick", ()), now.more.get("sessions", {})
    return [
        Server(
            name=entry.name, balancer=balancer, host=entry.host, port=entry.port, slots=entry.slots,
            status="down" if entry.wanted == "ready" and entry.name in sick else entry.wanted,
            check="pretended to be unwell" if entry.name in sick else "ok",
            sessions=int(sessions.get(entry.name, 0)),
        )
        for _name, entry in sorted(now.members.items())
    ]  # fmt: skip
