"""Where the answers of the service are kept: one for each id, and the first one stays."""

from __future__ import annotations

import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudms import paths
from cloudms.errors import Denied, NotReady
from cloudms.record import Record

_COLUMNS = "id, salt, hash, rounds, member, stored, tries"
TABLE = """
CREATE TABLE IF NOT EXISTS plate_answers (
    id TEXT PRIMARY KEY, salt TEXT NOT NULL, hash TEXT NOT NULL, rounds INTEGER NOT NULL, member TEXT NOT NULL,
    stored DOUBLE PRECISION NOT NULL, tries INTEGER NOT NULL)
"""
"""The same words for SQLite and PostgreSQL."""
KEEP = f"""
INSERT INTO plate_answers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, 1)
ON CONFLICT (id) DO UPDATE SET tries = plate_answers.tries + 1 RETURNING {_COLUMNS}
"""  # noqa: S608 (the columns above)
FIND = f"SELECT {_COLUMNS} FROM plate_answers WHERE id = ?"  # noqa: S608 (the columns above)
PAGE = f"""
SELECT {_COLUMNS} FROM plate_answers WHERE id >= ? AND id < ? AND id > ? ORDER BY id LIMIT ?
"""  # noqa: S608 (the columns above)
COUNT = "SELECT COUNT(*), COALESCE(SUM(tries), 0) FROM plate_answers"
_LAST = "\x7f"
"""A character after all those of ids."""


class Answer(Record):
    """What a plate became: `hash` of plate and `salt` after so many `rounds`, by `member`.

    `stored` is when (epoch seconds); `tries` how often work for this id was brought, of which the first counts.
    """

    id: str
    salt: str
    hash: str
    rounds: int
    member: str
    stored: float = 0.0
    tries: int = 1


class Answers(ABC):
    """A store of answers, for many threads at once; what `keep` has returned outlives a kill of the process."""

    @abstractmethod
    def keep(self, answer: Answer) -> Answer:
        """Store an answer unless its id has one, and return the one that it has. Raises: NotReady."""

    @abstractmethod
    def find(self, ident: str) -> Answer | None:
        """Return the answer of an id, or None. Raises: NotReady."""

    @abstractmethod
    def page(self, begin: str, after: str, limit: int) -> list[Answer]:
        """Return `limit` answers whose id begins with `begin` and comes `after` another, in order. Raises: NotReady."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Return how many `answers` there are, and how many `tries` brought them. Raises: NotReady."""

    def close(self) -> None:
        """Let go of it."""


def row(values: Any) -> Answer:
    """Return the answer of a row of the table."""
    return Answer(**dict(zip(Answer.field_names(), values, strict=True)))


def values(answer: Answer) -> tuple[Any, ...]:
    """Return what KEEP is given."""
    return answer.id, answer.salt, answer.hash, answer.rounds, answer.member, answer.stored


def bounds(begin: str, after: str, limit: int) -> tuple[Any, ...]:
    """Return what PAGE is given."""
    return begin, f"{begin}{_LAST}", after, limit


class SqliteAnswers(Answers):
    """Answers in one file that only its owner can read, made when it is missing. Raises: Denied, NotReady."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        try:
            paths.private(file.parent)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(file, timeout=30.0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(TABLE)
        except OSError as error:
            raise Denied(f"{file} cannot be written: {error.strerror}", hint="name another --file") from None
        except sqlite3.Error as error:
            raise NotReady(f"{file} is no store of answers: {error}", hint="name another --file") from None

    def _rows(self, text: str, given: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(text, given).fetchall()
        except sqlite3.Error as error:
            raise NotReady(f"the store of answers: {error}", hint="look at its disk") from None

    def keep(self, answer: Answer) -> Answer:
        """Store an answer unless its id has one."""
        return row(self._rows(KEEP, values(answer))[0])

    def find(self, ident: str) -> Answer | None:
        """Return the answer of an id, or None."""
        return next(map(row, self._rows(FIND, (ident,))), None)

    def page(self, begin: str, after: str, limit: int) -> list[Answer]:
        """Return answers in the order of their ids."""
        return [row(each) for each in self._rows(PAGE, bounds(begin, after, limit))]

    def counts(self) -> Mapping[str, int]:
        """Return how many there are."""
        ((answers, tries),) = self._rows(COUNT)
        return {"answers": answers, "tries": tries}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
