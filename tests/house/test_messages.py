"""A command that a message or a help text names exists, with its options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.commands import built_in
from tests.house.source import modules, place, tree
from tests.house.typed import CLOUDS, entry_of, options_of

WORD = r"(?:[a-z][a-z-]*|X|--?[a-z][a-z-]*(?:=\S+)?)"
COMMAND = re.compile(rf"(?<![\w./-])cms ({WORD}(?: {WORD})*)")
"""`cms` and the words that follow it; X stands for what is filled in."""

PROSE = ("has no command", "process", "and is not used", "found")
"""What may follow `cms` where it is the subject of a sentence, or a word of a shell script."""


def texts(module: str) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines, what is filled in as X."""
    inside: set[int] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node)} - {id(node)}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values),
            )
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def problem(told: str) -> str:
    """Return what is wrong with the words after `cms`, or nothing."""
    words = told.split()
    if told.startswith(PROSE):
        return ""
    if words[0] in CLOUDS:
        words = words[1:]
    if not words or words[0] in ("X", "help", "--help", "shell"):
        return ""
    plain = [word for word in words if not word.startswith("-")]
    entry, _rest = entry_of(plain)
    if entry is None:
        open_ended = plain[1:2] in ([], ["X"]) or words[1:2] == ["--help"]
        return "" if open_ended and built_in().below(plain[:1]) else "no such command"
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    unknown = options - options_of(entry)
    return f"no option {', '.join(sorted(unknown))}" if unknown else ""


@pytest.mark.parametrize("module", modules())
def test_a_command_that_is_named_exists(module: str) -> None:
    wrong = [
        f"{place(module, line)}: cms {told}: {reason}"
        for line, text in texts(module)
        for told in COMMAND.findall(text)
        if (reason := problem(told))
    ]
    assert not wrong


def test_wrong_commands_would_be_found() -> None:
    assert problem("vm lits") == "no such command"
    assert problem("vm list --cloud X") == ""
    assert problem("router list shows them") == "no such command"
    assert problem("vm list --no-such") == "no option --no-such"
    assert problem("vm list shows them") == ""
