"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudms.doors.formats import Row, View, public, tabular


@tabular
def markdown(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write a table in Markdown; text stays as it is."""
    columns: tuple[str, ...] = ()
    for row in rows:
        found = public(row)
        if not isinstance(found, dict):
            yield f"{found}\n"
            continue
        if not columns:
            columns = tuple(view.columns) or tuple(found)
            yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        yield f"| {' | '.join(str(found.get(name, '')) for name in columns)} |\n"
