"""The file of the SQLite catalog: made, migrated, recognized, and clear about what is wrong with it."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudms.catalog import sqlite_file
from cloudms.catalog.sqlite import SqliteCatalog
from cloudms.clock import ManualClock, SystemClock
from cloudms.errors import CloudmsError, Conflict, Denied, Invalid, NoCapacity, NotReady, Timeout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the catalog will be; the folder is not there yet."""
    return tmp_path / "state" / "catalog.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., SqliteCatalog]]:
    """Return what opens the catalog; it is closed at the end."""
    catalogs: list[SqliteCatalog] = []

    def another(**options: object) -> SqliteCatalog:
        catalogs.append(SqliteCatalog(path, clock=ManualClock(1234.5), **options))  # type: ignore[arg-type]
        return catalogs[-1]

    yield another
    for catalog in catalogs:
        catalog.close()


Opened = Callable[..., SqliteCatalog]


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def database(path: Path, *statements: str) -> None:
    """Run statements on a database that is not opened as a catalog."""
    path.parent.mkdir(exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


# Making


def test_the_file_is_made_at_first_use_for_its_owner_alone(opened: Opened, path: Path) -> None:
    old = os.umask(0)
    try:
        catalog = opened()
        assert not path.parent.exists()
        catalog.put("vm", {"a": {}})
        assert mode(path.parent) == 0o700
        files = sorted((file.name, mode(file)) for file in path.parent.iterdir())
        assert files == [(f"catalog.sqlite{end}", 0o600) for end in ("", "-shm", "-wal")]
    finally:
        os.umask(old)


def test_a_file_that_is_empty_becomes_a_catalog(opened: Opened, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert opened().put("vm", {"a": {}}) == 1


def test_every_commit_reaches_the_disk_and_readers_do_not_wait(opened: Opened) -> None:
    catalog = opened()
    db = catalog.take()
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    catalog.give_back(db, None)


@pytest.mark.parametrize("attempt", range(12))
def test_many_that_open_a_new_file_at_once_make_it_once(path: Path, attempt: int) -> None:
    catalogs = [SqliteCatalog(path) for _ in range(12)]
    try:
        with ThreadPoolExecutor(len(catalogs)) as pool:
            counted = list(pool.map(lambda catalog: catalog.counter("n", add=1), catalogs))
        assert sorted(counted) == list(range(1, 13))
        assert [number for number, _, _ in catalogs[attempt].migrations()] == [1, 2]
    finally:
        for catalog in catalogs:
            catalog.close()


def test_the_switch_to_write_ahead_waits_for_whoever_reads(path: Path) -> None:
    class Releasing(ManualClock):
        def sleep(self, seconds: float) -> None:
            """Let the reader end at the third try."""
            super().sleep(seconds)
            if len(self.slept) == 3:
                reader.execute("COMMIT")

    database(path, "CREATE TABLE once (x)", "DROP TABLE once")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sqlite_master").fetchall()
    clock = Releasing()
    with pytest.raises(Timeout):
        SqliteCatalog(path, clock=ManualClock(), patience=0.05).count("vm")
    catalog = SqliteCatalog(path, clock=clock, patience=0.05)
    assert catalog.count("vm") == 0
    assert len(clock.slept) == 3
    catalog.close()
    reader.close()


# Migrating


def test_migrations_are_recorded_with_their_time(opened: Opened) -> None:
    names = ["documents_counters_leases_scopes", "rows_in_the_order_they_come"]
    assert opened().migrations() == [(number, name, 1234.5) for number, name in enumerate(names, 1)]


def test_an_older_catalog_is_brought_up_and_keeps_its_rows(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_notes(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE note (text TEXT)")

    before = opened()
    before.put("vm", {"a": {"name": "a"}})
    before.close()
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, with_notes))
    after = opened()
    assert [row.key for row in after.find("vm")] == ["a"]
    assert [(number, name) for number, name, _ in after.migrations()][2:] == [(3, "with_notes")]
    db = after.take()
    assert db.execute("SELECT count(*) FROM note").fetchone() == (0,)
    after.give_back(db, None)


def test_a_catalog_of_the_first_schema_is_brought_up_whole(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sqlite_file.MIGRATIONS
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", known[:1])
    before = opened()
    first = (
        "INSERT INTO document VALUES ('vm', ?, ?, 3, 0, 0, 0, 'here', 'Übung', 'r', 7.5, char(10) || '\"a\":\"b\"' ||"
        " char(10), 'übung')"
    )
    db = before.take()
    for key, ident in (("b", 4), ("a", 9)):
        db.execute(first, (key, ident))
        db.execute("INSERT INTO body VALUES (?, ?)", (ident, '{"name":"Übung"}'))
    before.give_back(db, None)
    before.close()
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", known)
    after = opened()
    for narrow in ({}, {"name": "Übung"}, {"cloud": "here"}, {"text": "übung"}, {"labels": {"a": "b"}}):
        assert [(row.key, row.version) for row in after.find("vm", **narrow)] == [("a", 3), ("b", 3)]
    assert [row.key for row in after.find("vm", newest=True)] == ["a", "b"]
    assert after.find("vm")[0].document == {"name": "Übung", "fetched": 7.5}
    after.put("vm", {"c": {"name": "new"}})
    assert after.find("vm", newest=True)[0].key == "c"
    assert after.delete("vm", ["a", "b", "c"]) == 3
    db = after.take()
    assert db.execute("SELECT (SELECT count(*) FROM body), (SELECT count(*) FROM search)").fetchone() == (0, 0)
    after.give_back(db, None)


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE lease")
        raise RuntimeError("half way")

    opened().put("vm", {"a": {}})
    known = sqlite_file.MIGRATIONS
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*known, half))
    with pytest.raises(RuntimeError):
        opened().count("vm")
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", known)
    catalog = opened()
    assert catalog.acquire("l", "me", now=1.0, seconds=1.0) is not None
    assert len(catalog.migrations()) == 2


def test_a_newer_catalog_is_left_alone(opened: Opened, path: Path) -> None:
    opened().close()
    opened().put("vm", {"a": {}})
    database(path, "PRAGMA user_version=99")
    with pytest.raises(Conflict) as refused:
        opened().count("vm")
    assert "99" in refused.value.message
    assert "upgrade" in refused.value.hint
    assert refused.value.details == {"schema": 99, "known": 2}
    database(path, "PRAGMA user_version=2")
    assert opened().count("vm") == 1


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA user_version=1", "PRAGMA application_id=77"])
def test_the_database_of_another_program_is_left_alone(opened: Opened, path: Path, statement: str) -> None:
    database(path, "CREATE TABLE first (x)", statement)
    before = path.read_bytes()
    with pytest.raises(Invalid, match="another program"):
        opened().put("vm", {"a": {}})
    assert path.read_bytes() == before


# What can be wrong


def test_a_file_that_is_no_database_is_named_and_kept(opened: Opened, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("cloudmesh: a configuration file, and no database\n" * 100)
    with pytest.raises(Invalid) as refused:
        opened().find("vm")
    assert str(path) in refused.value.message
    assert "move the file away" in refused.value.hint
    assert path.read_text().startswith("cloudmesh")


def test_a_damaged_file_is_named(opened: Opened, path: Path) -> None:
    catalog = opened()
    catalog.put("vm", {f"{number:04d}": {"name": "x" * 200} for number in range(2000)})
    catalog.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))
    with pytest.raises(Invalid) as refused:
        catalog.find("vm")
    assert str(path) in refused.value.message


