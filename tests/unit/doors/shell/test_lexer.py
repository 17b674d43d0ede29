"""Words as sh reads them, and the signs between commands."""

from __future__ import annotations

import random
import shlex

import pytest

from cloudms.doors.shell.lexer import Lexer, Unfinished, Word, items
from cloudms.doors.shell.script import goes_on
from cloudms.errors import Invalid


def words(text: str, *, lenient: bool = False) -> list[str]:
    return [token.text for token in Lexer(text, lenient=lenient).tokens() if isinstance(token, Word)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  vm\tlist  ", ["vm", "list"]),
        ("vm list # all of them", ["vm", "list"]),
        ("image info ami#1", ["image", "info", "ami#1"]),
        ("echo 'a b' \"c d\" e\\ f", ["echo", "a b", "c d", "e f"]),
        ("echo 'a'\"b\"c", ["echo", "abc"]),
        ("echo '' \"\"", ["echo", "", ""]),
        ('echo "a\\"b\\\\c\\n"', ["echo", 'a"b\\c\\n']),
        ("echo 'it''s' \\' \\\\", ["echo", "its", "'", "\\"]),
        ("vm \\\nlist \\\n  -q", ["vm", "list", "-q"]),
        ("vm li\\\nst", ["vm", "list"]),
        ("echo 'a\nb'", ["echo", "a\nb"]),
        ("vm list web[1-3],db{1}", ["vm", "list", "web[1-3],db{1}"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("seed", range(20))
def test_words_are_those_of_sh(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(200):
        text = "".join(dice.choice("ab 'x\"\\ =-\n") for _ in range(dice.randrange(14)))
        if "\\\n" in text:
            continue  # shlex keeps what sh takes away
        try:
            expected = shlex.split(text)
        except ValueError:
            with pytest.raises(Unfinished):
                words(text)
            continue
        assert [word.text for item in items(text) for word in item.words] == expected, text


@pytest.mark.parametrize("text", ["echo 'a", 'echo "a', "echo a\\", "echo a &&", "echo a |", "echo a ||\n", 'echo "\\'])
def test_a_line_that_goes_on(text: str) -> None:
    with pytest.raises(Unfinished):
        items(text)
    assert goes_on(text)


@pytest.mark.parametrize("text", ["echo a", "echo a;", "!ls 'x", '?vm "', "&& a", "echo <x", "# it's \\", ""])
def test_a_line_that_ends(text: str) -> None:
    assert not goes_on(text)


def test_what_a_person_still_types_is_read_as_far_as_it_goes() -> None:
    assert words("vm info 'web", lenient=True) == ["vm", "info", "web"]
    assert words("vm info web\\", lenient=True) == ["vm", "info", "web"]
    (token,) = Lexer(" 'a b", lenient=True).tokens()
    assert (token.start, token.end) == (1, 5)


def test_commands_of_one_line() -> None:
    found = items("vm list -q && echo a; b || c > out.txt\nd >> 'my log' # x\n")
    assert [(item.join, [w.text for w in item.words], item.file and item.file.text, item.append) for item in found] == [
        (";", ["vm", "list", "-q"], None, False),
        ("&&", ["echo", "a"], None, False),
        (";", ["b"], None, False),
        ("||", ["c"], "out.txt", False),
        (";", ["d"], "my log", True),
    ]


def test_what_follows_a_pipe_is_for_the_persons_own_shell() -> None:
    first, last = items("echo a; vm list -o json | jq '.[0]' | tee x > y && z")
    assert (first.pipe, last.pipe) == ("", "jq '.[0]' | tee x > y && z")
    assert [word.text for word in last.words] == ["vm", "list", "-o", "json"]


@pytest.mark.parametrize(
    "text",
    ["; a", "a && ; b", "&& a", "| sort", "> out", "a >", "a > ;", "sleep 9 &", "a < b", "vm list 2> x", "a > b | c"],
)
def test_signs_out_of_place_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        items(text)


def test_a_line_of_megabytes_is_one_word() -> None:
    long = "a" * 3_000_000
    assert [word.text for word in items(f"echo {long}'{long}'\"{long}\"")[0].words] == ["echo", long * 3]
