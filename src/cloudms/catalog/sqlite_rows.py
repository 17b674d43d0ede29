"""Reading and writing the rows of the SQLite catalog, inside a transaction that the caller holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from cloudms.catalog.base import Generation, Scope, Stored
from cloudms.catalog.rows import EVENT, Row, event_key, put_together
from cloudms.errors import NotFound

SELECT = "SELECT d.key, d.version, d.fetched, b.json FROM document d JOIN body b ON b.id = d.id"

_YOUNGEST = "SELECT coalesce(max(number), 0) FROM scope"
_NEXT = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'body'), 0) + 1"  # above all that ever were

_ALONE = (
    "JOIN member m ON m.scope = ? AND m.key = d.key AND m.number < ?"
    " WHERE d.kind = ? AND d.touched < ? AND d.listed = 0 AND NOT EXISTS (SELECT 1 FROM member o"
    " WHERE o.key = d.key AND o.scope != m.scope AND o.scope IN (SELECT id FROM scope WHERE kind = d.kind))"
)


def stored(kind: str, row: Any) -> Stored:
    """Return what a row of `SELECT` means."""
    key, version, fetched, body = row
    return Stored(kind=kind, key=key, document=put_together(body, fetched), version=version)


def number(db: sqlite3.Connection, query: str, values: tuple[str, ...] = ()) -> int:
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
    db.executemany(
        "INSERT INTO document"
        " (id, kind, key, version, touched, written, listed, cloud, name, region, fetched, labels, search)"
        " VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((first + nth, kind, key, *stamps, *row[:6]) for nth, (key, row) in enumerate(rows.items())),
    )
    bodies = ((first + nth, row[6]) for nth, row in enumerate(rows.values()))
    db.executemany("INSERT INTO body (id, json) VALUES (?, ?)", bodies)


def change(db: sqlite3.Connection, kind: str, rows: Mapping[str, Row], *, listed: int = 0, since: int = 0) -> None:
    """Write rows whose keys are there, as a change; `since` as for `upsert`."""
    touched = youngest(db)
    stamps = (touched, 0 if since else touched, listed)
    db.executemany(
        "UPDATE document SET version = version + 1, touched = ?, written = max(written, ?), listed = max(listed, ?),"
        " cloud = ?, name = ?, region = ?, fetched = ?, labels = ?, search = ? WHERE kind = ? AND key = ?",
        ((*stamps, *row[:6], kind, key) for key, row in rows.items()),
    )
    db.executemany(
        "UPDATE body SET json = ? WHERE id = (SELECT id FROM document WHERE kind = ? AND key = ?)",
        ((row[6], kind, key) for key, row in rows.items()),
    )


def upsert(db: sqlite3.Connection, kind: str, rows: Mapping[str, Row], *, listed: int = 0, since: int = 0) -> int:
    """Write rows; one whose body is the same only gets its time and stamp; return how many are new or changed.

    `since` is the number of the generation that listed them (0: they are written directly). What was written directly
    since that generation began is newer than the listing and is left alone.
    """
    touched = youngest(db)
    new, changed, same = {}, {}, []
    for key, row in rows.items():
        found = db.execute(
            "SELECT b.json, d.fetched, d.touched, d.listed, d.written FROM document d JOIN body b ON b.id = d.id"
            " WHERE d.kind = ? AND d.key = ?",
            (kind, key),
        ).fetchone()
        if found is None:
            new[key] = row
        elif since and found[4] >= since:
            continue
        elif found[0] != row[6]:
            changed[key] = row
        else:
            wanted = (row[3], touched, max(listed, found[3]), found[4] if since else touched)
            if found[1:] != wanted:
                same.append((*wanted, kind, key))
    add(db, kind, new, listed=listed, since=since)
    change(db, kind, changed, listed=listed, since=since)
    stamp = "UPDATE document SET fetched = ?, touched = ?, listed = ?, written = ? WHERE kind = ? AND key = ?"
    db.executemany(stamp, same)
    return len(new) + len(changed)


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
    values = identity(generation.scope)
    db.executemany(
        "INSERT OR REPLACE INTO member (scope, key, number)"
        " SELECT id, ?, ? FROM scope WHERE kind = ? AND cloud = ? AND region = ? AND query = ?",
        ((key, generation.number, *values) for key in keys),
    )


def unseen(db: sqlite3.Connection, generation: Generation) -> list[Any]:
    """Return the rows of a scope without a query that nothing wrote since the generation began."""
    scope = generation.scope
    return db.execute(
        f"{SELECT} WHERE d.kind = ? AND d.cloud = ? AND ? IN ('', d.region) AND d.touched < ? ORDER BY d.key",
        (scope.kind, scope.cloud, scope.region, generation.number),
    ).fetchall()


def unlisted(db: sqlite3.Connection, generation: Generation, scope: int) -> list[Any]:
    """Return the rows that this query alone once saw, that it does not see now, and that nothing wrote since."""
    return db.execute(
        f"{SELECT} {_ALONE} ORDER BY d.key",
        (scope, generation.number, generation.scope.kind, generation.number),
    ).fetchall()


def forget(db: sqlite3.Connection, generation: Generation, scope: int, rows: list[Any]) -> None:
    """Delete rows, and let what the query no longer sees belong to the other listings that saw it."""
    kind = generation.scope.kind
    db.executemany("DELETE FROM document WHERE kind = ? AND key = ?", [(kind, row[0]) for row in rows])
    db.execute("DELETE FROM member WHERE scope = ? AND number < ?", (scope, generation.number))
