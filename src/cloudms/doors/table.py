"""Tables for people: columns that fit, ages instead of times, colours where a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clock import age
from cloudms.doors.screen import plain
from cloudms.doors.view import View, public
from cloudms.model import TIMES, Noun, Rule
from cloudms.record import Record
from cloudms.verb import Title

_GAP = "  "
_LEAST = 8
"""Columns are not made narrower than this."""
_MOST = 40
"""Columns of rows that come over time do not grow beyond this; what is longer is not cut."""
_FIRST = {"NAME": 20, "STATE": 5, "LEVEL": 7}
"""How wide such columns are from the start, so that the first rows stand in line with those that come later."""

_GREEN = frozenset(("running", "active", "available", "done", "ok", "ready", "attached", "healthy"))
_RED = frozenset(("error", "fail", "failed", "unreachable", "denied", "interrupted", "unsupported", "dead"))
_YELLOW = frozenset(
    ("pending", "stopping", "suspending", "rebooting", "resizing", "awaiting_confirm", "rebuilding", "terminating",
     "unknown", "partial", "cancelled", "unset", "waiting", "not_ready", "warn", "warning")
)  # fmt: skip


def render(rows: Iterable[Any], view: View) -> Iterator[str]:
    """Yield the lines of a table; text rows are shown as they are."""
    if view.streaming:
        yield from _stream(rows, view)
        return
    kept = list(rows)
    if view.single and kept and not isinstance(kept[0], str):
        yield from _upright(kept[0], view)
    elif kept and all(isinstance(row, str | int | float) for row in kept):
        yield from (f"{plain(str(row))}\n" for row in kept)
    elif kept or view.columns:
        yield from _grid(kept, view)


def _stream(rows: Iterable[Any], view: View) -> Iterator[str]:
    """Yield rows as they come: lines of text untouched, others in columns that grow with what they have to hold."""
    columns: tuple[str, ...] = ()
    sizes: list[int] = []
    for row in rows:
        if isinstance(row, str):
            line = row.removesuffix("\n")
            yield _styled(line, "1" if isinstance(row, Title) else "", view) + "\n"
            continue
        if not columns:
            columns = view.columns or _columns(row)
            columns = columns[:1] + tuple(name for name in columns[1:] if name != "hint")
            titles = [name.upper().replace("_", " ") for name in columns]
            sizes = _grown([max(_wide(title), _FIRST.get(title, 0)) for title in titles], row, columns, view)
            if view.header:
                yield _line([_styled(_filled(t, size), "1", view) for t, size in zip(titles, sizes, strict=True)])
        sizes = _grown(sizes, row, columns, view)
        cells = [cell(row, name, view.now) for name in columns]
        yield from _wrapped(cells, sizes, view)
        yield from _hint(row, sizes, view) if "hint" in (view.columns or _columns(row))[1:] else ()


def _grown(sizes: list[int], row: Any, columns: tuple[str, ...], view: View) -> list[int]:
    """Return column sizes that hold a row as well, up to a limit."""
    wide = [min(_wide(cell(row, name, view.now)), _MOST) for name in columns]
    return [max(pair) for pair in zip(sizes, wide, strict=True)]


def _wrapped(cells: list[str], sizes: list[int], view: View) -> Iterator[str]:
    """Yield a row whose last cell goes on below itself where the terminal ends."""
    from textwrap import wrap

    indent = _total([*sizes[:-1], 0])
    room = max(view.width - indent, _MOST) if view.width else 0
    last = (wrap(cells[-1], room) if room else []) or cells[-1:]
    first = [_filled(text, size) for text, size in zip([*cells[:-1], last[0]], [*sizes[:-1], 0], strict=True)]
    yield _line([_styled(text, _style(text.rstrip()), view) for text in first])
    yield from (" " * indent + line + "\n" for line in last[1:])


def _hint(row: Any, sizes: list[int], view: View) -> Iterator[str]:
    """Yield what mends a row, on a line of its own: it is often longer than what is wrong, and is to be copied."""
    text = cell(row, "hint", view.now)
    if text != "-":
        yield " " * _total([*sizes[:-1], 0]) + _styled("hint: ", "36", view) + text + "\n"


def _grid(rows: list[Any], view: View) -> Iterator[str]:
    columns = view.columns or _columns(rows[0])
    titles = [name.upper().replace("_", " ") for name in columns]
    lines = [[cell(row, name, view.now) for name in columns] for row in rows]
    sizes = _sizes([titles, *lines] if view.header else lines)
    if view.width and lines and _total(sizes) > view.width:
        titles, *lines = _filled_columns(titles, lines)
        sizes = _fitted(_sizes([titles, *lines] if view.header else lines), view.width)
    if view.header:
        yield _line([_styled(_padded(t, size), "1", view) for t, size in zip(titles, sizes, strict=True)])
    for line in lines:
        yield _line([_styled(_padded(text, size), _style(text), view) for text, size in zip(line, sizes, strict=True)])


def _sizes(lines: list[list[str]]) -> list[int]:
    return [max(_wide(text) for text in column) for column in zip(*lines, strict=True)]


def _total(sizes: list[int]) -> int:
    return sum(sizes) + len(_GAP) * (len(sizes) - 1)


def _filled_columns(titles: list[str], lines: list[list[str]]) -> list[list[str]]:
    """Return titles and lines without the columns that hold nothing: on a narrow terminal others need their room."""
    kept = [i for i in range(len(titles)) if any(line[i] != "-" for line in lines)] or [0]
    return [[line[i] for i in kept] for line in (titles, *lines)]


def _line(cells: list[str]) -> str:
    return _GAP.join(cells).rstrip() + "\n"


def _upright(row: Any, view: View) -> Iterator[str]:
    names = view.columns or _columns(row, all_of_it=True)
    tables = [name for name in names if _is_table(_value(row, name))]
    names = tuple(name for name in names if name not in tables)
    size = max((len(name) for name in names), default=0)
    for name in names:
        text = cell(row, name, view.now)
        label = _styled(f"{name:<{size}}", "1", view)
        yield f"{label}{_GAP}{_styled(text, _style(text), view)}\n"
    for name in tables:
        yield f"{_styled(name, '1', view)}\n"
        inside = view.with_(columns=(), width=view.width and view.width - len(_GAP))
        yield from (_GAP + line for line in _grid(list(_value(row, name)), inside))


def _is_table(value: Any) -> bool:
    """Whether a field holds rows of its own, such as the steps of an operation."""
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Record) for item in value)


def _columns(row: Any, *, all_of_it: bool = False) -> tuple[str, ...]:
    """Return the columns of a row that nobody has chosen columns for."""
    if hasattr(type(row), "columns") and not all_of_it:
        return tuple(row.columns)
    if isinstance(row, Noun):
        return tuple(name for name in type(row).field_names() if name != "raw")
    if isinstance(row, Record):
        return type(row).field_names()
    if isinstance(row, Mapping):
        return tuple(_keys(row)) if all_of_it else tuple(str(key) for key in row if key not in ("kind", "schema"))
    return ("value",)


def _keys(row: Mapping[Any, Any], before: str = "") -> Iterator[str]:
    """Yield the dotted keys of a nested mapping."""
    for key, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{before}{key}.")
        elif before or key not in ("kind", "schema"):
            yield f"{before}{key}"


def cell(row: Any, name: str, now: float) -> str:
    """Return one field of a row as a person reads it; `now` in epoch seconds makes times into ages."""
    value = _value(row, name)
    if value is None or value == "" or (isinstance(value, list | tuple | dict) and not value):
        return "-"
    if isinstance(row, Mapping) and row.get("kind") == "result":
        return plain(words_of(value))  # its columns have the names that a person gave them
    if name.rpartition(".")[2] in TIMES:
        return _ago(value, now)
    if name == "size" and isinstance(value, int) and _value(row, "kind") not in ("group", "decision"):
        return _bytes(value)
    return plain(words_of(value))


def _value(row: Any, name: str) -> Any:
    fields = row.__dict__ if isinstance(row, Record) else row
    if not isinstance(fields, Mapping):
        return row
    if name in fields:
        return fields[name]
    head, _, rest = name.partition(".")
    return _value(fields[head], rest) if rest and isinstance(fields.get(head), Mapping) else getattr(row, name, None)


def words_of(value: Any) -> str:
    """Return a value of any kind as words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={words_of(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        rules = [rule.text for rule in map(_rule, value) if rule is not None]
        return ", ".join(rules) or " ".join(words_of(item) for item in value)
    if isinstance(value, Record):
        return words_of(public(value))
    return str(value)


def _rule(value: Any) -> Rule | None:
    """Return a rule of a security group, which the result of a change holds as plain data."""
    if isinstance(value, Mapping) and value.keys() == set(Rule.field_names()):
        return Rule(**value)
    return value if isinstance(value, Rule) else None


def _ago(value: Any, now: float) -> str:
    """Return a time as its distance from now: 5m ago, in 23h."""
    if isinstance(value, str):
        from datetime import datetime

        try:
            value = datetime.fromisoformat(value).timestamp()
        except ValueError:
            return plain(value)
    if not isinstance(value, int | float):
        return plain(str(value))
    return f"in {age(value - now + 1)}" if value > now + 1 else f"{age(now - value)} ago"


def _bytes(value: int) -> str:
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _wide(text: str) -> int:
    """Return the columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _filled(text: str, size: int) -> str:
    return text + " " * (size - _wide(text))


def _padded(text: str, size: int) -> str:
    """Return `text` cut or filled to `size` columns."""
    if _wide(text) <= size:
        return _filled(text, size)
    while text and _wide(text) > size - 1:
        text = text[:-1]
    return _filled(text + "…", size)


def _fitted(sizes: list[int], width: int) -> list[int]:
    """Return column sizes that together fit `width`, taken from the widest first."""
    sizes = list(sizes)
    over = _total(sizes) - width
    while over > 0:
        widest = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[widest] <= _LEAST:
            break
        below = max((size for size in sizes if size < sizes[widest]), default=0)
        cut = min(over, max(1, sizes[widest] - max(below, _LEAST)))
        sizes[widest] -= cut
        over -= cut
    return sizes


def _style(text: str) -> str:
    if text in _GREEN:
        return "32"
    if text in _RED:
        return "31"
    return "33" if text in _YELLOW else "2" if text == "-" else ""


def _styled(text: str, style: str, view: View) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if style and view.color else text
