"""Reading and writing the rows of the SQLite catalog, inside a transaction that the caller holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from cloudms.catalog.base import Generation, Scope, Stored
from cloudms.catalog.rows import EVENT, Row, event_key, put_together
from cloudms.catalog.sqlite_file import name_number
from cloudms.errors import NotFound

SELECT = "SELECT d.key, d.version, d.fetched, b.json FROM document d JOIN body b ON b.id = d.id"

_BESIDE = (
    "SELECT d.key, d.id, b.json, d.fetched, d.touched, d.listed, d.written FROM document d JOIN body b ON b.id = d.id"
    " WHERE d.kind = ? AND d.key IN"
)
_STAMP = "UPDATE OR ROLLBACK document SET fetched = ?, touched = ?, listed = ?, written = ? WHERE id IN"
_TOGETHER = 100
"""Rows of one inserting statement."""
_AT_ONCE = 500
"""Keys of one look-up: a statement for each row of a long list would cost more than its answer."""
_YOUNGEST = "SELECT coalesce(max(number), 0) FROM scope"
_NEXT = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'body'), 0) + 1"  # above all that ever were

_BEFORE = "JOIN member m ON m.scope = ? AND m.key = d.key AND m.number < ? WHERE d.kind = ? AND d.touched < ?"
_ALONE = (
    " AND d.listed = 0 AND NOT EXISTS (SELECT 1 FROM member o"
    " WHERE o.key = d.key AND o.scope != m.scope AND o.scope IN (SELECT id FROM scope WHERE kind = d.kind))"
)


def roomy(db: sqlite3.Connection) -> None:
    """Let a connection hold 4 MB of pages, let 32 MB gather beside the file before they are moved into it, and do not
    wait for the disk with every commit.
    """
    db.execute("PRAGMA cache_size=-4000")
    db.execute("PRAGMA wal_autocheckpoint=8000")
    db.execute("PRAGMA synchronous=NORMAL")


def careful(db: sqlite3.Connection) -> None:
    """Let every commit reach the disk again: the next one may be a booking."""
    db.execute("PRAGMA synchronous=FULL")


def stored(kind: str, row: Any) -> Stored:
    """Return what a row of `SELECT` means."""
    key, version, fetched, body = row
    return Stored(kind=kind, key=key, document=put_together(body, fetched), version=version)


def number(db: sqlite3.Connection, query: str, values: tuple[str | int, ...] = ()) -> int:
    """Return the one number that `query` finds."""
    found: int = db.execute(query, values).fetchone()[0]
    return found


def place(db: sqlite3.Connection, kind: str, key: str) -> int:
    """Return where a document stands in the order of insertion; raises NotFound."""
    row = db.execute("SELECT id FROM document WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    if row is None:
        raise NotFound(f"the {kind} '{key}' after which to go on is gone", hint="list again from the start")
    found: int = row[0]
    return found


def add(db: sqlite3.Connection, kind: str, rows: Mapping[str, Row], *, listed: int = 0, since: int = 0) -> None:
    """Write rows whose keys are free; `since` as for `upsert`."""
    touched, first = youngest(db), number(db, _NEXT)
    stamps = (touched, 0 if since else touched, listed)
    numbered = list(enumerate(rows.items(), first))
    documents = [(ident, kind, key, 1, *stamps, *row[:5], name_number(row[1])) for ident, (key, row) in numbered]
    _insert(
        db,
        "document (id, kind, key, version, touched, written, listed, cloud, name, region, fetched, labels, named)",
        documents,
    )
    _insert(db, "search (id, text)", [(ident, row[5]) for ident, (_, row) in numbered])
    _insert(db, "body (id, json)", [(ident, row[6]) for ident, (_, row) in numbered])


def _insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, many with one statement: each statement gives other threads a turn, and waits for its own."""
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        some = rows[start : start + _TOGETHER]
        db.execute(_inserting(into, len(rows[0]), _TOGETHER), tuple(chain.from_iterable(some)))
    if whole < len(rows):
        db.executemany(_inserting(into, len(rows[0]), 1), rows[whole:])


# OR ROLLBACK: a statement that only undid itself would first keep a copy of every page it changes.
@cache
def _inserting(into: str, columns: int, rows: int) -> str:
    one = f"({', '.join('?' * columns)})"
    return f"INSERT OR ROLLBACK INTO {into} VALUES {', '.join([one] * rows)}"  # noqa: S608 (names of this file)