def test_a_folder_is_no_catalog(opened: Opened, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Invalid, match="folder"):
        opened().find("vm")


def test_a_folder_that_cannot_be_made_is_named(opened: Opened, path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(Invalid, match="Not a directory") as refused:
        opened().find("vm")
    assert refused.value.hint


def test_a_file_that_cannot_be_written_is_denied(opened: Opened, path: Path) -> None:
    catalog = opened()
    catalog.put("vm", {"a": {}})
    db = catalog.take()
    db.execute("PRAGMA query_only=ON")  # what SQLite answers on a read-only disk; root passes permissions
    catalog.give_back(db, None)
    with pytest.raises(Denied) as refused:
        catalog.put("vm", {"b": {}})
    assert str(path) in refused.value.message
    assert [row.key for row in catalog.find("vm")] == ["a"]


def test_a_full_disk_is_no_capacity_and_undoes_the_call(opened: Opened) -> None:
    catalog = opened()
    catalog.put("vm", {"a": {}}, events=[{"n": 1}])
    db = catalog.take()
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count={pages + 2}")
    catalog.give_back(db, None)
    with pytest.raises(NoCapacity) as refused:
        catalog.put("vm", {str(number): {"x": "y" * 5000} for number in range(20)}, events=[{"n": 2}])
    assert "free space" in refused.value.hint
    assert (catalog.count("vm"), catalog.count("event")) == (1, 1)
    assert catalog.put("vm", {"b": {}}) == 1


def test_a_lock_held_too_long_is_a_timeout_and_readers_pass(opened: Opened, path: Path) -> None:
    catalog = opened(patience=0.02)
    catalog.put("vm", {"a": {}})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Timeout) as late:
        catalog.put("vm", {"b": {}})
    assert "0.02 s" in late.value.message
    assert catalog.count("vm") == 1
    other.execute("ROLLBACK")
    assert catalog.put("vm", {"b": {}}) == 1
    other.close()


