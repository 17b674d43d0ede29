"""The contract of a store: documents, reservations, counters, leases and generations; nothing more.

Rules for every store (each has a case in tests/contracts/test_catalog.py):

- Every call is one transaction: after a kill it has happened wholly or not at all, and another process sees it at once.
- A document is a JSON object below (`kind`, `key`); the store adds `version`, which grows by one with every change.
- Fields the store knows inside a document: `cloud`, `name`, `region`, `labels` (text → text), `fetched`.
- No call waits on anything but the store itself, and several threads and processes may call at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.catalog.rows import Apart
from cloudms.record import Record

Document = Mapping[str, Any]


class Stored(Record):
    """A document as it stands in the store."""

    kind: str
    key: str
    document: dict[str, Any]
    version: int


class Scope(Record):
    """What a refresh covers: documents of one `kind` of one `cloud`, of one `region` and `query` when given."""

    kind: str
    cloud: str
    region: str = ""
    query: str = ""


class Generation(Record):
    """How complete and how old the last refresh of a scope is: `sealed` when its last run ended complete."""

    scope: Scope
    number: int
    started: float
    sealed: float | None = None


class Lease(Record):
    """A right held by one process for a time: `token` proves it, `expires` is epoch seconds."""

    name: str
    owner: str
    token: str
    expires: float


class Catalog(ABC):
    """A store. All times are epoch seconds handed in by the caller; the store has no clock."""

    @abstractmethod
    def get(self, kind: str, key: str) -> Stored | None:
        """Return one document, or None."""

    @abstractmethod
    def insert(self, kind: str, key: str, document: Document, *, event: Document | None = None) -> bool:
        """Store a document only when (`kind`, `key`) is free; return whether it was (names are reserved this way)."""

    @abstractmethod
    def insert_many(self, kind: str, documents: Mapping[str, Document]) -> list[str]:
        """Store, of documents by key, those whose keys are free; return these keys, in the order given."""

    @abstractmethod
    def put(self, kind: str, documents: Mapping[str, Document], *, events: Sequence[Document] = ()) -> int:
        """Store documents by key, writing only those that changed, together with `events`; return how many changed."""

    @abstractmethod
    def replace(self, kind: str, key: str, document: Document, *, version: int, event: Document | None = None) -> bool:
        """Store a document only when its version still is `version`; return whether it was."""

    @abstractmethod
    def delete(self, kind: str, keys: Iterable[str], *, events: Sequence[Document] = ()) -> int:
        """Delete documents together with writing `events`; absent ones are fine; return how many were there."""

    @abstractmethod
    def find(
        self,
        kind: str,
        *,
        cloud: str = "",
        name: str = "",
        labels: Mapping[str, str] | None = None,
        text: str = "",
        after: str = "",
        limit: int = 0,
        newest: bool = False,
    ) -> list[Stored]:
        """Return documents in the order of their keys (`newest`: of their insertion, last first).

        `labels` must all be there with these values; every word of `text` must occur somewhere in the document's
        name, id or searchable fields, whatever its case; `after` is the key of the last row seen; `limit` 0 is all.
        """

    @abstractmethod
    def count(self, kind: str, *, cloud: str = "") -> int:
        """Return how many documents there are."""

    @abstractmethod
    def clouds(self, kind: str) -> list[str]:
        """Return the clouds that documents of a kind stand on, sorted."""

    @abstractmethod
    def counter(self, name: str, *, add: int = 0, least: int = 0) -> int:
        """Add to a counter and return its new value; it starts at 0 and is never below `least` afterwards."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Return every counter by name."""

    @abstractmethod
    def acquire(self, name: str, owner: str, *, now: float, seconds: float) -> Lease | None:
        """Take or renew the lease `name`, or return None while another owner holds it."""

    @abstractmethod
    def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost meanwhile is left alone."""

    @abstractmethod
    def begin(self, scope: Scope, *, now: float) -> Generation:
        """Open a refresh of `scope` and return its generation, to be passed to `absorb` and `seal`."""

    @abstractmethod
    def absorb(self, generation: Generation, documents: Mapping[str, Document] | Apart) -> int:
        """Upsert rows as they arrive, stamped with the generation; return how many changed.

        Documents may have been taken apart before (`rows.take_all_apart`), which is most of the work.
        Rows that `put`, `insert` or `replace` wrote since the generation began are newer than the listing and stay.
        """

    @abstractmethod
    def seal(self, generation: Generation, *, now: float, prune: bool = True, alone: bool = True) -> list[Stored]:
        """End a complete refresh: forget and return the rows of its scope that it did not see.

        With `prune` False the rows are returned but kept, so that the caller decides. A generation that was overtaken
        by a younger one prunes nothing. Of a scope with a query these are the rows that it saw before and no other
        listing ever did; with `alone` False also those that others saw, for a query that a row never leaves.
        """

    @abstractmethod
    def generation(self, scope: Scope) -> Generation | None:
        """Return the last generation of `scope` that was sealed, or else the one that was begun, or None."""

    @abstractmethod
    def close(self) -> None:
        """Give back files and connections."""

    def walk(self, kind: str, *, cloud: str = "", page: int = 1000) -> Iterator[Stored]:
        """Yield every document of a kind page by page, with bounded memory."""
        after = ""
        while rows := self.find(kind, cloud=cloud, after=after, limit=page):
            yield from rows
            after = rows[-1].key