def change(db: sqlite3.Connection, rows: Mapping[int, Row], *, listed: int = 0, since: int = 0) -> None:
    """Write rows, by their ids, as a change; `since` as for `upsert`."""
    touched = youngest(db)
    stamps = (touched, 0 if since else touched, listed)
    db.executemany(
        "UPDATE document SET version = version + 1, touched = ?, written = max(written, ?), listed = max(listed, ?),"
        " cloud = ?, name = ?, region = ?, fetched = ?, labels = ?, named = ? WHERE id = ?",
        ((*stamps, *row[:5], name_number(row[1]), ident) for ident, row in rows.items()),
    )
    db.executemany("UPDATE search SET text = ? WHERE id = ?", ((row[5], ident) for ident, row in rows.items()))
    db.executemany("UPDATE body SET json = ? WHERE id = ?", ((row[6], ident) for ident, row in rows.items()))


def upsert(db: sqlite3.Connection, kind: str, rows: Mapping[str, Row], *, listed: int = 0, since: int = 0) -> int:
    """Write rows; one whose body is the same only gets its time and stamp; return how many are new or changed.

    `since` is the number of the generation that listed them (0: they are written directly). What was written directly
    since that generation began is newer than the listing and is left alone.
    """
    touched = youngest(db)
    new: dict[str, Row] = {}
    changed: dict[int, Row] = {}
    same: dict[Any, list[int]] = {}
    for key, row, found in _beside(db, kind, rows):
        if found is None:
            new[key] = row
        elif since and found[5] >= since:
            continue
        elif found[1] != row[6]:
            changed[found[0]] = row
        else:
            wanted = (row[3], touched, max(listed, found[4]), found[5] if since else touched)
            if found[2:] != wanted:
                same.setdefault(wanted, []).append(found[0])
    add(db, kind, new, listed=listed, since=since)
    change(db, changed, listed=listed, since=since)
    _stamp(db, same)
    return len(new) + len(changed)


def _stamp(db: sqlite3.Connection, same: Mapping[Any, Sequence[int]]) -> None:
    """Give rows that are the same, by ids, the time and stamps by which they stand; rows of one page share them."""
    for stamps, idents in same.items():
        for start in range(0, len(idents), _AT_ONCE):
            some = idents[start : start + _AT_ONCE]
            db.execute(f"{_STAMP} ({', '.join('?' * len(some))})", (*stamps, *some))


def _beside(db: sqlite3.Connection, kind: str, rows: Mapping[str, Row]) -> Iterator[tuple[str, Row, Any]]:
    """Yield rows, each beside what is stored below its key: id, body, fetched, touched, listed, written; or None."""
    keys = list(rows)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found = db.execute(f"{_BESIDE} ({marks})", (kind, *some))
        stored = {row[0]: row[1:] for row in found}
        yield from ((key, rows[key], stored.get(key)) for key in some)


def tell(db: sqlite3.Connection, events: list[Row]) -> None:
    """Write events below keys that grow for ever."""
    if events:
        first = number(db, _NEXT)
        add(db, EVENT, {event_key(first + nth): row for nth, row in enumerate(events)})


def identity(scope: Scope) -> tuple[str, str, str, str]:
    """Return the values that name a scope."""
    return scope.kind, scope.cloud, scope.region, scope.query


def youngest(db: sqlite3.Connection) -> int:
    """Return the number of the youngest generation of all scopes; every write stamps its rows with it."""
    return number(db, _YOUNGEST)


def join(db: sqlite3.Connection, generation: Generation, keys: Mapping[str, Row]) -> None:
    """Note that a listing with a query saw `keys`."""
    scope = db.execute(
        "SELECT id FROM scope WHERE kind = ? AND cloud = ? AND region = ? AND query = ?", identity(generation.scope)
    ).fetchone()
    if scope is not None:
        rows = ((*scope, key, generation.number) for key in keys)
        db.executemany("INSERT OR REPLACE INTO member (scope, key, number) VALUES (?, ?, ?)", rows)


def unseen(db: sqlite3.Connection, generation: Generation) -> list[Any]:
    """Return the rows of a scope without a query that nothing wrote since the generation began."""
    scope = generation.scope
    return db.execute(
        f"{SELECT} WHERE d.kind = ? AND d.cloud = ? AND ? IN ('', d.region) AND d.touched < ? ORDER BY d.key",
        (scope.kind, scope.cloud, scope.region, generation.number),
    ).fetchall()


def unlisted(db: sqlite3.Connection, generation: Generation, scope: int, *, alone: bool) -> list[Any]:
    """Return the rows that this query (`alone`) once saw, that it does not see now, and that nothing wrote since."""
    return db.execute(
        f"{SELECT} {_BEFORE}{_ALONE if alone else ''} ORDER BY d.key",
        (scope, generation.number, generation.scope.kind, generation.number),
    ).fetchall()


def forget(db: sqlite3.Connection, generation: Generation, scope: int, rows: list[Any]) -> None:
    """Delete rows, and let what the query no longer sees belong to the other listings that saw it."""
    kind = generation.scope.kind
    db.executemany("DELETE FROM document WHERE kind = ? AND key = ?", [(kind, row[0]) for row in rows])
    db.execute("DELETE FROM member WHERE scope = ? AND number < ?", (scope, generation.number))
