"""Output formats and tables."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml

from cloudms.clock import ManualClock
from cloudms.doors import formats, table
from cloudms.doors.formats import View, public
from cloudms.doors.screen import Screen
from cloudms.doors.show import Show
from cloudms.engine.plan import Listing
from cloudms.model import Check, Image, Operation, Step
from cloudms.verb import Title
from tests.unit.doors.conftest import Cms
from tests.unit.doors.toys import WEB

NOW = 1_700_000_300.0


def shown(name: str, rows: list[Any], **view: Any) -> str:
    return "".join(getattr(formats, name)(rows, View(now=NOW, **view)))


def test_json_is_an_array_with_an_object_per_line() -> None:
    text = shown("as_json", [WEB, WEB.with_(name="web2")])
    assert [item["name"] for item in json.loads(text)] == ["web1", "web2"]
    assert len(text.splitlines()) == 4
    assert shown("as_json", []) == "[]\n"


def test_each_line_of_a_json_stream_is_whole() -> None:
    chunks = list(formats.as_json(iter(["a", "b"]), View(streaming=True)))
    assert chunks == ['[\n"a"\n', ',"b"\n', "]\n"]
    assert list(formats.as_json(iter([]), View(streaming=True))) == ["[]\n"]


def test_json_of_one_thing_is_an_object_that_describes_itself() -> None:
    found = json.loads(shown("as_json", [WEB], single=True))
    assert (found["kind"], found["schema"], found["created"]) == ("vm", 1, "2023-11-14T22:13:20Z")
    assert found["public_ips"] == ["192.0.2.1", "192.0.2.2"]
    assert "raw" not in found


def test_json_is_valid_where_only_ascii_can_be_written() -> None:
    text = shown("as_json", [{"name": "é"}], ascii=True)
    assert text.isascii()
    assert json.loads(text) == [{"name": "é"}]


def test_yaml_says_the_same_as_json() -> None:
    rows = [WEB, {"name": "é", "n": None, "day": "2023-11-14", "yes": "no"}]
    assert yaml.safe_load(shown("as_yaml", rows)) == json.loads(shown("as_json", rows))
    assert yaml.safe_load(shown("as_yaml", [WEB], single=True)) == json.loads(shown("as_json", [WEB], single=True))
    assert yaml.safe_load(shown("as_yaml", [])) == []
    assert yaml.safe_load(shown("as_yaml", ["text"], single=True)) == "text"


def test_csv_has_a_header_and_joins_lists() -> None:
    text = shown("as_csv", [WEB], columns=("name", "public_ips", "labels", "group", "created", "protected"))
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "public_ips", "labels", "group", "created", "protected"],
        ["web1", "192.0.2.1 192.0.2.2", "tier=web", "", "2023-11-14T22:13:20Z", "false"],
    ]


def test_csv_quotes_what_needs_it() -> None:
    rows = [{"a": 'x,"y"\nz', "b": None}]
    assert list(csv.DictReader(io.StringIO(shown("as_csv", rows)))) == [{"a": 'x,"y"\nz', "b": ""}]


def test_csv_of_nothing_is_its_header() -> None:
    assert shown("as_csv", [], columns=("a", "b")) == "a,b\n"
    assert shown("as_csv", [], columns=("a", "b"), header=False) == ""


@pytest.mark.parametrize(
    ("rows", "view", "expected"),
    [
        ([WEB, {"name": "x"}], {}, "web1\nx\n"),
        ([{"target": "t"}], {}, "t\n"),
        ([{"a": 1, "b": 2}], {"single": True}, "a\nb\n"),
        ([WEB], {"single": True}, "web1\n"),
        (["line"], {}, "line\n"),
    ],
)
def test_names_are_one_per_line(rows: list[Any], view: dict[str, Any], expected: str) -> None:
    assert shown("names", rows, **view) == expected


def test_public_makes_plain_data_of_records() -> None:
    operation = Operation(name="op-1", steps=(Step(action="a", cloud="c", target="t"),))
    assert public({"o": [operation]})["o"][0]["steps"][0]["target"] == "t"
    assert public(object).startswith("<class")


def test_a_table_has_aligned_columns_and_ages() -> None:
    text = shown(
        "table", [WEB, WEB.with_(name="a-longer-name", group="g")], columns=("name", "group", "state", "created")
    )
    assert text == (
        "NAME           GROUP  STATE    CREATED\n"
        "web1           -      running  5m ago\n"
        "a-longer-name  g      running  5m ago\n"
    )


def test_a_table_without_header() -> None:
    assert shown("table", [WEB], columns=("name", "cloud"), header=False) == "web1  near\n"


def test_columns_that_hold_nothing_make_room_on_a_narrow_terminal() -> None:
    rows = [{"name": "web1", "group": "", "state": "running"}, {"name": "web2", "group": "", "state": "stopped"}]
    assert shown("table", rows, width=19) == "NAME  STATE\nweb1  running\nweb2  stopped\n"
    assert "GROUP" in shown("table", rows, width=20)
    assert "GROUP" in shown("table", [{**rows[0], "group": "g"}, rows[1]], width=19)
    assert shown("table", [{"name": ""}], width=1) == "NAME\n-\n"
    assert "GROUP" in shown("table", [], width=10, columns=("name", "group", "state"))


def test_an_empty_table_is_its_header() -> None:
    assert shown("table", [], columns=("name", "public_ips")) == "NAME  PUBLIC IPS\n"
    assert shown("table", []) == ""


def test_a_table_is_cut_on_a_terminal_only() -> None:
    rows = [{"name": "n" * 40, "text": "t" * 60, "id": "short"}]
    assert max(map(len, shown("table", rows).splitlines())) == 109
    cut = shown("table", rows, width=60).splitlines()
    assert max(map(len, cut)) == 60
    assert "…" in cut[1]
    assert cut[1].endswith("short")


def test_a_table_narrower_than_its_columns_can_be_stays_readable() -> None:
    line = shown("table", [{f"column{n}": "v" * 20 for n in range(9)}], width=30).splitlines()[1]
    assert line.count("vvvvvvv…") == 9


def test_wide_letters_take_two_places() -> None:
    text = shown("table", [{"name": "漢字", "x": "1"}, {"name": "é", "x": "2"}])
    assert text.splitlines()[1:] == ["漢字  1", "é     2"]
    assert shown("table", [{"name": "漢" * 20, "x": "1"}], width=12).splitlines()[1] == "漢漢漢漢…  1"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in shown("table", [{"name": "\x1b]0;owned\x07\nnext"}])


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[32m" in shown("table", [WEB], color=True)
    assert "\x1b" not in shown("table", [WEB])


def test_one_thing_stands_upright() -> None:
    lines = shown("table", [WEB], single=True).splitlines()
    assert lines[0] == "name            web1"
    assert "labels          tier=web" in lines
    assert "created         5m ago" in lines
    assert not any(line.startswith("raw") for line in lines)


def test_nested_data_stands_with_dotted_keys() -> None:
    text = shown(
        "table", [{"kind": "x", "a": {"b": {"c": 1}, "d": {}}, "e": [1, "x"], "f": True, "g": 0.25}], single=True
    )
    assert text == "a.b.c  1\na.d    -\ne      1 x\nf      yes\ng      0.25\n"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("expires", NOW + 86_400, "in 1d"),
        ("expires", NOW + 7_199.5, "in 2h"),
        ("created", NOW - 30, "30s ago"),
        ("created", "2023-11-14T22:13:20Z", "5m ago"),
        ("created", "yesterday", "yesterday"),
        ("created", ["x"], "['x']"),
        ("size", 1023, "1023 B"),
        ("size", 1536 * 1024, "1.5 MiB"),
        ("size", 200 * 1024**3, "200 GiB"),
        ("size", 3 * 1024**4, "3.0 TiB"),
        ("size", "large", "large"),
        ("x", 0, "0"),
        ("x", False, "no"),
        ("x", [], "-"),
        ("x", None, "-"),
        ("x", 0.00012345678, "0.000123457"),
        ("x", {"a": [1, 2]}, "a=1 2"),
    ],
)
def test_cells(name: str, value: Any, text: str) -> None:
    assert table.cell({name: value}, name, NOW) == text


def test_cells_of_records_in_nouns() -> None:
    operation = Operation(name="op-1", steps=(Step(action="a", cloud="c", target="t"),))
    assert "target=t" in table.cell(operation, "steps", NOW)
    assert table.cell(Image(name="i", size=2048), "size", NOW) == "2.0 KiB"
    assert table.cell(WEB, "nonesuch", NOW) == "-"


def test_columns_can_be_chosen(cms: Cms) -> None:
    assert cms("toy", "list", "--columns", "id,name").out == "ID   NAME\ni-1  web1\ni-1  web2\n"
    assert cms("toy", "list", "--columns", "id,name", "-o", "csv", "--no-header").out == "i-1,web1\ni-1,web2\n"
    assert cms("toy", "rows").out == "NAME       SIZE\na          2.0 KiB\nb\\x1b[31m  -\n"
    assert cms("toy", "rows", "--columns", "more").out == "MORE\nx\ny,z\n"
    assert cms("toy", "show", "w", "--columns", "id").out == "id  i-1\n"


def test_unknown_columns_are_refused(cms: Cms) -> None:
    ran = cms("toy", "list", "--columns", "stat")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean 'state'" in ran.err
    assert "columns: " in cms("toy", "list", "--columns", "qqq").err


@pytest.mark.parametrize("output", ["json", "yaml", "name"])
def test_columns_are_for_tables(cms: Cms, output: str) -> None:
    assert cms("toy", "list", "--columns", "id", "-o", output).code == 2


def test_text_is_text_and_a_string_for_machines(cms: Cms) -> None:
    assert cms("toy", "text").out == "one\ntwo\n"
    assert cms("toy", "text", "-o", "json").json == "one\ntwo"
    assert yaml.safe_load(cms("toy", "text", "-o", "yaml").out) == "one\ntwo"


def test_nothing_prints_nothing(cms: Cms) -> None:
    assert cms("toy", "nothing").out == ""


def test_plain_data(cms: Cms) -> None:
    assert cms("toy", "data").out == "version     1\nbelow.list  1 2\nbelow.none  -\non          yes\n"
    assert cms("toy", "data", "-o", "json").json == {"version": 1, "below": {"list": [1, 2], "none": None}, "on": True}


def test_an_empty_list_is_said_to_be_empty(cms: Cms) -> None:
    ran = cms("toy", "list", "--items", "0")
    assert (ran.code, ran.err) == (0, "nothing found\n")
    assert cms("toy", "list", "--items", "0", "-o", "json").json == []
    assert cms("toy", "list", "--items", "0", "-q").err == ""


def test_a_cached_list_says_its_age_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing(items=(WEB,), cached=True, fetched=NOW - 200)
    Show(Screen(), ManualClock(NOW)).listing(listing)
    assert capsys.readouterr().err == "cached, 3m old; --refresh asks the clouds\n"
    Show(Screen(output="csv"), ManualClock(NOW)).listing(listing)
    Show(Screen(), ManualClock(NOW)).listing(listing.with_(cached=False))
    assert capsys.readouterr().err == ""


def test_lines_come_one_by_one(cms: Cms) -> None:
    assert cms("toy", "lines").out == "first\nsecond\n"
    assert cms("toy", "lines", "-o", "json").json == ["first", "second"]
    assert yaml.safe_load(cms("toy", "lines", "-o", "yaml").out) == ["first", "second"]


def test_a_stream_that_fails_leaves_what_came(cms: Cms) -> None:
    ran = cms("toy", "lines", "--fail", "-o", "json")
    assert (ran.code, ran.json) == (6, ["first", "second"])
    assert ran.complaints[0]["message"] == "the source dried up"


def test_nouns_can_be_streamed() -> None:
    rows = [WEB, "a line", WEB.with_(name="longer-name"), WEB]
    text = "".join(formats.table(iter(rows), View(streaming=True, columns=("name", "state", "id"))))
    assert text == (
        "NAME                  STATE    ID\n"
        "web1                  running  i-1\n"
        "a line\n"
        "longer-name           running  i-1\n"
        "web1                  running  i-1\n"
    )
    assert "".join(formats.table(iter([WEB]), View(streaming=True, header=False, columns=("id",)))) == "i-1\n"


def streamed(*rows: object, **facts: Any) -> str:
    return "".join(formats.table(iter(rows), View(streaming=True, **facts)))


def test_a_hint_stands_below_its_row_in_a_stream() -> None:
    well = Check(name="disk", message="74 GiB free")
    bad = Check(name="extra", state="fail", message="a part is missing", hint="pip install it")
    assert streamed(well, bad) == (
        "STATE  NAME                  MESSAGE\n"
        "ok     disk                  74 GiB free\n"
        "fail   extra                 a part is missing\n"
        "                             hint: pip install it\n"
    )
    assert streamed(bad, columns=("hint",), header=False) == "pip install it\n"
    assert "\x1b[31mfail " in streamed(bad, color=True)


def test_the_last_column_of_a_stream_goes_on_below_itself() -> None:
    long = Check(name="x", message="word " * 12, hint="a hint is never cut, since it is there to be copied to a shell")
    lines = streamed(long, header=False, width=72).splitlines()
    assert [line[29:] for line in lines[:2]] == ["word word word word word word word word", "word word word word"]
    assert lines[2].endswith("copied to a shell")
    assert streamed(long, header=False).count("\n") == 2


def test_a_title_stands_out_on_a_terminal_only() -> None:
    assert streamed(Title("$ cms"), "more") == "$ cms\nmore\n"
    assert streamed(Title("$ cms"), "more", color=True) == "\x1b[1m$ cms\x1b[0m\nmore\n"
    for shown in (formats.as_json, formats.as_yaml):
        assert "$ cms" in "".join(shown(iter([Title("$ cms")]), View(streaming=True)))


def test_a_silent_cloud_does_not_hide_the_others(cms: Cms) -> None:
    ran = cms("toy", "list", "--silent", "1", "-o", "json")
    assert (ran.code, len(ran.json)) == (12, 2)
    assert [(c["kind"], c["code"], c["cloud"]) for c in ran.complaints] == [("error", "not_ready", "far0")]
    assert cms("toy", "list", "--silent", "1").err == "error: far0: far does not answer\nhint:  is it up?\n"


def test_when_only_a_silent_cloud_was_asked_the_code_is_its_own(cms: Cms) -> None:
    ran = cms("toy", "list", "--silent", "1", "--items", "0", "--cloud", "fake", "-o", "json")
    assert (ran.code, ran.json) == (6, [])
    assert ran.complaints[0]["cloud"] == "fake"


def test_when_others_answered_with_nothing_the_code_is_partial(cms: Cms) -> None:
    ran = cms("toy", "list", "--silent", "1", "--items", "0", "-o", "json")
    assert (ran.code, ran.json) == (12, [])


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    text = shown(
        "as_json", [{"name": "x", "load": float("nan"), "all": [float("inf"), 1.5], "in": {"a": -float("inf")}}]
    )
    assert json.loads(text, parse_constant=pytest.fail) == [
        {"name": "x", "load": None, "all": [None, 1.5], "in": {"a": None}}
    ]


def test_a_name_stays_in_one_line_and_steers_no_terminal() -> None:
    assert shown("names", [{"name": "a\nb\x1b[31m"}, "a\x1b[31m"]) == "a b\\x1b[31m\na\x1b[31m\n"
