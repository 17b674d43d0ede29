"""A catalog in the memory of one process: for tests, and for whoever wants nothing kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from threading import RLock

from cloudms.catalog.base import Catalog, Document, Generation, Lease, Scope, Stored
from cloudms.catalog.rows import (
    EVENT,
    Apart,
    Row,
    event_key,
    label_terms,
    put_together,
    search_terms,
    take_all_apart,
    take_apart,
    take_events_apart,
)
from cloudms.errors import NotFound


class MemoryCatalog(Catalog):
    """A catalog that threads share and that ends with its object."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._kinds: dict[str, dict[str, _Entry]] = {}
        self._counters: dict[str, int] = {}
        self._leases: dict[str, Lease] = {}
        self._begun: dict[_Identity, Generation] = {}
        self._sealed: dict[_Identity, Generation] = {}
        self._written = 0
        self._youngest = 0

    def get(self, kind: str, key: str) -> Stored | None:
        """Return one document, or None."""
        with self._lock:
            entry = self._kind(kind).get(key)
            return entry.stored(kind) if entry else None

    def insert(self, kind: str, key: str, document: Document, *, event: Document | None = None) -> bool:
        """Store a document only when (`kind`, `key`) is free; return whether it was."""
        row, events = take_apart(kind, key, document), take_events_apart([event])
        with self._lock:
            if key in self._kind(kind):
                return False
            self._write(kind, key, row)
            self._tell(events)
            return True

    def insert_many(self, kind: str, documents: Mapping[str, Document]) -> list[str]:
        """Store, of documents by key, those whose keys are free; return these keys, in the order given."""
        rows = take_all_apart(kind, documents)
        with self._lock:
            free = [key for key in rows if key not in self._kind(kind)]
            for key in free:
                self._write(kind, key, rows[key])
            return free

    def put(self, kind: str, documents: Mapping[str, Document], *, events: Sequence[Document] = ()) -> int:
        """Store documents by key, writing only those that changed, together with `events`; return how many changed."""
        rows, told = take_all_apart(kind, documents), take_events_apart(events)
        with self._lock:
            changed = sum(self._upsert(kind, key, row) for key, row in rows.items())
            self._tell(told)
            return changed

    def replace(self, kind: str, key: str, document: Document, *, version: int, event: Document | None = None) -> bool:
        """Store a document only when its version still is `version`; return whether it was; it always is a change."""
        row, events = take_apart(kind, key, document), take_events_apart([event])
        with self._lock:
            entry = self._kind(kind).get(key)
            if entry is None or entry.version != version:
                return False
            self._write(kind, key, row)
            self._tell(events)
            return True

    def delete(self, kind: str, keys: Iterable[str], *, events: Sequence[Document] = ()) -> int:
        """Delete documents together with writing `events`; absent ones are fine; return how many were there."""
        wanted, told = list(keys), take_events_apart(events)
        with self._lock:
            gone = sum(self._kind(kind).pop(key, None) is not None for key in wanted)
            self._tell(told)
            return gone

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

        Raises NotFound when `newest` is to go on after a row that is gone.
        """
        words, tags = search_terms(text), label_terms(labels)
        with self._lock:
            rows = self._ordered(kind, after, newest)
            found = (entry.stored(kind) for entry in rows if entry.matches(cloud, name, tags, words))
            return list(islice(found, limit or None))

    def count(self, kind: str, *, cloud: str = "") -> int:
        """Return how many documents there are."""
        with self._lock:
            return sum(entry.matches(cloud, "", [], []) for entry in self._kind(kind).values())

    def clouds(self, kind: str) -> list[str]:
        """Return the clouds that documents of a kind stand on, sorted."""
        with self._lock:
            return sorted({entry.row[0] for entry in self._kind(kind).values() if entry.row[0]})

    def counter(self, name: str, *, add: int = 0, least: int = 0) -> int:
        """Add to a counter and return its new value; it starts at 0 and is never below `least` afterwards."""
        with self._lock:
            old = self._counters.get(name, 0)
            new = max(old + add, least)
            if new != old or add:
                self._counters[name] = new
            return new

    def counters(self) -> dict[str, int]:
        """Return every counter by name."""
        with self._lock:
            return dict(sorted(self._counters.items()))

    def acquire(self, name: str, owner: str, *, now: float, seconds: float) -> Lease | None:
        """Take or renew the lease `name`, or return None while another owner holds it; renewing keeps the token."""
        with self._lock:
            held = self._leases.get(name)
            if held is not None and held.expires <= now:
                held = None
            if held is not None and held.owner != owner:
                return None
            token = held.token if held else os.urandom(16).hex()
            self._leases[name] = Lease(name=name, owner=owner, token=token, expires=now + seconds)
            return self._leases[name]

    def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost meanwhile is left alone."""
        with self._lock:
            held = self._leases.get(lease.name)
            if held is not None and held.token == lease.token:
                del self._leases[lease.name]

    def begin(self, scope: Scope, *, now: float) -> Generation:
        """Open a refresh of `scope` and return its generation, to be passed to `absorb` and `seal`."""
        with self._lock:
            self._youngest += 1
            begun = Generation(scope=scope, number=self._youngest, started=now)
            self._begun[_identity(scope)] = begun
            return begun

    def absorb(self, generation: Generation, documents: Mapping[str, Document] | Apart) -> int:
        """Upsert rows as they arrive, stamped with the generation; return how many changed."""
        scope, identity = generation.scope, _identity(generation.scope)
        rows = take_all_apart(scope.kind, documents)
        with self._lock:
            changed = sum(self._upsert(scope.kind, key, row, generation.number) for key, row in rows.items())
            for key in rows:
                self._kind(scope.kind)[key].seen[identity] = generation.number
            return changed

    def seal(self, generation: Generation, *, now: float, prune: bool = True, alone: bool = True) -> list[Stored]:
        """End a complete refresh: forget (when `prune`) and return the rows of its scope that it did not see."""
        kind, identity = generation.scope.kind, _identity(generation.scope)
        with self._lock:
            sealed = self._sealed.get(identity)
            if sealed is None or sealed.number <= generation.number:
                self._sealed[identity] = generation.with_(sealed=now)
            begun = self._begun.get(identity)
            if begun is None or begun.number != generation.number:
                return []
            missing = [entry for entry in self._ordered(kind, "", False) if entry.missed_by(generation)]
            shared = not alone or not generation.scope.query
            gone = [entry for entry in missing if shared or entry.seen.keys() == {identity}]
            if prune:
                for entry in missing:
                    entry.seen.pop(identity, None)
                for entry in gone:
                    del self._kind(kind)[entry.key]
            return [entry.stored(kind) for entry in gone]

    def generation(self, scope: Scope) -> Generation | None:
        """Return the last generation of `scope` that was sealed, or else the one that was begun, or None."""
        with self._lock:
            return self._sealed.get(_identity(scope)) or self._begun.get(_identity(scope))

    def close(self) -> None:
        """Do nothing: there are no files and connections."""

    def _kind(self, kind: str) -> dict[str, _Entry]:
        return self._kinds.setdefault(kind, {})

    def _write(self, kind: str, key: str, row: Row, since: int = 0) -> None:
        entry = self._kind(kind).get(key)
        if entry is None:
            self._written += 1
            entry = self._kind(kind)[key] = _Entry(key, self._written)
        entry.row, entry.version = row, entry.version + 1
        entry.stamp(self._youngest, since)

    def _upsert(self, kind: str, key: str, row: Row, since: int = 0) -> bool:
        entry = self._kind(kind).get(key)
        if entry is not None and since and entry.written >= since:
            return False
        if entry is None or entry.row[6] != row[6]:
            self._write(kind, key, row, since)
            return True
        entry.row = row
        entry.stamp(self._youngest, since)
        return False

    def _tell(self, events: list[Row]) -> None:
        for row in events:
            self._write(EVENT, event_key(self._written + 1), row)

    def _ordered(self, kind: str, after: str, newest: bool) -> Iterator[_Entry]:
        entries = self._kind(kind)
        if not newest:
            return iter([entries[key] for key in sorted(entries) if key > after])
        if after and after not in entries:
            raise NotFound(f"the {kind} '{after}' after which to go on is gone", hint="list again from the start")
        place = entries[after].place if after else self._written + 1
        rest = [entry for entry in entries.values() if entry.place < place]
        return iter(sorted(rest, key=lambda entry: -entry.place))


