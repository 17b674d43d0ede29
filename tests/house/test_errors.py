"""Every error has one shape, a code of its own, a number, and says what to do next."""

from __future__ import annotations

import ast
import builtins
import json
import re

import pytest

import cloudms.errors
from cloudms.errors import CloudmsError, MissingExtra, tree
from tests.house import source
from tests.house.source import DOCS, modules, place

HOUSE = [cls for cls in tree() if cls.__module__ == "cloudms.errors"]
NAMES = {cls.__name__ for cls in HOUSE}

WITHOUT_HINT = ("Interrupted",)
"""What needs no hint where it is raised: whoever shows it says how to go on."""

FOR_PEOPLE = ("cloudms.api", "cloudms.config", "cloudms.context", "cloudms.doors", "cloudms.engine", "cloudms.verbs")
"""Where a person's own words are judged, and so every refusal says what would do."""

FOR_PROGRAMS = {"AttributeError", "TypeError", "ValueError", "KeyError", "AssertionError", "KeyboardInterrupt"}
"""What Python's own protocols want; none of these reaches a person."""


def made(cls: type[CloudmsError]) -> CloudmsError:
    """Return an error of a class."""
    if issubclass(cls, MissingExtra):
        return cls("libvirt", why="a test")
    return cls("it is so", hint="do this", details={"name": "x"})


@pytest.mark.parametrize("cls", HOUSE, ids=lambda cls: cls.__name__)
def test_an_error_has_the_one_shape(cls: type[CloudmsError]) -> None:
    public = made(cls).to_public()
    assert list(public) == ["kind", "code", "message", "hint", "retryable", "details"]
    assert json.loads(json.dumps(public)) == public
    assert (public["kind"], public["code"]) == ("error", cls.code)
    assert public["message"]
    assert public["hint"]


@pytest.mark.parametrize("cls", HOUSE, ids=lambda cls: cls.__name__)
def test_an_error_has_its_numbers(cls: type[CloudmsError]) -> None:
    assert 1 <= cls.exit_code <= 130
    assert cls.http_status == 207 or 400 <= cls.http_status < 600
    assert cls.__doc__


def test_codes_are_unique_and_numbers_are_shared_with_the_parent_only() -> None:
    assert len({cls.code for cls in HOUSE}) == len(HOUSE)
    for cls in HOUSE:
        for other in HOUSE:
            same = cls.exit_code == other.exit_code
            assert not same or issubclass(cls, other) or issubclass(other, cls), f"{cls} and {other}"


def test_the_drawing_of_the_tree_is_true() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d+)?", cloudms.errors.__doc__ or ""))
    assert set(drawn) == NAMES - {"CloudmsError"}
    assert {name: int(number) for name, number in drawn.items() if number} == {
        cls.__name__: cls.exit_code for cls in HOUSE[1:] if cls.__base__ is CloudmsError
    }


def test_every_number_is_in_the_documentation() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]*)\|", (DOCS / "exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {(int(number), code) for number, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert told == {(cls.exit_code, cls.code) for cls in HOUSE}


def raised(module: str) -> list[tuple[str, ast.Call]]:
    """Return what a module raises by name."""
    return [
        (ast.unparse(node.exc.func), node.exc)
        for node in ast.walk(source.tree(module))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    ]


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith(FOR_PEOPLE)])
def test_a_refusal_says_what_to_do(module: str) -> None:
    wrong = [
        f"{place(module, call.lineno)}: {name} without a hint"
        for name, call in raised(module)
        if name in NAMES - {"MissingExtra", *WITHOUT_HINT} and not {"hint", None} & {word.arg for word in call.keywords}
    ]
    assert not wrong


@pytest.mark.parametrize("module", modules())
def test_only_errors_of_the_house_are_raised(module: str) -> None:
    own = {node.name for node in ast.walk(source.tree(module)) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    known = NAMES | FOR_PROGRAMS | own
    builtin = {name for name in dir(builtins) if name.endswith(("Error", "Exception", "Exit"))}
    wrong = [
        f"{place(module, c.lineno)}: {name}" for name, c in raised(module) if name not in known and name in builtin
    ]
    assert not wrong


@pytest.mark.parametrize("module", modules())
def test_a_message_is_one_line_without_a_full_stop(module: str) -> None:
    wrong = []
    for name, call in raised(module):
        if name in NAMES and call.args:
            text = _end(call.args[0])
            if text.endswith(".") or "\n" in text:
                wrong.append(f"{place(module, call.lineno)}: {text}")
    assert not wrong


def _end(node: ast.expr) -> str:
    """Return the last piece of a text that is known without running it."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return _end(node.values[-1])
    return str(node.value) if isinstance(node, ast.Constant) else ""
