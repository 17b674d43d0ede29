"""What words stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.doors.shell.lexer import items
from cloudms.doors.shell.variables import Variables
from cloudms.errors import Invalid, NotFound

SETTINGS = {"cloud": "aws", "mine": "7", "odd": "$HOME {x}"}


@pytest.fixture
def variables() -> Variables:
    """Return variables, settings and an environment."""
    made = Variables(SETTINGS.get, lambda name: name in ("mine", "odd"), {"HOME": "elsewhere", "x": "hidden"})
    made.put("x", "5")
    made.put("two", "a b")
    made.arguments = ("lab.cms", "web", "3 4")
    made.code = 6
    return made


def expanded(variables: Variables, text: str) -> list[str]:
    (item,) = items(text)
    return variables.expand(item.words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $x ${x}b $x$x", ["a", "5", "5b", "55"]),
        ("web$x-$two", ["web5-a b"]),
        ("\"$x y\" '$x y' \\$x", ["5 y", "$x y", "$x"]),
        ("{x} {mine} web{x}", ["5", "7", "web5"]),
        ("'{x}' {user}-{cloud}-{counter}", ["{x}", "{user}-{cloud}-{counter}"]),
        ("$cloud $mine $HOME", ["aws", "7", "elsewhere"]),
        ("$1 $2 $# $? $0", ["web", "3 4", "2", "6", "lab.cms"]),
        ("$@ end", ["web", "3 4", "end"]),
        ("\"$@\" '$@'", ["web", "3 4", "$@"]),
        ("x$@", ["xweb 3 4"]),
        ("${gone:-no such} ${x:-no}", ["${gone:-no", "such}", "5"]),
        ('"${gone:-no such}"', ["no such"]),
        ("$odd {odd}", ["$HOME {x}", "$HOME {x}"]),
        ("5$ $ a$-b", ["5$", "$", "a$-b"]),
        ("$(id) `id` {1} {}", ["$(id)", "`id`", "{1}", "{}"]),
        ("a~/b '~/b'", ["a~/b", "~/b"]),
    ],
)
def test_words(variables: Variables, text: str, expected: list[str]) -> None:
    assert expanded(variables, text) == expected


def test_a_tilde_is_home(variables: Variables) -> None:
    assert expanded(variables, "~ ~/key.pub") == [str(Path.home()), str(Path.home() / "key.pub")]


@pytest.mark.parametrize("text", ["$gone", "${gone}", "vm delete $nmae", "$3", '"$gone"'])
def test_what_has_no_value_is_refused(variables: Variables, text: str) -> None:
    with pytest.raises(NotFound):
        expanded(variables, text)


def test_an_empty_value_forgets_and_a_bad_name_is_refused(variables: Variables) -> None:
    variables.put("two", "")
    assert "two" not in variables.own
    for name in ("1x", "a-b", "", "a.b"):
        with pytest.raises(Invalid):
            variables.put(name, "1")


def test_programs_see_the_variables(variables: Variables) -> None:
    assert variables.environment() == {"HOME": "elsewhere", "x": "5", "two": "a b"}
