"""What must hold for every verb there is."""

from __future__ import annotations

import shlex

import pytest

from cloudms import registry
from cloudms.doors.parse import command_of, parse
from cloudms.errors import NotFound
from cloudms.model import nouns
from cloudms.registry import Index, VerbEntry
from cloudms.verb import DOORS, parameters
from tests.unit.doors.conftest import Cms, real

BUILT_IN = [
    entry
    for module, _ in registry._modules(registry._verbs_folder(), "cloudms.verbs")
    for entry in registry._entries(module)
]
"""The verbs of this source tree, found without writing an index."""


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Leave the real verbs in their place."""
    return real(monkeypatch)


@pytest.fixture(params=BUILT_IN, ids=lambda entry: " ".join(entry.path))
def entry(request: pytest.FixtureRequest) -> VerbEntry:
    """Return one verb after the other."""
    found: VerbEntry = request.param
    return found


def test_its_help_can_be_read(entry: VerbEntry, cms: Cms) -> None:
    if "cli" not in entry.doors:
        assert cms(*entry.path, "--help").code == 2
        return
    ran = cms(*entry.path, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: cms {' '.join(entry.path)}")
    assert max(map(len, ran.out.splitlines())) <= 120


def test_its_example_is_a_command_line_that_parses(entry: VerbEntry) -> None:
    verb = entry.load()
    if not verb.example:
        return
    for line in verb.example.splitlines():
        words = shlex.split(line.split(" > ")[0].split(" | ")[0].removeprefix('eval "$(').removesuffix(')"'))
        assert words[0] == "cms"
        found, rest = registry.index().find(words[1:])
        assert found.path == entry.path
        values = [word for word in rest if not word.startswith("<")]
        try:
            parse(verb, values)
        except NotFound as missing:
            assert "there is no file" in missing.message


def test_its_parameters_are_told(entry: VerbEntry) -> None:
    verb = entry.load()
    known = parameters(verb)
    assert len(command_of(verb, known).params) >= len(known)
    for parameter in known:
        assert parameter.text, f"{verb.name}: {parameter.name} has no Doc"
        assert parameter.type in ("str", "int", "float", "bool", "dict", "path"), f"{verb.name}: {parameter.name}"
        assert not parameter.text.endswith("."), f"{verb.name}: {parameter.name}"
    shorts = [p.short for p in known if p.short]
    assert len(set(shorts)) == len(shorts)
    assert "h" not in shorts


def test_its_limit_is_no_negative_number(entry: VerbEntry) -> None:
    assert [p.least for p in parameters(entry.load()) if p.name == "limit"] in ([], [0])


def test_its_words_are_plain(entry: VerbEntry) -> None:
    verb = entry.load()
    assert 1 <= len(verb.path) <= 3
    assert all(word.replace("-", "").isalnum() and word.islower() for word in (*verb.path, *verb.aliases))
    assert set(verb.doors) <= set(DOORS)
    assert verb.summary
    assert not verb.summary.endswith(".")


def test_its_columns_are_those_of_its_noun(entry: VerbEntry) -> None:
    verb = entry.load()
    if verb.path[-1] == "list" and verb.path[0] in nouns() and len(verb.path) == 2 and verb.columns:
        known = set(nouns()[verb.path[0]].field_names())
        assert set(verb.columns) <= known
