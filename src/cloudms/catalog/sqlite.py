"""The catalog of one person on one machine: an SQLite file that any number of processes and threads share."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType

from cloudms.catalog import sqlite_rows as rows_of
from cloudms.catalog.base import Catalog, Document, Generation, Lease, Scope, Stored
from cloudms.catalog.rows import Apart, label_terms, search_terms, take_all_apart, take_apart, take_events_apart
from cloudms.catalog.sqlite_file import connect, explain
from cloudms.catalog.sqlite_find import Asked
from cloudms.catalog.sqlite_rows import SELECT, identity, number, stored, tell
from cloudms.clock import Clock, SystemClock
from cloudms.errors import Timeout

_AGAIN = "ask again; one call holds the lock only while it writes"
_NEXT_CLOUD = "SELECT min(cloud) FROM document WHERE kind = ? AND cloud > ?"
_COUNTER = "SELECT coalesce((SELECT value FROM counter WHERE name = ?), 0)"
_MANY = 500
"""Rows of one call that make it part of a long list."""
_inherited: list[list[sqlite3.Connection]] = []


class SqliteCatalog(Catalog):
    """A catalog in the file `path`, which is made when it is first used.

    Parameters: `path`, the file; `clock`, dates the migrations and waits while the file is made; `patience`, seconds
    to wait for another process's lock.
    Raises, from every method: Timeout, Denied, NoCapacity, NotReady, Invalid (damaged), Conflict (a newer schema).
    """

    def __init__(self, path: str | Path, *, clock: Clock | None = None, patience: float = 30.0) -> None:
        self.path = Path(path)
        self._clock = clock or SystemClock()
        self.patience = patience
        self._idle: list[sqlite3.Connection] = []
        self._process = os.getpid()
        self.writing = Lock()  # threads wait here in a line; SQLite's own waiting, between processes, sleeps and polls

    def get(self, kind: str, key: str) -> Stored | None:
        """Return one document, or None."""
        with _Use(self) as db:
            row = db.execute(f"{SELECT} WHERE d.kind = ? AND d.key = ?", (kind, key)).fetchone()
        return stored(kind, row) if row else None

    def insert(self, kind: str, key: str, document: Document, *, event: Document | None = None) -> bool:
        """Store a document only when (`kind`, `key`) is free; return whether it was."""
        row, events = take_apart(kind, key, document), take_events_apart([event])
        with _Use(self, write=True) as db:
            if db.execute("SELECT 1 FROM document WHERE kind = ? AND key = ?", (kind, key)).fetchone():
                return False
            rows_of.add(db, kind, {key: row})
            tell(db, events)
        return True

    def insert_many(self, kind: str, documents: Mapping[str, Document]) -> list[str]:
        """Store, of documents by key, those whose keys are free; return these keys, in the order given."""
        rows = take_all_apart(kind, documents)
        if not rows:
            return []
        taken = "SELECT 1 FROM document WHERE kind = ? AND key = ?"
        with _Use(self, write=True) as db:
            free = {key: row for key, row in rows.items() if db.execute(taken, (kind, key)).fetchone() is None}
            rows_of.add(db, kind, free)
        return list(free)

    def put(self, kind: str, documents: Mapping[str, Document], *, events: Sequence[Document] = ()) -> int:
        """Store documents by key, writing only those that changed, together with `events`; return how many changed."""
        rows, told = take_all_apart(kind, documents), take_events_apart(events)
        if not rows and not told:
            return 0
        with _Use(self, write=True) as db:
            changed = rows_of.upsert(db, kind, rows)
            tell(db, told)
        return changed

    def replace(self, kind: str, key: str, document: Document, *, version: int, event: Document | None = None) -> bool:
        """Store a document only when its version still is `version`; return whether it was.

        It always counts as a change: of two callers that saw the same version exactly one wins.
        """
        row, events = take_apart(kind, key, document), take_events_apart([event])
        with _Use(self, write=True) as db:
            found = db.execute("SELECT version, id FROM document WHERE kind = ? AND key = ?", (kind, key)).fetchone()
            if found is None or found[0] != version:
                return False
            rows_of.change(db, {found[1]: row})
            tell(db, events)
        return True

    def delete(self, kind: str, keys: Iterable[str], *, events: Sequence[Document] = ()) -> int:
        """Delete documents together with writing `events`; absent ones are fine; return how many were there."""
        wanted, told = [(kind, key) for key in keys], take_events_apart(events)
        if not wanted and not told:
            return 0
        with _Use(self, write=True) as db:
            gone = db.executemany("DELETE FROM document WHERE kind = ? AND key = ?", wanted).rowcount
            tell(db, told)
        return max(gone, 0)

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
        asked = Asked(kind, cloud, name, label_terms(labels), search_terms(text), limit)
        with _Use(self) as db:
            rows = asked.newest(db, after) if newest else asked.ordered(db, after)
        return [stored(kind, row) for row in rows]

    def count(self, kind: str, *, cloud: str = "") -> int:
        """Return how many documents there are."""
        with _Use(self) as db:
            if cloud:
                return number(db, "SELECT count(*) FROM document WHERE kind = ? AND cloud = ?", (kind, cloud))
            return number(db, "SELECT count(*) FROM document WHERE kind = ?", (kind,))

    def clouds(self, kind: str) -> list[str]:
        """Return the clouds that documents of a kind stand on, sorted."""
        found: list[str] = []
        with _Use(self) as db:
            # One index look-up per cloud: SELECT DISTINCT would walk every row of the kind.
            while row := db.execute(_NEXT_CLOUD, (kind, found[-1] if found else "")).fetchone():
                if row[0] is None:
                    break
                found.append(row[0])
        return found

    def counter(self, name: str, *, add: int = 0, least: int = 0) -> int:
        """Add to a counter and return its new value; it starts at 0 and is never below `least` afterwards."""
        if not add:
            with _Use(self) as db:
                old = number(db, _COUNTER, (name,))
            if old >= least:
                return old
        with _Use(self, write=True) as db:
            new = max(number(db, _COUNTER, (name,)) + add, least)
            db.execute("INSERT OR REPLACE INTO counter (name, value) VALUES (?, ?)", (name, new))
        return new

    def counters(self) -> dict[str, int]:
        """Return every counter by name."""
        with _Use(self) as db:
            return dict(db.execute("SELECT name, value FROM counter ORDER BY name").fetchall())

    def acquire(self, name: str, owner: str, *, now: float, seconds: float) -> Lease | None:
        """Take or renew the lease `name`, or return None while another owner holds it; renewing keeps the token."""
        with _Use(self, write=True) as db:
            held = db.execute("SELECT owner, token FROM lease WHERE name = ? AND expires > ?", (name, now)).fetchone()
            if held and held[0] != owner:
                return None
            token = held[1] if held else os.urandom(16).hex()
            values = (name, owner, token, now + seconds)
            db.execute("INSERT OR REPLACE INTO lease (name, owner, token, expires) VALUES (?, ?, ?, ?)", values)
        return Lease(name=name, owner=owner, token=token, expires=now + seconds)

    def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost meanwhile is left alone."""
        with _Use(self, write=True) as db:
            db.execute("DELETE FROM lease WHERE name = ? AND token = ?", (lease.name, lease.token))

    def begin(self, scope: Scope, *, now: float) -> Generation:
        """Open a refresh of `scope` and return its generation, to be passed to `absorb` and `seal`."""
        with _Use(self, write=True) as db:
            own = rows_of.youngest(db) + 1
            db.execute(
                "INSERT INTO scope (kind, cloud, region, query, number, started) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, cloud, region, query)"
                " DO UPDATE SET number = excluded.number, started = excluded.started",
                (*identity(scope), own, now),
            )
        return Generation(scope=scope, number=own, started=now)

    def absorb(self, generation: Generation, documents: Mapping[str, Document] | Apart) -> int:
        """Upsert rows as they arrive, stamped with the generation; return how many changed."""
        scope = generation.scope
        rows = take_all_apart(scope.kind, documents)
        if not rows:
            return 0
        if len(rows) >= _MANY:  # in the order of the tree that they go to, each page of it is read and written once
            rows = Apart((key, rows[key]) for key in sorted(rows))
        with _Use(self, write=True, many=len(rows) >= _MANY) as db:
            listed = 0 if scope.query else generation.number
            changed = rows_of.upsert(db, scope.kind, rows, listed=listed, since=generation.number)
            if scope.query:
                rows_of.join(db, generation, rows)
        return changed

    def seal(self, generation: Generation, *, now: float, prune: bool = True, alone: bool = True) -> list[Stored]:
        """End a complete refresh: forget (when `prune`) and return the rows of its scope that it did not see."""
        scope = generation.scope
        last = "SELECT id, number FROM scope WHERE kind = ? AND cloud = ? AND region = ? AND query = ?"
        with _Use(self, write=True) as db:
            found = db.execute(last, identity(scope)).fetchone()
            if found is None:  # the catalog was replaced by a new one meanwhile
                return []
            db.execute(
                "UPDATE scope SET sealed_number = ?, sealed_started = ?, sealed = ?"
                " WHERE id = ? AND coalesce(sealed_number, 0) <= ?",
                (generation.number, generation.started, now, found[0], generation.number),
            )
            if found[1] != generation.number:
                return []
            rows = (
                rows_of.unlisted(db, generation, found[0], alone=alone)
                if scope.query
                else rows_of.unseen(db, generation)
            )
            if prune:
                rows_of.forget(db, generation, found[0], rows)
        return [stored(scope.kind, row) for row in rows]

    def generation(self, scope: Scope) -> Generation | None:
        """Return the last generation of `scope` that was sealed, or else the one that was begun, or None."""
        with _Use(self) as db:
            row = db.execute(
                "SELECT coalesce(sealed_number, number), coalesce(sealed_started, started), sealed FROM scope"
                " WHERE kind = ? AND cloud = ? AND region = ? AND query = ?",
                identity(scope),
            ).fetchone()
        return Generation(scope=scope, number=row[0], started=row[1], sealed=row[2]) if row else None

    def migrations(self) -> list[tuple[int, str, float]]:
        """Return number, name and time (epoch seconds) of every step that brought the file to its schema."""
        with _Use(self) as db:
            return db.execute("SELECT number, name, at FROM migration ORDER BY number").fetchall()

    def close(self) -> None:
        """Give back files and connections; a later call opens them again."""
        while self._idle:
            self._idle.pop().close()

    def take(self) -> sqlite3.Connection:
        """Return an idle connection or a new one, for one thread at a time."""
        if self._process != os.getpid():  # SQLite's connections do not survive a fork: leave the parent's untouched
            _inherited.append(self._idle)
            self._idle, self._process, self.writing = [], os.getpid(), Lock()
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self.path, clock=self._clock, patience=self.patience)

    def give_back(self, db: sqlite3.Connection, error: BaseException | None) -> BaseException | None:
        """Take a connection back, or close it, which undoes what is not committed; return what `error` means."""
        if isinstance(error, sqlite3.Error) or db.in_transaction:
            db.close()
        else:
            self._idle.append(db)
        return explain(error, self.path, self.patience) if isinstance(error, Exception) else error


class _Use:
    """One use of a connection: a read, or a write transaction that commits unless an exception passes.

    With `many` it writes a part of a long list, which can be asked for again and so need not be on the disk at once.
    """

    def __init__(self, catalog: SqliteCatalog, *, write: bool = False, many: bool = False) -> None:
        self._catalog = catalog
        self._write = write
        self._many = many

    def __enter__(self) -> sqlite3.Connection:
        self._db = self._catalog.take()
        if self._many:
            rows_of.roomy(self._db)
        if self._write:
            self._begin()
        return self._db

    def _begin(self) -> None:
        self._lock, patience = self._catalog.writing, self._catalog.patience
        if not self._lock.acquire(timeout=patience):
            self._catalog.give_back(self._db, None)
            raise Timeout(f"catalog {self._catalog.path} was locked by another thread for {patience:g} s", hint=_AGAIN)
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._write and error is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error as failed:
                self._end(failed)
                raise
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Give back lock and connection, and raise what an error of SQLite means."""
        if self._write:
            self._lock.release()
        if self._many and not self._db.in_transaction:
            rows_of.careful(self._db)
        meant = self._catalog.give_back(self._db, error)
        if meant is not None and meant is not error:
            raise meant from error
