"""The little Markdown that made pages need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [_row(head), "|" + "---|" * len(head)]
    return [*lines, *(_row(row) for row in cells)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def code(words: Iterable[object]) -> str:
    """Return words as code, joined by commas."""
    return ", ".join(f"`{word}`" for word in words)
