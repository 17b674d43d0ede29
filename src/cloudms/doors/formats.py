"""Output formats: functions that turn rows into text, chunk by chunk, so that a stream is shown as it comes.

A plug-in adds one through the entry-point group `cloudms.formats`: a function `(rows, view) -> Iterator[str]`. A row is
a noun, a mapping, or a line of text; `public` makes plain data of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, TypeVar

from cloudms.doors.screen import plain
from cloudms.doors.view import Row, View, public

__all__ = ["Format", "Row", "View", "as_csv", "as_json", "as_yaml", "names", "public", "table", "tabular"]

Format = Callable[[Iterable[Row], View], Iterator[str]]
_F = TypeVar("_F", bound=Format)


def tabular(function: _F) -> _F:
    """Mark a format that shows columns, and so takes `--columns`."""
    function.takes_columns = True  # type: ignore[attr-defined]
    return function


@tabular
def table(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write columns for people; one row alone stands upright, a field per line."""
    from cloudms.doors import table as tables

    return tables.render(rows, view)


def as_json(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write an array with one object per line, or a single object; each line of a stream is whole at once."""
    from json import JSONEncoder

    encoder = JSONEncoder(ensure_ascii=view.ascii, indent=2 if view.single else None, allow_nan=False)

    def encode(plain: Any) -> str:
        try:
            return encoder.encode(plain)
        except ValueError:
            return encoder.encode(_finite(plain))

    if view.single:
        yield from (encode(public(row)) + "\n" for row in rows)
        return
    between, after = ("", "\n") if view.streaming else (",\n", "")
    before, end = "[\n", "[]\n"
    try:
        for row in rows:
            yield before + encode(public(row)) + after
            before, end = between or ",", "]\n" if view.streaming else "\n]\n"
    except KeyboardInterrupt:
        yield end  # what was shown stays readable
        raise
    yield end


def _finite(value: Any) -> Any:
    """Return plain data without the numbers that JSON does not have (RFC 8259, 6): they are null."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def as_yaml(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write the same objects as YAML."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    def dump(value: Any) -> str:
        text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=not view.ascii, width=4096)
        return text.removesuffix("...\n")

    empty = True
    for row in rows:
        empty = False
        plain = public(public(row))  # YAML knows words, but not the words of an enumeration
        yield dump(plain if view.single else [plain])
    if empty and not view.single:
        yield "[]\n"


@tabular
def as_csv(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write comma-separated values (RFC 4180 but for plain line ends), lists joined with spaces."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = view.columns
    headed = not view.header
    for row in rows:
        cells = _cells(row)
        columns = columns or tuple(cells)
        if not headed:
            writer.writerow(columns)
            headed = True
        writer.writerow([_flat(cells.get(name)) for name in columns])
        yield _taken(buffer)
    if not headed and columns:
        writer.writerow(columns)
        yield _taken(buffer)


def names(rows: Iterable[Row], view: View) -> Iterator[str]:
    """Write one name per line."""
    for row in rows:
        cells = _cells(row)
        if view.single and "name" not in cells and not isinstance(row, str):
            yield from (f"{key}\n" for key in cells)
        else:
            name = cells.get("name") or cells.get("target") or _flat(next(iter(cells.values()), ""))
            yield f"{name if isinstance(row, str) else plain(str(name))}\n"


def _cells(row: Row) -> dict[str, Any]:
    shown = public(row)
    if isinstance(shown, dict):
        return {key: value for key, value in shown.items() if key not in ("kind", "schema")}
    return {"value": shown}


def _taken(buffer: Any) -> str:
    text: str = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _flat(value: Any) -> str:
    """Return a value as one cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key}={_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(_flat(item) for item in value)
    return str(value)
