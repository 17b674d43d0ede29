"""From a verb to options, and from words to values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.doors.parse import HelpWanted, parse
from cloudms.errors import Invalid, NotFound
from tests.unit.doors import toys

TYPES = toys.types.__verb__  # type: ignore[attr-defined]
MAKE = toys.make.__verb__  # type: ignore[attr-defined]
NEEDS = toys.needs.__verb__  # type: ignore[attr-defined]


def values(*words: str) -> dict[str, Any]:
    return parse(TYPES, words).values


def test_only_what_was_given_is_passed_on() -> None:
    assert values("a") == {"first": "a"}
    assert toys.types(None, "a")["number"] == 7


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b", "c"], {"others": ["b", "c"]}),
        (["-n", "3", "a"], {"number": 3}),
        (["a", "-n3"], {"number": 3}),
        (["a", "-n=3"], {"number": 3}),
        (["a", "--number=-3"], {"number": -3}),
        (["a", "--number", "1", "--number", "2"], {"number": 2}),
        (["a", "--limit", "0"], {"limit": 0}),
        (["a", "--share", "0.5"], {"share": 0.5}),
        (["a", "--color", "green"], {"color": "green"}),
        (["a", "--label", "a=b", "-l", "c=d=e", "-l", "f="], {"label": {"a": "b", "c": "d=e", "f": ""}}),
        (["a", "--key", "k1", "--key", "k2"], {"key": ["k1", "k2"]}),
        (["a", "--target", "/nowhere/x"], {"target": Path("/nowhere/x")}),
        (["a", "--force"], {"force": True}),
        (["a", "--no-check"], {"check": False}),
        (["a", "--no-check", "--check"], {"check": True}),
        (["a", "b", "--", "-x", "--number", "y"], {"others": ["b"], "command": ["-x", "--number", "y"]}),
        (["a", "--", "--"], {"command": ["--"]}),
    ],
)
def test_values(words: list[str], expected: dict[str, Any]) -> None:
    assert values(*words) == {"first": "a", **expected}


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "FIRST is missing", "cms toy types --help"),
        (["a", "--number", "x"], "--number: 'x' is not a whole number", "--help"),
        (["a", "--number", "1.5"], "not a whole number", "--help"),
        (["a", "--limit", "-5"], "--limit: -5 is less than 0", "cms toy types --help"),
        (["a", "--share", "much"], "--share: 'much' is not a number", "--help"),
        (["a", "--share", "nan"], "'nan' is not a number to work with", "--help"),
        (["a", "--share", "inf"], "'inf' is not a number to work with", "--help"),
        (["a", "--color", "gren"], "--color: there is no 'gren'; did you mean 'green'", "--help"),
        (["a", "--color", "x"], "it is one of red, green", "--help"),
        (["a", "--label", "x"], "'x' is not of the form key=value", "--help"),
        (["a", "--label", "=x"], "'=x' is not of the form key=value", "--help"),
        (["a", "--nmuber", "3"], "no option --nmuber", "did you mean --number"),
        (["a", "--qqq"], "no option --qqq", "cms toy types --help"),
        (["a", "-z"], "no option -z", "cms toy types --help"),
        (["a", "--number"], "--number", "--help"),
        (["a", "--force=yes"], "--force", "--help"),
        (["a", "--yes"], "no option --yes", ""),
        (["a", "--dry-run"], "no option --dry-run", ""),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        values(*words)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_required_option_is_asked_for() -> None:
    with pytest.raises(Invalid, match="--image is missing"):
        parse(NEEDS, [])


def test_too_many_words_are_refused() -> None:
    with pytest.raises(Invalid, match="unexpected extra argument"):
        parse(NEEDS, ["--image", "x", "more"])


def test_a_file_to_read_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        values("a", "--file", str(tmp_path / "x"))
    (tmp_path / "x").touch()
    assert values("a", "--file", str(tmp_path / "x"))["file"] == tmp_path / "x"


def test_options_of_every_command() -> None:
    options = parse(
        MAKE, ["a", "-o", "csv", "-y", "--dry-run", "-q", "--columns", "name, public-ips,", "--debug"]
    ).options
    assert (options.output, options.columns) == ("csv", ("name", "public_ips"))
    assert options.yes
    assert options.dry_run
    assert options.quiet
    assert options.debug
    plain = parse(MAKE, ["a"]).options
    assert (plain.output, plain.yes, plain.dry_run, plain.columns) == ("table", False, False, ())


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--number", "x", "-h"], ["a", "b", "--help"]])
def test_help_comes_before_complaints(words: list[str]) -> None:
    with pytest.raises(HelpWanted):
        values(*words)


def test_an_own_option_stands_before_one_of_every_command() -> None:
    request = parse(toys.build.__verb__, ["-o", "disk.img"])  # type: ignore[attr-defined]
    assert request.values == {"output": "disk.img"}
    assert request.options.output == "table"
