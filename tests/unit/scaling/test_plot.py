"""Drawings of what a group went through: as SVG, and as lines of text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudms.scaling import axis, plot, svg, terminal
from cloudms.scaling.base import Decision, Sample
from cloudms.scaling.spec import ScalingSpec

SPEC = ScalingSpec.from_plain({"max": 4, "policies": [{"kind": "target", "metric": "cpu", "value": 60}]})
START = 1_782_900_000.0
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 (our own)


def decision(minute: int, size: int, clamped: int, cpu: float | None = 50.0, action: str = "") -> Decision:
    found = action or ("out" if clamped > size else "in" if clamped < size else "hold")
    inputs = ({"policy": "target cpu", "metric": "cpu", "value": cpu, "reason": "cpu <is> 50 & more"},)
    return Decision(
        name="web", group="web", at=START + 60 * minute, size=size, clamped=clamped, action=found, inputs=inputs,
        wished=None if cpu is None else size * cpu / 60, reason=f"from {size} to {clamped}: cpu <is> {cpu} & more",
    )  # fmt: skip


STORY = [
    decision(0, 1, 1), decision(1, 1, 2, 95.0), decision(2, 2, 2, None), decision(3, 2, 2, action="replace"),
    decision(4, 2, 3, 90.0), decision(20, 3, 2, 10.0), decision(25, 2, 2, 40.0),
]  # fmt: skip


def test_a_drawing_has_a_mark_for_each_decision_that_says_why() -> None:
    page = parsed(svg.drawn(plot.chart("group web", STORY, SPEC)))
    tips = [each.text or "" for each in page.iter(f"{SVG}title")]
    assert tips[0] == "group web"
    assert [tip for tip in tips if tip.startswith("from ")] == [d.reason for d in STORY if d.action != "hold"]
    assert "1 to 3 members, 2 times added, 1 times taken out, 1 times replaced" in str(page.findtext(f"{SVG}desc"))
    texts = [each.text for each in page.iter(f"{SVG}text")]
    assert {"cpu, limit 60%", "members", "wished", "max", "min", "100%"} <= set(texts)


def test_members_are_drawn_in_steps() -> None:
    chart = plot.chart("web", STORY, SPEC)
    page = parsed(svg.drawn(chart))
    paths = [str(each.get("d")) for each in page.iter(f"{SVG}path")]
    points = [tuple(map(float, each.split())) for each in re.split("[ML]", paths[-1]) if each.strip()]
    assert len(points) == 2 * len(chart.sizes)
    assert all(one[0] == two[0] or one[1] == two[1] for one, two in pairwise(points))


def test_samples_are_drawn_where_they_are_given() -> None:
    samples = [
        Sample("cpu", START + 60 * m, value, name) for m in range(5) for name, value in (("a", 20.0), ("b", 40.0))
    ]
    samples += [Sample("requests", START + 60 * m, 7.0 * m) for m in range(5)]
    chart = plot.chart("web", STORY, SPEC, samples=samples)
    assert [line.name for line in chart.lines] == ["cpu", "requests"]
    assert {value for _at, value in chart.lines[0].points} == {30.0}
    assert chart.lines[0].limit == 60
    assert "requests (up to 30.8/s)" in svg.drawn(chart)


def test_text_shows_load_members_and_decisions() -> None:
    lines = terminal.drawn(plot.chart("group web", STORY, SPEC), width=60, height=20)
    assert lines[0] == "group web"
    assert "cpu, limit 60%" in lines
    assert "members, 1 to 4" in lines
    assert "▲ 2 added   ▼ 1 taken out   ● 1 replaced" in "\n".join(lines)
    signs = next(line for line in lines if "▼" in line and "added" not in line)
    assert signs.index("▲") < signs.index("●") < signs.index("▼")
    assert max(len(line) for line in lines) <= 60


def test_plain_text_is_ascii() -> None:
    lines = terminal.drawn(plot.chart("group web", STORY, SPEC), plain=True)
    assert all(line.isascii() for line in lines)
    assert "^ 2 added" in "\n".join(lines)


def test_the_line_of_members_stands_at_its_number() -> None:
    steady = [decision(minute, 3, 3) for minute in range(10)]
    chart = plot.chart("web", steady, SPEC).with_(lines=())
    rows = [line for line in terminal.drawn(chart, width=40, height=14, plain=True) if "|" in line]
    (row,) = [place for place, line in enumerate(rows) if "*" in line]
    assert rows[row].split("|")[1] == "*" * 31
    assert len(rows) - row == pytest.approx(3 / 4.4 * len(rows), abs=1)


@pytest.mark.parametrize("decisions", [[], [decision(0, 0, 0, None)]])
def test_nothing_to_draw_is_drawn(decisions: list[Decision]) -> None:
    chart = plot.chart("group web", decisions)
    assert parsed(svg.drawn(chart)).findtext(f"{SVG}title") == "group web"
    assert ("nothing was measured" in svg.drawn(chart)) == (not decisions)
    assert terminal.drawn(chart)[0] == "group web"


def test_no_text_breaks_a_drawing() -> None:
    odd = decision(1, 1, 2).with_(reason="<b>&\x00\x1b[31m\uffff")
    assert "]" not in parsed(svg.drawn(plot.chart("we\x07b", [odd]))).findtext(f"{SVG}title", "")


def test_a_long_story_is_thinned_and_keeps_its_peaks() -> None:
    points = [(float(at), 100.0 if at == 5555 else 1.0) for at in range(20_000)]
    thin = plot.thinned(points)
    assert len(thin) <= plot.MOST_POINTS
    assert thin[0] == points[0]
    assert thin[-1] == points[-1]
    assert (5555.0, 100.0) in thin


def test_points_that_lie_together_keep_their_names_readable() -> None:
    points = [(f"policy {number}", 5.0 + number / 100, 0.12) for number in range(5)]
    page = parsed(svg.scatter("Cost against latency", "cost", "latency", points))
    heights = [float(str(each.get("y"))) for each in page.iter(f"{SVG}text") if "policy" in str(each.text)]
    assert len(heights) == 5
    assert len(set(heights)) >= 3


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e7), st.integers(1, 8))
def test_axes_have_round_numbers_inside(top: float, count: int) -> None:
    found = axis.values(top, count)
    assert found[0] == 0
    assert found[-1] <= top * (1 + 1e-9)
    assert 1 <= len(found) <= 2 * count + 2


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 4e9), st.floats(1, 4e7))
def test_times_of_an_axis_lie_inside(begin: float, length: float) -> None:
    found = axis.times(begin, begin + length)
    assert all(begin - 1e-3 <= at <= begin + length + 1e-3 for at, _text in found)
    assert len(found) <= 70


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5000), st.integers(0, 50), st.integers(0, 50), st.one_of(st.none(), st.floats(0, 500))
        ),
        max_size=30,
    ),
    st.integers(1, 200),
    st.integers(1, 60),
    st.booleans(),
)
def test_whatever_was_decided_can_be_drawn(
    rows: list[tuple[int, int, int, float]], width: int, height: int, plain: bool
) -> None:
    chart = plot.chart("any <group>", [decision(*row) for row in rows], SPEC)
    parsed(svg.drawn(chart))
    assert all(len(line) <= width for line in terminal.drawn(chart, width=width, height=height, plain=plain))
