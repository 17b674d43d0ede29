"""Drawings as SVG, written by hand: nothing is needed to make them, and any browser shows them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cloudms.scaling import axis
from cloudms.scaling.plot import Chart, Line, Mark, Point
from cloudms.scaling.words import number

INK, PALE, GRID = "#1f2933", "#66717d", "#e4e7eb"
COLORS = ("#0b6bcb", "#c2410c", "#0f766e", "#7e22ce", "#a16207", "#be185d", "#475569")
ACTIONS = {"out": ("#15803d", "added"), "in": ("#b91c1c", "taken out"), "replace": ("#d97706", "replaced")}
_LEFT, _RIGHT, _GAP = 56.0, 36.0, 48.0


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class Page:
    """An SVG in the making."""

    def __init__(self, width: float, height: float, title: str, text: str = "") -> None:
        self.width, self.height = width, height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}"'
            f' height="{_n(height)}" role="img" font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{_safe(title)}</title>",
            *([f"<desc>{_safe(text)}</desc>"] if text else []),
            f'<rect width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>',
        ]

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str = GRID, dash: str = "", width: float = 1
    ) -> None:
        """Draw a straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{color}"'
            f' stroke-width="{_n(width)}"{dashed}/>'
        )

    def path(self, points: Sequence[Point], color: str, width: float = 1.5, dash: str = "", fill: str = "none") -> None:
        """Draw a line through points."""
        if not points:
            return
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        steps = " ".join(f"{'L' if place else 'M'}{_n(x)} {_n(y)}" for place, (x, y) in enumerate(points))
        self.parts.append(
            f'<path d="{steps}" fill="{fill}" stroke="{color}" stroke-width="{_n(width)}" stroke-linejoin="round"'
            f"{dashed}/>"
        )

    def area(self, points: Sequence[Point], color: str) -> None:
        """Fill what points enclose."""
        steps = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.parts.append(f'<polygon points="{steps}" fill="{color}" fill-opacity="0.12"/>')

    def text(self, x: float, y: float, text: str, color: str = INK, anchor: str = "start", size: float = 12) -> None:
        """Write a text."""
        self.parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" fill="{color}" text-anchor="{anchor}" font-size="{_n(size)}">'
            f"{_safe(text)}</text>"
        )

    def shape(self, points: Sequence[Point], color: str, tip: str = "") -> None:
        """Fill a small shape; `tip` is told when somebody points at it."""
        steps = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.parts.append(f'<polygon points="{steps}" fill="{color}"><title>{_safe(tip)}</title></polygon>')

    def dot(self, x: float, y: float, radius: float, color: str, tip: str = "") -> None:
        """Draw a filled circle; `tip` is told when somebody points at it."""
        inside = f"<title>{_safe(tip)}</title>" if tip else ""
        self.parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{color}">{inside}</circle>')

    def done(self) -> str:
        """Return the whole file."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


class Panel:
    """A part of the page with axes of its own."""

    def __init__(self, page: Page, top: float, height: float, span: tuple[float, float], most: float) -> None:
        self.page, self.top, self.height, self.span, self.most = page, top, height, span, most
        self.left, self.right = _LEFT, page.width - _RIGHT

    def x(self, at: float) -> float:
        """Return where a time is."""
        begin, end = self.span
        return self.left + (at - begin) / (end - begin) * (self.right - self.left)

    def y(self, value: float, most: float | None = None) -> float:
        """Return where a value is; what is above the scale is at its end."""
        part = max(min(value / (most or self.most), 1.0), 0.0)
        return self.top + self.height * (1 - part)

    def frame(self, ticks: Sequence[float], unit: str = "") -> None:
        """Draw the grid and the texts of the left axis."""
        for value in ticks:
            y = self.y(value)
            self.page.line(self.left, y, self.right, y)
            self.page.text(self.left - 6, y + 4, f"{number(value)}{unit}", PALE, "end", 11)

    def times(self) -> None:
        """Draw the texts of the time axis."""
        for at, text in axis.times(*self.span):
            x = self.x(at)
            self.page.line(x, self.top, x, self.top + self.height)
            self.page.text(x, self.top + self.height + 15, text, PALE, "middle", 11)


def drawn(chart: Chart, *, width: float = 900.0, height: float = 420.0) -> str:
    """Return the SVG of a chart; pointing at a mark tells why it was decided. Sizes are pixels."""
    page = Page(width, height, chart.title, _told(chart))
    page.text(_LEFT, 22, chart.title, size=15)
    if not chart.lines and chart.sizes:  # nothing is measured where only the time is looked at
        _members(page, Panel(page, 58, height - 82, chart.span, chart.tallest), chart)
        return page.done()
    room = (height - 60 - _GAP - 24) / 2
    _load(page, Panel(page, 58, room, chart.span, _scale(chart.lines)), chart.lines)
    _members(page, Panel(page, 58 + room + _GAP, room, chart.span, chart.tallest), chart)
    return page.done()


def _told(chart: Chart) -> str:
    sizes = [size for _at, size in chart.sizes]
    kinds = [f"{sum(mark.action == kind for mark in chart.marks)} times {word}" for kind, (_c, word) in ACTIONS.items()]
    between = f"{number(min(sizes))} to {number(max(sizes))} members, " if sizes else ""
    return between + ", ".join(kinds)


def _scale(lines: Sequence[Line]) -> float:
    return lines[0].top if lines else 1.0


def _load(page: Page, panel: Panel, lines: Sequence[Line]) -> None:
    panel.times()
    panel.frame(axis.values(panel.most), lines[0].unit if lines else "")
    if not lines:
        page.text(panel.left + 8, panel.top + 20, "nothing was measured", PALE)
    place = panel.left
    for order, line in enumerate(lines):
        color = COLORS[order % len(COLORS)]
        points = [(panel.x(at), panel.y(value, line.top)) for at, value in line.points]
        page.path(points, color)
        name = (
            line.name
            if order == 0 or line.unit == lines[0].unit
            else f"{line.name} (up to {number(line.top)}{line.unit})"
        )
        if line.limit is not None:
            y = panel.y(line.limit, line.top)
            page.line(panel.left, y, panel.right, y, color, "6 4")
            name += f", limit {number(line.limit)}{line.unit}"
        page.dot(place + 5, panel.top - 12, 4, color)
        page.text(place + 13, panel.top - 8, name, size=11)
        place += 28 + 6.2 * len(name)


def _members(page: Page, panel: Panel, chart: Chart) -> None:
    panel.times()
    panel.frame(axis.whole(panel.most))
    end = chart.span[1]
    for bound, word in ((chart.least, "min"), (chart.most, "max")):
        if bound is not None and bound <= panel.most:
            page.line(panel.left, panel.y(bound), panel.right, panel.y(bound), PALE, "2 4")
            page.text(panel.right + 5, panel.y(bound) + 3, word, PALE, size=10)
    if chart.sizes:
        steps = _stairs(panel, chart.sizes, end)
        floor = panel.top + panel.height
        page.area([(steps[0][0], floor), *steps, (steps[-1][0], floor)], COLORS[0])
        other = _stairs(panel, chart.beside, end) if chart.beside else []
        wished = [(panel.x(at), panel.y(count)) for at, count in chart.wished]
        page.path(other or wished, PALE, 1.5 if other else 1.0, "3 3")
        page.path(steps, COLORS[0], 2.0)
    page.dot(panel.left + 5, panel.top - 12, 4, COLORS[0])
    page.text(panel.left + 13, panel.top - 8, "members", size=11)
    page.line(panel.left + 78, panel.top - 12, panel.left + 98, panel.top - 12, PALE, "3 3")
    second = chart.beside_name if chart.beside else "wished"
    page.text(panel.left + 102, panel.top - 8, second, size=11)
    _legend(page, panel, panel.left + 124 + 6.2 * len(second), {mark.action for mark in chart.marks})
    for mark in chart.marks:
        _mark(page, panel, mark)


def _legend(page: Page, panel: Panel, place: float, kinds: set[str]) -> None:
    for kind, (color, word) in ACTIONS.items():
        if kind in kinds:
            _symbol(page, kind, place, panel.top - 12, color, word)
            page.text(place + 9, panel.top - 8, word, size=11)
            place += 26 + 6.2 * len(word)


def _stairs(panel: Panel, sizes: Sequence[Point], end: float) -> list[Point]:
    """Return the points of a line that goes in steps."""
    found: list[Point] = []
    for at, size in sizes:
        if found:
            found.append((panel.x(at), found[-1][1]))
        found.append((panel.x(at), panel.y(size)))
    return [*found, (panel.x(end), found[-1][1])]


def _mark(page: Page, panel: Panel, mark: Mark) -> None:
    color, _word = ACTIONS.get(mark.action, (INK, ""))
    _symbol(page, mark.action, panel.x(mark.at), panel.y(mark.size), color, mark.text)


def _symbol(page: Page, action: str, x: float, y: float, color: str, tip: str) -> None:
    if action == "replace":
        page.dot(x, y, 4, color, tip)
        return
    up = -1 if action == "out" else 1
    page.shape([(x, y + up * 5), (x - 5, y - up * 4), (x + 5, y - up * 4)], color, tip)


def scatter(
    title: str,
    across: str,
    upward: str,
    points: Sequence[tuple[str, float, float]],
    *,
    width: float = 640.0,
    height: float = 400.0,
) -> str:
    """Return the SVG of named points (name, x, y); `across` and `upward` say what the axes are. Sizes are pixels."""
    page = Page(
        width, height, title, "; ".join(f"{name}: {number(x)} {across}, {number(y)} {upward}" for name, x, y in points)
    )
    page.text(_LEFT, 22, title, size=15)
    most_x = max((x for _name, x, _y in points), default=0.0) * 1.15 or 1.0
    most_y = max((y for _name, _x, y in points), default=0.0) * 1.15 or 1.0
    panel = Panel(page, 52, height - 52 - 48, (0.0, most_x), most_y)
    panel.frame(axis.values(most_y))
    for value in axis.values(most_x, 6):
        page.line(panel.x(value), panel.top, panel.x(value), panel.top + panel.height)
        page.text(panel.x(value), panel.top + panel.height + 15, number(value), PALE, "middle", 11)
    page.text(panel.left, 42, upward, PALE, size=11)
    page.text(panel.right, height - 12, across, PALE, "end", 11)
    dots = [(panel.x(x), panel.y(y)) for _name, x, y in points]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    for order, ((name, value_x, value_y), (x, y)) in enumerate(zip(points, dots, strict=True)):
        color = COLORS[order % len(COLORS)]
        page.dot(x, y, 6, color, f"{name}: {number(value_x)} {across}, {number(value_y)} {upward}")
        box = _free(x, y, 7.0 * len(name), taken, panel.right)
        if not box[1] - 4 <= y <= box[3] + 4:
            page.line(x, y, max(min(x, box[2]), box[0]), box[1] if box[1] > y else box[3], color, width=0.7)
        page.text(box[0], box[3] - 3, name, color)
        taken.append(box)
    return page.done()


def _free(x: float, y: float, wide: float, taken: Sequence[Box], right: float) -> Box:
    """Return where a name can stand without covering another, or a point."""
    beside = [x + 10, x - 10 - wide] if x + 10 + wide < right else [x - 10 - wide]
    places = [
        (left, y - 7 + shift, left + wide, y + 7 + shift) for shift in (0, 15, -15, 30, -30, 45, -45) for left in beside
    ]
    free = (box for box in places if not any(_covers(box, other) for other in taken))
    return next(free, places[0])


def _covers(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _safe(text: str) -> str:
    """Return a text as XML may have it."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
