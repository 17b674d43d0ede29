"""What every output format is given: rows, how they are to be shown, and how a row becomes plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.record import Record

Row = Any
"""A noun, a mapping, or a line of text."""


class View(Record):
    """How rows are to be shown.

    `columns` in order; `single`, the one row is an object of its own and no list; `header`, whether column names are
    shown; `width`, the columns of the terminal (None: a pipe); `color`; `ascii`, only ASCII can be written; `now`,
    epoch seconds; `streaming`, rows come over time.
    """

    columns: tuple[str, ...] = ()
    single: bool = False
    header: bool = True
    width: int | None = None
    color: bool = False
    ascii: bool = False
    now: float = 0.0
    streaming: bool = False


def public(row: Row) -> Any:
    """Return a row as JSON values."""
    if hasattr(row, "to_public"):
        return row.to_public()
    if isinstance(row, Record):
        return {key: public(value) for key, value in row.__dict__.items()}
    if isinstance(row, Mapping):
        return {str(key): public(value) for key, value in row.items()}
    if isinstance(row, (list, tuple, set, frozenset)):
        return [public(item) for item in row]
    return row if row is None or type(row) in (str, bool, int, float) else str(row)
