"""Finding documents in the SQLite catalog: along an index in their order, or through all texts for rare words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from cloudms.catalog.sqlite_file import name_number
from cloudms.catalog.sqlite_rows import SELECT, place

_LITERAL = {ord(sign): f"[{sign}]" for sign in "*?["}  # GLOB finds text faster than instr() does
_NEAR = 1500
"""Rows in which a word is looked for in their order, before the texts of all are read."""
_FIRST = "SELECT id, key FROM document WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
_FIRST_OF_CLOUD = "SELECT id, key FROM document WHERE kind = ? AND cloud = ? AND key > ? ORDER BY key LIMIT ?"


class Asked:
    """A search: documents of `kind`, narrowed by `cloud` and `name`, by `tags` that stand in their labels and `words`
    that stand in their search text; at most `limit` (0: all).
    """

    def __init__(self, kind: str, cloud: str, name: str, tags: Sequence[str], words: Sequence[str], limit: int) -> None:
        self._kind, self._name, self._limit = kind, name, limit
        self._cloud, self._tags = cloud, tags
        self._words = [f"*{word.translate(_LITERAL)}*" for word in words]

    def newest(self, db: sqlite3.Connection, after: str) -> list[Any]:
        """Return rows, the last inserted first, from below `after`. Raises: NotFound (that is gone)."""
        where, values = self._conditions(indexed=False)
        if after:
            where.append("d.id < ?")
            values.append(place(db, self._kind, after))
        return self._rows(db, SELECT, where, values, "d.id DESC")

    def ordered(self, db: sqlite3.Connection, after: str) -> list[Any]:
        """Return rows in the order of their keys, from above `after`."""
        if self._words and not self._name:
            first = [row[0] for row in db.execute(*self._first(after))]
            if len(first) > _NEAR:
                return self._near(db, first) or self._everywhere(db, after)
            return self._among(db, first)
        where, values = self._conditions(indexed=not self._tags)
        return self._rows(db, SELECT, *_above(where, values, after), "d.key")

    def _first(self, after: str) -> tuple[str, list[Any]]:
        """Return the query for the first rows in which words are looked for."""
        if self._cloud:
            return _FIRST_OF_CLOUD, [self._kind, self._cloud, after, _NEAR + 1]
        return _FIRST, [self._kind, after, _NEAR + 1]

    def _near(self, db: sqlite3.Connection, first: Sequence[int]) -> list[Any]:
        """Return the rows when the first of all hold enough, else none: words that are common are found at once."""
        rows = self._among(db, first) if self._limit else []
        return rows if len(rows) == self._limit else []

    def _among(self, db: sqlite3.Connection, idents: Sequence[int]) -> list[Any]:
        """Return the rows among these."""
        where, values = self._conditions(indexed=False)
        where[0] = f"+d.kind = ? AND s.id IN ({', '.join('?' * len(idents))})"
        select = SELECT.replace("FROM document d", "FROM search s CROSS JOIN document d ON d.id = s.id")
        return self._rows(db, select, where, [values[0], *idents, *values[1:]], "d.key", joined=True)

    def _everywhere(self, db: sqlite3.Connection, after: str) -> list[Any]:
        """Return the rows after reading all texts, which lie one behind another, and looking at what has the words."""
        where, values = self._conditions(indexed=False)
        select = SELECT.replace("FROM document d", "FROM search s CROSS JOIN document d ON d.id = s.id")
        return self._rows(db, select, *_above(where, values, after), "d.key", joined=True)

    def _conditions(self, *, indexed: bool) -> tuple[list[str], list[Any]]:
        """Return conditions and their values; unless `indexed`, without the index of clouds."""
        where = ["+d.kind = ?" if self._name else "d.kind = ?"]
        values: list[Any] = [self._kind]
        if self._cloud:
            # The plus keeps SQLite from walking the index of clouds where another one has the rows in their order.
            where.append("d.cloud = ?" if indexed and not self._name else "+d.cloud = ?")
            values.append(self._cloud)
        if self._name:
            where += ["d.named = ?", "d.name = ?"]
            values += [name_number(self._name), self._name]
        return [*where, *["instr(d.labels, ?)"] * len(self._tags)], [*values, *self._tags]

    def _rows(
        self,
        db: sqlite3.Connection,
        select: str,
        where: list[str],
        values: list[Any],
        order: str,
        *,
        joined: bool = False,
    ) -> list[Any]:
        """Run a search, with the words that it is for."""
        if self._words:
            select = select if joined else f"{select} JOIN search s ON s.id = d.id"
            where, values = [*where, *["s.text GLOB ?"] * len(self._words)], [*values, *self._words]
        query = f"{select} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"
        return db.execute(query, (*values, self._limit or -1)).fetchall()


def _above(where: list[str], values: list[Any], after: str) -> tuple[list[str], list[Any]]:
    return ([*where, "d.key > ?"], [*values, after]) if after else (where, values)
