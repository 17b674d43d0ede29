"""Drawings as lines of text: dots of braille where the terminal can show them, else plain characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from cloudms.scaling import axis
from cloudms.scaling.plot import Chart, Line, Mark, Point
from cloudms.scaling.words import number

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character by row and column."""
SIGNS = {"out": "▲", "in": "▼", "replace": "●"}
PLAIN_SIGNS = {"out": "^", "in": "v", "replace": "o"}
_MARGIN = 8


class Canvas:
    """A field of `width` by `height` characters, on which dots are set: four by two in each, or one with `plain`."""

    def __init__(self, width: int, height: int, *, plain: bool) -> None:
        self.width, self.height, self.plain = width, height, plain
        self.cells = [[0] * width for _ in range(height)]

    @property
    def across(self) -> int:
        """Return how many dots fit side by side."""
        return self.width * (1 if self.plain else 2)

    @property
    def upward(self) -> int:
        """Return how many dots fit above each other."""
        return self.height * (1 if self.plain else 4)

    def dot(self, x: int, y: int, bit: int = 1) -> None:
        """Set the dot at `x` from the left and `y` from below."""
        if not (0 <= x < self.across and 0 <= y < self.upward):
            return
        down = self.upward - 1 - y
        if self.plain:
            self.cells[down][x] |= bit
        else:
            self.cells[down // 4][x // 2] |= _DOTS[down % 4][x % 2]

    def rows(self, letters: str = " *") -> list[str]:
        """Return the lines of text."""
        if self.plain:
            return ["".join(letters[min(cell, len(letters) - 1)] for cell in row) for row in self.cells]
        return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in self.cells]


def drawn(chart: Chart, *, width: int = 80, height: int = 20, plain: bool = False) -> list[str]:
    """Return the lines of a chart, of at most `width` characters each and about `height` of them.

    Parameters: `plain`, whether only ASCII can be shown.
    """
    wide = max(width - _MARGIN - 1, 16)
    line_height = max((height - 5) // (len(chart.lines[:2]) + 1), 3)
    found = [chart.title[:width]]
    for line in chart.lines[:2]:
        found += ["", _heading(line)[:width], *_load(chart, line, wide, line_height, plain=plain)]
    found += ["", _members_heading(chart)[:width], *_members(chart, wide, line_height, plain=plain)]
    found += _marks(chart, wide, plain=plain)
    found.append(_times(chart, wide))
    return [each.rstrip()[:width] for each in found]


def _heading(line: Line) -> str:
    limit = f", limit {number(line.limit)}{line.unit}" if line.limit is not None else ""
    return f"{line.name}{limit}"


def _members_heading(chart: Chart) -> str:
    bounds = f", {chart.least} to {chart.most}" if chart.least is not None and chart.most is not None else ""
    return f"members{bounds}"


def _load(chart: Chart, line: Line, wide: int, height: int, *, plain: bool) -> list[str]:
    canvas = Canvas(wide, height, plain=plain)
    if line.limit is not None:
        y = _up(canvas, line.limit, line.top)
        for x in range(0, canvas.across, 4):
            canvas.dot(x, y)
    _curve(canvas, chart.span, line.points, line.top)
    return _framed(
        canvas, line.top, lambda value: f"{number(value)}{line.unit}", axis.values(line.top, max(height // 2, 1))
    )


def _members(chart: Chart, wide: int, height: int, *, plain: bool) -> list[str]:
    canvas = Canvas(wide, height, plain=plain)
    begin, end = chart.span
    place, size = 0, 0.0
    for x in range(canvas.across):
        at = begin + (x + 1) / canvas.across * (end - begin)
        before = size
        while place < len(chart.sizes) and chart.sizes[place][0] <= at:
            size = chart.sizes[place][1]
            place += 1
        if place:
            low, high = sorted((_up(canvas, before, chart.tallest), _up(canvas, size, chart.tallest)))
            for y in range(low if before else high, high + 1):
                canvas.dot(x, y)
    return _framed(canvas, chart.tallest, number, axis.whole(chart.tallest, max(height // 2, 1)))


def _curve(canvas: Canvas, span: tuple[float, float], points: Sequence[Point], top: float) -> None:
    """Draw a line through points; where several fall on one column, from the lowest to the highest."""
    columns: dict[int, list[int]] = {}
    for at, value in points:
        columns.setdefault(_right(canvas.across, span, at), []).append(_up(canvas, value, top))
    last: tuple[int, int] | None = None
    for x, ys in sorted(columns.items()):
        for y in range(min(ys), max(ys) + 1):
            canvas.dot(x, y)
        if last and x - last[0] > 1:
            for between in range(last[0] + 1, x):
                part = (between - last[0]) / (x - last[0])
                canvas.dot(between, round(last[1] + (ys[0] - last[1]) * part))
        last = (x, ys[-1])


def _framed(canvas: Canvas, top: float, text: Callable[[float], str], ticks: Sequence[float]) -> list[str]:
    """Return the rows of a canvas with the texts of the left axis."""
    labels: dict[int, str] = {}
    for value in ticks:
        row = canvas.height - 1 - min(_up(canvas, value, top) * canvas.height // canvas.upward, canvas.height - 1)
        labels.setdefault(row, text(value))
    bar = "|" if canvas.plain else "│"
    rows = canvas.rows()
    return [
        f"{labels.get(number_of, '')[: _MARGIN - 1]:>{_MARGIN - 1}} {bar}{row}" for number_of, row in enumerate(rows)
    ]


def _marks(chart: Chart, wide: int, *, plain: bool) -> list[str]:
    """Return a line with a sign below each decision, and what the signs mean."""
    if not chart.marks:
        return []
    signs = PLAIN_SIGNS if plain else SIGNS
    row = [" "] * wide
    for mark in chart.marks:
        place = _right(wide, chart.span, mark.at)
        sign = signs.get(mark.action, "?")
        row[place] = sign if row[place] in (" ", sign) else "*"
    words = {"out": "added", "in": "taken out", "replace": "replaced"}
    kinds = [f"{signs[kind]} {_count(chart.marks, kind)} {words[kind]}" for kind in signs if _count(chart.marks, kind)]
    return [f"{'':{_MARGIN + 1}}{''.join(row)}", f"{'':{_MARGIN + 1}}{'   '.join(kinds)}"]


def _count(marks: Sequence[Mark], kind: str) -> int:
    return sum(mark.action == kind for mark in marks)


def _times(chart: Chart, wide: int) -> str:
    row = [" "] * wide
    free = 0
    for at, text in axis.times(*chart.span, max(wide // 14, 1)):
        place = _right(wide, chart.span, at)
        if place >= free and place + len(text) <= wide:
            row[place : place + len(text)] = text
            free = place + len(text) + 1
    return f"{'':{_MARGIN + 1}}{''.join(row)}"


def _right(dots: int, span: tuple[float, float], at: float) -> int:
    begin, end = span
    return min(int((at - begin) / (end - begin) * dots), dots - 1)


def _up(canvas: Canvas, value: float, top: float) -> int:
    return min(max(ceil(value / top * canvas.upward) - 1, 0), canvas.upward - 1)
