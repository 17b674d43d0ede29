"""The registry: words and families, built-ins and plug-ins, and the index that is kept of them."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cloudms import paths, registry
from cloudms.errors import Invalid, NotFound
from cloudms.registry import FAMILIES, Index, VerbEntry, canonical
from cloudms.verb import verb


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what other tests have looked up."""
    monkeypatch.setattr(registry, "_index", None)


def entry(*path: str, aliases: tuple[str, ...] = (), module: str = "x") -> VerbEntry:
    return VerbEntry(path=path, module=module, summary=f"Do {path[-1]}", aliases=aliases, doors=("cli",))


TOYS = Index(
    stamp="x",
    verbs=(
        entry("toy", "list", aliases=("ls",)),
        entry("toy", "sub", "deep", aliases=("low",)),
        entry("toy", "sub"),
        entry("alone"),
        entry("key", "list"),
    ),
)


@pytest.mark.parametrize(
    ("words", "path", "rest"),
    [
        ("toy list x", "toy list", ["x"]),
        ("toy ls", "toy list", []),
        ("toy sub deep y", "toy sub deep", ["y"]),
        ("toy sub low", "toy sub deep", []),
        ("toy sub other", "toy sub", ["other"]),
        ("alone alone", "alone", ["alone"]),
        ("keypair list", "key list", []),
    ],
)
def test_words_find_the_longest_verb(words: str, path: str, rest: list[str]) -> None:
    found, left = TOYS.find(words.split())
    assert (" ".join(found.path), left) == (path, rest)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("toy lsit", "did you mean: cms toy list"),
        ("toy qqqqq", "cms toy --help lists its commands"),
        ("alnoe", "did you mean: cms alone"),
        ("qqqqq", "cms --help lists the commands"),
        ("", "cms --help lists the commands"),
    ],
)
def test_words_that_are_none_get_a_hint(words: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        TOYS.find(words.split())
    assert caught.value.hint == hint


def test_what_is_below() -> None:
    assert [" ".join(e.path) for e in TOYS.below(("toy", "sub"))] == ["toy sub deep", "toy sub"]
    assert [" ".join(e.path) for e in TOYS.below(("keypair",))] == ["key list"]
    assert list(TOYS.nouns()) == ["toy", "alone", "key"]
    assert canonical(()) == ()


def test_nouns_and_their_aliases_are_reserved() -> None:
    assert {"toy", "alone", "key", "keypair", "help", "shell"} <= TOYS.reserved()


def test_the_index_survives_a_round_trip_through_json() -> None:
    assert Index(**json.loads(json.dumps(TOYS.to_document()))) == TOYS


def test_every_built_in_verb_is_found_and_can_be_loaded() -> None:
    found = registry.index()
    assert not found.broken
    paths_ = [e.path for e in found.verbs]
    assert len(set(paths_)) == len(paths_)
    for each in found.verbs:
        loaded = each.load()
        assert (loaded.path, loaded.summary, loaded.aliases) == (each.path, each.summary, each.aliases)
        assert each.summary, each.path


def test_no_alias_hides_a_verb() -> None:
    found = registry.index()
    words = [(*e.path[:-1], word) for e in found.verbs for word in (e.path[-1], *e.aliases)]
    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_every_noun_has_a_line() -> None:
    found = registry.index()
    assert set(found.texts) == set(found.nouns())
    assert all(found.texts.values())
    assert found.texts["vm"].startswith("Virtual machines")


def words_of(noun: str) -> list[str]:
    return list(dict.fromkeys(e.path[1] for e in registry.index().below([noun])))


@pytest.mark.parametrize("noun", ["vm", "image"])
def test_the_commands_of_a_package_stand_in_its_order(noun: str) -> None:
    order = import_module(f"cloudms.verbs.{noun}").ORDER
    assert words_of(noun) == [*order, *(word for word in words_of(noun) if word not in order)]


def test_a_command_that_no_order_names_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.verbs.image.ORDER", ("delete", "build"))
    assert words_of("image") == ["delete", "build", "label", "list", "info", "pull", "add"]


def test_the_index_is_kept_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = registry.index()
    registry.forget()
    monkeypatch.setattr(registry, "_scan", lambda _: pytest.fail("it was made anew"))
    assert registry.index() == first
    assert registry.index() is registry.index()


def test_the_index_is_made_anew_when_something_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry.index()
    registry.forget()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    made: list[str] = []
    scan = registry._scan
    monkeypatch.setattr(registry, "_scan", lambda stamp: made.append(stamp) or scan(stamp))
    registry.index()
    assert len(made) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stamp": 1}', '{"stamp": "STAMP", "nonsense": 1}', "\x00"])
def test_a_damaged_index_is_made_anew(content: str) -> None:
    first = registry.index()
    registry.forget()
    (kept,) = paths.cache().glob("index-*.json")
    kept.write_text(content.replace("STAMP", json.dumps(first.stamp)[1:-1]))
    assert registry.index() == first


def test_without_a_cache_folder_it_works_all_the_same(own_home: Path) -> None:
    (own_home / ".cloudmesh").write_text("a file where the folder should be")
    assert registry.index().verbs


def plug_in(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints(point for point in points if point.group == group)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


def module_with(monkeypatch: pytest.MonkeyPatch, name: str, *path: str) -> None:
    @verb(*path)
    def act(ctx: Any) -> None:
        """Act."""

    module = ModuleType(name, "Brought by a plug-in.\n\nMore.")
    act.__module__ = name
    module.act = act  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)


def test_a_plug_in_adds_a_noun(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with(monkeypatch, "moonstuff", "moon", "land")
    plug_in(monkeypatch, EntryPoint("moon", "moonstuff", "cloudms.verbs"))
    found = registry.index()
    assert found.find(["moon", "land"])[0].load().name == "moon land"
    assert found.texts["moon"] == "Brought by a plug-in"
    assert "moon" in found.reserved()


def test_a_plug_in_cannot_take_a_noun(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with(monkeypatch, "thief", "vm", "steal")
    plug_in(monkeypatch, EntryPoint("thief", "thief", "cloudms.verbs"))
    found = registry.index()
    assert "the word 'vm' is reserved" in found.broken["thief"]
    assert found.exact(["vm", "steal"]) is None


def test_a_plug_in_that_cannot_be_imported_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, EntryPoint("broken", "no.such.module", "cloudms.verbs"))
    assert registry.index().broken["broken"].startswith("ModuleNotFoundError")


def test_a_plug_in_adds_a_family_member_but_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(
        monkeypatch,
        EntryPoint("moon", "cloudms.clouds.fake:FakeCloud", "cloudms.clouds"),
        EntryPoint("fake", "thief:Cloud", "cloudms.clouds"),
        EntryPoint("shout", "tests.unit.test_registry:shout", "cloudms.formats"),
    )
    assert registry.load("cloudms.clouds", "moon") is registry.load("cloudms.clouds", "fake")
    assert registry.load("cloudms.formats", "shout") is shout


def shout(rows: Any, view: Any) -> Any:
    """Write rows loudly."""
    return (f"{row}!".upper() for row in rows)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(NotFound, match="no cloud of kind 'libvrt'") as caught:
        registry.load("cloudms.clouds", "libvrt")
    assert caught.value.hint == "did you mean 'libvirt'"
    with pytest.raises(NotFound) as other:
        registry.load("cloudms.catalogs", "qqqqq")
    assert "sqlite" in other.value.hint


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_has_members_that_can_be_named(family: str) -> None:
    for name, place in FAMILIES[family].items():
        module, _, attribute = place.partition(":")
        assert name.isidentifier()
        assert module.startswith("cloudms.")
        assert attribute.isidentifier()


def test_a_verb_that_is_gone_says_so() -> None:
    with pytest.raises(NotFound, match="no longer"):
        entry("toy", "gone", module="cloudms.verbs.version").load()