class _Entry:
    """A row with its stamps: its place in the order of insertion, and the last generation of each scope that saw it."""

    __slots__ = ("key", "place", "row", "seen", "touched", "version", "written")

    def __init__(self, key: str, place: int) -> None:
        self.key = key
        self.place = place
        self.row: Row = ("", "", "", None, "", "", "{}")
        self.version = 0
        self.touched = 0
        self.written = 0
        self.seen: dict[_Identity, int] = {}

    def stamp(self, youngest: int, since: int) -> None:
        """Note a write: a direct one, or one of the listing with the number `since`."""
        self.touched = youngest
        if not since:
            self.written = youngest

    def stored(self, kind: str) -> Stored:
        """Return the document, which is the reader's own."""
        return Stored(kind=kind, key=self.key, document=put_together(self.row[6], self.row[3]), version=self.version)

    def matches(self, cloud: str, name: str, tags: list[str], words: list[str]) -> bool:
        """Whether the row is one that was asked for."""
        if (cloud and self.row[0] != cloud) or (name and self.row[1] != name):
            return False
        return all(tag in self.row[4] for tag in tags) and all(word in self.row[5] for word in words)

    def missed_by(self, generation: Generation) -> bool:
        """Whether the row is of the generation's scope and nothing wrote it since the generation began."""
        scope = generation.scope
        if self.touched >= generation.number:
            return False
        if scope.query:
            return self.seen.get(_identity(scope), generation.number) < generation.number
        return self.row[0] == scope.cloud and scope.region in ("", self.row[2])


_Identity = tuple[str, str, str, str]


def _identity(scope: Scope) -> _Identity:
    return scope.kind, scope.cloud, scope.region, scope.query
