"""A truth that may also be left open: said, denied, or nothing said, at every door."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cloudms import registry
from cloudms.api import Cms
from cloudms.context import Context
from cloudms.doors import help as helping
from cloudms.doors.completion import candidates
from cloudms.doors.options import negated, shared
from cloudms.doors.parse import parse
from cloudms.doors.rest.models import model, values
from cloudms.doors.rest.routes import Route
from cloudms.verb import Parameter, parameters

ENTRY = registry.index().exact(["vm", "resize"])


@pytest.mark.parametrize(
    ("words", "said"), [([], {}), (["--confirm"], {"confirm": True}), (["--no-confirm"], {"confirm": False})]
)
def test_on_the_command_line(words: list[str], said: dict[str, bool]) -> None:
    assert ENTRY
    given = parse(ENTRY.load(), ["web", "medium", *words]).values
    assert given == {"name": "web", "flavor": "medium", **said}


@pytest.mark.parametrize("said", [{}, {"confirm": True}, {"confirm": False}, {"confirm": None}])
def test_over_rest(said: dict[str, bool | None]) -> None:
    assert ENTRY
    asked = model(Route(ENTRY)).model_validate({"name": "web", "flavor": "medium", **said}, strict=True)
    assert values(asked) == {"name": "web", "flavor": "medium", **said}


def test_in_python() -> None:
    parameter = Cms().vm.resize.__signature__.parameters["confirm"]
    assert (parameter.default, parameter.annotation) == (None, bool | None)


def test_help_shows_both_words() -> None:
    assert ENTRY
    verb = ENTRY.load()
    own = parameters(verb)
    text = "\n".join(helping.one(verb, own, shared(verb, own)))
    assert "--confirm, --no-confirm" in text


def test_only_what_can_be_left_open_has_a_word_for_no() -> None:
    assert negated(Parameter(name="check_it", type="bool", default=True)) == "--no-check-it"
    assert negated(Parameter(name="confirm", type="bool", default=None)) == "--no-confirm"
    assert negated(Parameter(name="force", type="bool", default=False)) == ""
    assert negated(Parameter(name="name", type="str")) == ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("vm resize --con", ["--confirm"]), ("vm resize --no-c", ["--no-confirm"]), ("vm resize --confirm --no-c", [])],
)
def test_completion_offers_both_words(typed: str, offered: list[str]) -> None:
    assert [word for word, _text in candidates(Context(), typed.split(" "))] == offered


@pytest.fixture(autouse=True)
def _home(own_home: Callable[..., object]) -> None:
    """Keep away from the person's own files."""
