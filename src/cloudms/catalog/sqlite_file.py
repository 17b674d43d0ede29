"""The file of the SQLite catalog: how it is made, opened and migrated, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from binascii import crc32
from collections.abc import Callable
from pathlib import Path

from cloudms import paths
from cloudms.clock import Clock
from cloudms.errors import CloudmsError, Conflict, Denied, Invalid, NoCapacity, NotReady, Timeout

APPLICATION = 0x636D7363
"""Stands in the file's header, so that another program's database is never taken for a catalog ("cmsc")."""

_RETRY = 0.01


def connect(path: Path, *, clock: Clock, patience: float) -> sqlite3.Connection:
    """Open the catalog at `path`, making it (mode 0600) and bringing it to this version's schema where needed.

    Parameters: `patience`, seconds to wait for another process's lock.
    Raises: Conflict, the file is of a newer version; Invalid, it is no catalog; Denied, Timeout, NoCapacity, NotReady.
    """
    try:
        _make(path)
        db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise explain(error, path, patience) from error
    try:
        # Every commit reaches the disk: a booking that a power failure takes back may be a machine that nobody pays
        # attention to. Refreshes write a page of rows per commit, so that this costs one fsync for a thousand rows.
        db.execute("PRAGMA synchronous=FULL")
        if _header(db) != (len(MIGRATIONS), APPLICATION):
            db.execute(
                "BEGIN"
            )  # so that all that is looked at is of one moment: another process may be making the file
            _version(db, path)
            db.execute("COMMIT")
            _migrate(db, path, clock, patience)
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path, patience) from error
    except BaseException:
        db.close()
        raise
    return db


def explain(error: Exception, path: Path, patience: float) -> Exception:
    """Return the house error for one of SQLite or of the file system, or `error` itself when it is a bug."""
    if isinstance(error, OSError):
        kind: type[CloudmsError] = Denied if isinstance(error, PermissionError) else Invalid
        return kind(
            f"catalog {path} cannot be made: {error.strerror}", hint="set CLOUDMESH_CONFIG_DIR to another folder"
        )
    if isinstance(error, UnicodeEncodeError):
        return Invalid(f"what was asked of catalog {path} is not text: {error}", hint="use names in UTF-8")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the high bits only refine the primary code
    if code not in _MEANINGS:
        return error
    found, says, hint = _MEANINGS[code]
    return found(f"catalog {path} {says.format(patience=patience)}: {error}", hint=hint.format(path=path))


_RIGHTS = "give yourself the right to write this file and its folder, or set CLOUDMESH_CONFIG_DIR to another folder"
_BROKEN = "move the file away ({path}); the next refresh fills a new one, and own machines are found by their tags"
_MEANINGS: dict[int, tuple[type[CloudmsError], str, str]] = {
    3: (Denied, "may not be used", _RIGHTS),
    5: (Timeout, "was locked by another process for {patience:g} s", "see who holds it with: fuser -v {path}"),
    6: (Timeout, "was locked by another thread for {patience:g} s", "ask again"),
    8: (Denied, "may not be written", _RIGHTS),
    10: (NotReady, "cannot be read or written", "see whether its disk is mounted, healthy and within its quota"),
    11: (Invalid, "is damaged", _BROKEN),
    13: (NoCapacity, "cannot grow", "free space on the disk of {path}"),
    14: (Denied, "cannot be opened", _RIGHTS),
    26: (Invalid, "is not a database", _BROKEN),
}


def _make(path: Path) -> None:
    try:
        # Not open(2): closing a second descriptor of a database file would drop this process's locks on it.
        os.mknod(path, 0o600)
    except FileExistsError:
        if path.is_dir():
            raise Invalid(f"{path} is a folder and no catalog", hint="name a file for the catalog") from None
    except FileNotFoundError:
        paths.private(path.parent)
        _make(path)


def _header(db: sqlite3.Connection) -> tuple[int, int]:
    version = db.execute("PRAGMA user_version").fetchone()
    return version[0], db.execute("PRAGMA application_id").fetchone()[0]


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Return the schema of the file, inside a transaction. Raises: Invalid, Conflict."""
    version, application = _header(db)
    empty = not version and not application and not db.execute("SELECT 1 FROM sqlite_master").fetchone()
    if application != APPLICATION and not empty:
        raise Invalid(f"{path} is the database of another program", hint="name another file for the catalog")
    if version > len(MIGRATIONS):
        raise Conflict(
            f"catalog {path} has schema {version}, this version of cloudms knows {len(MIGRATIONS)}",
            hint="upgrade with: pip install --upgrade cloudms",
            details={"schema": version, "known": len(MIGRATIONS)},
        )
    return version


