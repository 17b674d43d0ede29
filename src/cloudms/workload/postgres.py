"""Answers in PostgreSQL, for a store that more than one machine is to use or that outlives this one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from cloudms.errors import MissingExtra, NotReady
from cloudms.workload.answers import COUNT, FIND, KEEP, PAGE, TABLE, Answer, Answers, bounds, row, values

_CONNECT_S = 5
_LOCK = 0x706C617465
"""Of those that begin at the same time one makes the table, the others wait."""
_TABLE = TABLE.replace("id TEXT", 'id TEXT COLLATE "C"')
"""Ids in the order of their characters, as SQLite has them, whatever the language of the database."""


class PostgresAnswers(Answers):
    """Answers in one table of a database.

    Parameters: `url`, as libpq has it (postgresql://USER@HOST/DATABASE); its password is best in ~/.pgpass. Each
    call has a connection to itself, kept for the next one, so that one that hangs holds up no other.
    Raises: MissingExtra, NotReady.
    """

    def __init__(self, url: str) -> None:
        if find_spec("psycopg") is None:
            raise MissingExtra("postgres", why="a store of answers in PostgreSQL")
        self._url = url
        self._idle: list[Any] = []
        self._rows("SELECT pg_advisory_lock(%s)", (_LOCK,), _TABLE)

    def _rows(self, text: str, given: tuple[Any, ...] = (), then: str = "") -> list[Any]:
        """Return the rows of a statement, and carry out another one `then`. Raises: NotReady."""
        import psycopg

        for attempt in (0, 1):  # a connection that was kept may be dead; insert-first-wins makes the second try safe
            kept = not attempt and bool(self._idle)
            connection = None
            try:
                connection = self._connection(fresh=bool(attempt))
                rows = connection.execute(text.replace("?", "%s"), given or None).fetchall()
                if then:
                    connection.execute(then)
                    connection.execute("SELECT pg_advisory_unlock_all()")
            except psycopg.Error as error:
                if connection is not None:
                    connection.close()
                if not kept:
                    said = str(error).strip().splitlines()
                    raise NotReady(f"PostgreSQL: {said[0] if said else type(error).__name__}") from None
                continue
            self._idle.append(connection)
            return list(rows)
        raise NotReady("PostgreSQL ends every connection")

    def _connection(self, *, fresh: bool) -> Any:
        import psycopg

        if not fresh:
            with suppress(IndexError):
                return self._idle.pop()
        return psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)

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
        return {"answers": int(answers), "tries": int(tries)}

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()
