"""Verbs: what a door learns from a function and its annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest

from cloudms.verb import DOORS, LOCAL, Doc, File, Names, Parameter, Rest, Short, Verb, parameters, verb, verbs_of
from cloudms.verbs.version import version


@verb("toy", "play", changes=True, aliases=["use"], columns=["name"], example="cms toy play", doors=LOCAL)
def play(
    ctx: Any,
    names: Annotated[list[str], Doc("toys to play with"), Names("toy")],
    place: Annotated[str | None, Doc("where")] = None,
    command: Annotated[list[str], Rest()] = [],  # noqa: B006 (never changed)
    *,
    count: Annotated[int, Doc("how often"), Short("c")] = 1,
    share: float | None = None,
    loud: bool = False,
    label: Annotated[dict[str, str] | None, Doc("a label")] = None,
    color: Annotated[Literal["red", "green"], Doc("a colour")] = "red",
    colors: Annotated[list[Literal["red", "green"]] | None, Doc("colours")] = None,
    file: Annotated[Path | None, Doc("a file"), File(write=True)] = None,
    needed: Annotated[str, Doc("without a default")],
) -> None:
    """Play with toys.

    First paragraph
    of the text.

        an example

    Last one.
    """


@verb("toy", "rest")
def rest(ctx: Any) -> str:
    """Rest a
    while."""
    return "zzz"


@verb("toy", "bare")
def bare(ctx: Any) -> None:  # no docstring
    pass


def described(function: Any) -> Verb:
    found: Verb = function.__verb__
    return found


def test_a_verb_keeps_what_was_said_of_it() -> None:
    found = described(play)
    assert (found.path, found.name, found.aliases) == (("toy", "play"), "toy play", ("use",))
    assert (found.changes, found.streams, found.doors, found.columns) == (True, False, LOCAL, ("name",))
    assert described(rest).doors == DOORS
    assert "rest" not in LOCAL


def test_the_docstring_is_summary_and_text() -> None:
    found = described(play)
    assert found.summary == "Play with toys"
    assert found.text == "First paragraph\nof the text.\n\n    an example\n\nLast one."
    assert described(rest).summary == "Rest a while"
    assert (described(rest).text, described(bare).summary) == ("", "")


def test_the_function_itself_is_unchanged() -> None:
    assert rest(None) == "zzz"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("names", {"type": "str", "many": True, "argument": True, "required": True, "names": "toy"}),
        ("place", {"type": "str", "argument": True, "text": "where"}),
        ("command", {"type": "str", "many": True, "argument": True, "rest": True, "default": []}),
        ("count", {"type": "int", "default": 1, "short": "c", "text": "how often"}),
        ("share", {"type": "float"}),
        ("loud", {"type": "bool", "default": False}),
        ("label", {"type": "dict", "text": "a label"}),
        ("color", {"type": "str", "choices": ("red", "green"), "default": "red"}),
        ("colors", {"type": "str", "choices": ("red", "green"), "many": True}),
        ("file", {"type": "path", "file": File(write=True)}),
        ("needed", {"type": "str", "required": True}),
    ],
)
def test_parameters(name: str, facts: dict[str, Any]) -> None:
    found = next(p for p in parameters(described(play)) if p.name == name)
    texts = {"text": found.text}
    assert found == Parameter(**{"name": name, **texts, **facts})


def test_parameters_keep_their_order_and_leave_out_the_context() -> None:
    assert [p.name for p in parameters(described(play))][:4] == ["names", "place", "command", "count"]
    assert parameters(described(rest)) == []


def test_verbs_of_a_module_come_as_written() -> None:
    module = SimpleNamespace(__name__=__name__, b=play, a=rest, other=3, helper=lambda: None, c=version)
    assert [found.name for found in verbs_of(module)] == ["toy play", "toy rest"]


def test_aliases_may_be_any_sequence() -> None:
    words: Sequence[str] = ("a", "b")

    @verb("toy", "x", aliases=words)
    def x(ctx: Any) -> None:
        """X."""

    assert described(x).aliases == ("a", "b")