def _migrate(db: sqlite3.Connection, path: Path, clock: Clock, patience: float) -> None:
    _write_ahead(db, clock, patience)
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(_version(db, path), len(MIGRATIONS)):  # read again: another process may have been faster
            step = MIGRATIONS[number]
            step(db)
            db.execute(
                "INSERT INTO migration (number, name, at) VALUES (?, ?, ?)", (number + 1, step.__name__, clock.now())
            )
            db.execute(f"PRAGMA user_version={number + 1}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _write_ahead(db: sqlite3.Connection, clock: Clock, patience: float) -> None:
    """Switch the file to write-ahead logging, once for ever; SQLite's own waiting does not cover this switch."""
    deadline = clock.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock.monotonic() > deadline:
                raise
        clock.sleep(_RETRY)


def documents_counters_leases_scopes(db: sqlite3.Connection) -> None:
    """Make the first schema.

    `document` is kept in the order of its key and holds only what lists are made from, so that a search reads few
    pages; `body` holds the JSON. `document.touched` is the number of the youngest generation when the row was last
    written, `document.written` the same of a direct write (put, insert, replace), `document.listed` the last complete
    listing (one without a query) that saw it; `member` says which listings with a query saw it.
    """
    for statement in (
        f"PRAGMA application_id={APPLICATION}",
        "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL)",
        "CREATE TABLE document (kind TEXT NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, version INTEGER NOT NULL,"
        " touched INTEGER NOT NULL, written INTEGER NOT NULL, listed INTEGER NOT NULL, cloud TEXT NOT NULL,"
        " name TEXT NOT NULL, region TEXT NOT NULL, fetched, labels TEXT NOT NULL, search TEXT NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID",
        "CREATE INDEX document_cloud ON document (kind, cloud, key)",
        "CREATE INDEX document_name ON document (kind, name)",
        "CREATE UNIQUE INDEX document_newest ON document (kind, id)",
        "CREATE TABLE body (id INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL)",
        "CREATE TABLE scope (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, cloud TEXT NOT NULL, region TEXT NOT NULL,"
        " query TEXT NOT NULL, number INTEGER NOT NULL, started NOT NULL, sealed_number INTEGER, sealed_started,"
        " sealed, UNIQUE (kind, cloud, region, query))",
        "CREATE INDEX scope_number ON scope (number)",
        "CREATE TABLE member (scope INTEGER NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL,"
        " PRIMARY KEY (scope, key)) WITHOUT ROWID",
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, token TEXT NOT NULL, expires NOT NULL)"
        " WITHOUT ROWID",
        "CREATE TRIGGER document_deleted AFTER DELETE ON document BEGIN"
        " DELETE FROM body WHERE id = old.id;"
        " DELETE FROM member WHERE key = old.key AND scope IN (SELECT id FROM scope WHERE kind = old.kind);"
        " END",
    ):
        db.execute(statement)


def rows_in_the_order_they_come(db: sqlite3.Connection) -> None:
    """Keep `document` in the order of insertion, and what is searched in a table of its own.

    The keys of a long list come in no order, and a row put where its key belongs is a page read and written. Now only
    the entries of narrow indexes are; `document.named` is a number made of the name, since names are long. A search for
    a rare word reads `search` from end to end.
    """
    db.create_function("name_number", 1, name_number, deterministic=True)
    for statement in (
        "DROP TRIGGER document_deleted",
        "ALTER TABLE document RENAME TO former",
        "CREATE TABLE document (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL,"
        " version INTEGER NOT NULL, touched INTEGER NOT NULL, written INTEGER NOT NULL, listed INTEGER NOT NULL,"
        " cloud TEXT NOT NULL,"
        " name TEXT NOT NULL, region TEXT NOT NULL, fetched, labels TEXT NOT NULL, named INTEGER NOT NULL)",
        "INSERT INTO document SELECT id, kind, key, version, touched, written, listed, cloud, name, region, fetched,"
        " labels, name_number(name) FROM former ORDER BY id",
        "CREATE TABLE search (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
        "INSERT INTO search (id, text) SELECT id, search FROM former ORDER BY id",
        "DROP TABLE former",
        "CREATE UNIQUE INDEX document_key ON document (kind, key)",
        "CREATE INDEX document_cloud ON document (kind, cloud, key)",
        "CREATE INDEX document_name ON document (named)",
        "CREATE INDEX document_newest ON document (kind, id)",
        "CREATE TRIGGER document_deleted AFTER DELETE ON document BEGIN"
        " DELETE FROM body WHERE id = old.id;"
        " DELETE FROM search WHERE id = old.id;"
        " DELETE FROM member WHERE key = old.key AND scope IN (SELECT id FROM scope WHERE kind = old.kind);"
        " END",
    ):
        db.execute(statement)


def name_number(name: str) -> int:
    """Return the number below which the rows of a name are found; few names share one."""
    return crc32(name.encode())


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    documents_counters_leases_scopes,
    rows_in_the_order_they_come,
)
"""Schema n is reached by step n; a step that was released is never changed."""