def test_a_thread_that_writes_too_long_is_a_timeout(opened: Opened) -> None:
    catalog = opened(patience=0.02)
    catalog.put("vm", {"a": {}})
    with catalog.writing, pytest.raises(Timeout, match="another thread"):
        catalog.put("vm", {"b": {}})
    assert catalog.put("vm", {"b": {}}) == 1


def test_names_that_are_no_text_are_refused(opened: Opened) -> None:
    catalog = opened()
    with pytest.raises(Invalid, match="not text"):
        catalog.get("vm", "\udcff")
    assert catalog.count("vm") == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_PERM, Denied),
        (sqlite3.SQLITE_BUSY, Timeout),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Timeout),
        (sqlite3.SQLITE_LOCKED, Timeout),
        (sqlite3.SQLITE_READONLY_DBMOVED, Denied),
        (sqlite3.SQLITE_IOERR_WRITE, NotReady),
        (sqlite3.SQLITE_CORRUPT_VTAB, Invalid),
        (sqlite3.SQLITE_FULL, NoCapacity),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, Denied),
        (sqlite3.SQLITE_NOTADB, Invalid),
    ],
)
def test_every_error_of_a_file_has_its_class(path: Path, code: int, expected: type[CloudmsError]) -> None:
    error = sqlite3.OperationalError("so it is")
    error.sqlite_errorcode = code
    meant = sqlite_file.explain(error, path, 30.0)
    assert type(meant) is expected
    assert isinstance(meant, CloudmsError)
    assert str(path) in meant.message
    assert "so it is" in meant.message
    assert "{" not in meant.message + meant.hint
    assert meant.hint


def test_an_error_of_ours_stays_a_bug(path: Path) -> None:
    for error in (sqlite3.ProgrammingError("no such column"), sqlite3.IntegrityError("twice"), ValueError("no")):
        assert sqlite_file.explain(error, path, 30.0) is error


def test_a_folder_without_rights_is_denied(path: Path) -> None:
    meant = sqlite_file.explain(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path, 30.0)
    assert type(meant) is Denied
    assert "Permission denied" in str(meant)


def test_a_connection_is_not_shared_with_a_forked_process(opened: Opened) -> None:
    catalog = opened()
    catalog.put("vm", {"parent": {}})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            catalog.put("vm", {"child": {}})
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    catalog.put("vm", {"parent again": {}})
    assert [row.key for row in catalog.find("vm")] == ["child", "parent", "parent again"]


def test_the_default_clock_is_the_system_one(path: Path) -> None:
    catalog = SqliteCatalog(path)
    before = SystemClock().now()
    assert before <= catalog.migrations()[0][2] <= SystemClock().now()
    catalog.close()
