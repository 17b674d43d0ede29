"""The registry: words and families, built-ins and plug-ins, and the index that is kept of them."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, EntryPoints
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cloudms import paths, registry
from cloudms.errors import Invalid, NotFound, Unsupported
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
    found = words_of("image")
    assert found[:2] == ["delete", "build"]
    assert sorted(found[2:]) == ["add", "info", "label", "list", "pull", "refresh", "search"]


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


def test_a_plug_in_adds_a_command_to_a_noun_of_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with(monkeypatch, "moonstuff", "vm", "weigh")
    plug_in(monkeypatch, EntryPoint("moon", "moonstuff", "cloudms.verbs"))
    found = registry.index()
    entry = found.find(["vm", "weigh", "web"])[0]
    assert (entry.plugin, entry.load().name) == ("moon", "vm weigh")
    assert found.texts["vm"].startswith("Virtual machines")
    assert not found.broken


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (("vm",), "the word 'vm' is reserved: other commands begin with it"),
        (("vm", "list"), "the command 'vm list' is built in"),
        (("vm", "destroy"), "the command 'vm destroy' is built in"),
        (("vm", "list", "all"), "the word 'vm list' is reserved"),
        (("vm", "ip"), "the word 'vm ip' is reserved"),
        (("doctor", "who"), "the word 'doctor' is reserved"),
        (("help",), "the command 'help' is built in"),
        (("keypair", "lend"), "the word 'keypair' is reserved"),
        (("Moon", "land"), "no command"),
        (("a", "b", "c", "d"), "no command"),
        (("moon", ""), "no command"),
        (("--moon",), "no command"),
    ],
    ids=str,
)
def test_a_plug_in_cannot_take_what_is_taken(monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], why: str) -> None:
    before = registry.index().verbs
    registry.forget()
    module_with(monkeypatch, "thief", *path)
    plug_in(monkeypatch, EntryPoint("thief", "thief", "cloudms.verbs"))
    monkeypatch.setattr(sys, "path", [*sys.path, "thief"])
    found = registry.index()
    assert why in found.broken["thief"]
    assert found.verbs == before


def test_of_two_plug_ins_the_first_by_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ares", "zeus"):
        module_with(monkeypatch, name, "moon", "land")
    plug_in(
        monkeypatch,
        EntryPoint("zeus", "zeus", "cloudms.verbs"),
        EntryPoint("ares", "ares", "cloudms.verbs"),
        EntryPoint("moon", "tests.unit.test_registry:shout", "cloudms.formats"),
    )
    found = registry.index()
    assert found.find(["moon", "land"])[0].plugin == "ares"
    assert found.broken == {"zeus": "the command 'moon land' is already brought by 'ares' (cloudms.verbs 'zeus')"}
    assert [plugin.name for plugin in registry.plugins()] == ["ares", "moon", "zeus"]


def test_two_plug_ins_share_a_noun(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with(monkeypatch, "ares", "moon", "land")
    module_with(monkeypatch, "zeus", "moon", "leave")
    plug_in(monkeypatch, EntryPoint("zeus", "zeus", "cloudms.verbs"), EntryPoint("ares", "ares", "cloudms.verbs"))
    assert [entry.path[1] for entry in registry.index().below(["moon"])] == ["land", "leave"]


@pytest.mark.parametrize("group", ["cloudms.clouds", "cloudms.catalogs", "cloudms.formats"])
def test_a_broken_member_is_named_and_refused_when_it_is_used(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    plug_in(monkeypatch, EntryPoint("moon", "no.such.module:Thing", group))
    assert registry.index().broken["moon"].startswith("ModuleNotFoundError")
    with pytest.raises(Unsupported, match=r"'moon' \(no.such.module\) cannot be loaded"):
        registry.load(group, "moon")


class Leaving:
    """A finder whose module ends the process, or prints, when it is imported."""

    def __init__(self, code: str) -> None:
        self.code = code

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return a loader for one name."""
        return spec_from_loader(name, self) if name == "leaving" else None  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """Take the usual module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the code."""
        exec(self.code, module.__dict__)  # noqa: S102 (the harm that is meant)


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "1 / 0", "import sys; sys.exit()", "print('hello')"])
def test_a_module_that_does_harm_is_survived(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    monkeypatch.setattr(sys, "meta_path", [Leaving(code), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "leaving", raising=False)
    plug_in(monkeypatch, EntryPoint("leaving", "leaving", "cloudms.verbs"))
    found = registry.index()
    assert found.exact(["vm", "list"])
    assert ("leaving" in found.broken) is ("print" not in code)
    assert capsys.readouterr().out == ""


def test_a_command_whose_module_broke_later_is_refused_by_name() -> None:
    broken = entry("moon", "land", module="no.such.module").with_(plugin="moonware")
    with pytest.raises(Unsupported, match="the command 'moon land' of the plug-in 'moonware' cannot be loaded"):
        broken.load()
    with pytest.raises(ModuleNotFoundError):
        entry("vm", "list", module="no.such.module").load()


def test_a_bug_is_laid_at_the_door_of_whose_code_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"name": "moonware", "modules": ["tests.unit.test_registry"]}
    monkeypatch.setattr(registry, "_index", TOYS.with_(plugins=(own,)))
    try:
        raise KeyError
    except KeyError as error:
        assert registry.plugin_of(error) == "moonware"
    monkeypatch.setattr(registry, "_index", TOYS)
    assert registry.plugin_of(KeyError()) == ""


def test_the_verbs_of_a_plug_in_are_looked_at_again_when_their_file_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "moonstuff.py"
    file.write_text("")
    module_with(monkeypatch, "moonstuff", "moon", "land")
    sys.modules["moonstuff"].__file__ = str(file)
    plug_in(monkeypatch, EntryPoint("moon", "moonstuff", "cloudms.verbs"))
    registry.index()
    registry.forget()
    module_with(monkeypatch, "moonstuff", "moon", "leave")
    assert [entry.path[1] for entry in registry.index().below(["moon"])] == ["land"]
    registry.forget()
    os.utime(file, ns=(1, 1))
    assert [entry.path[1] for entry in registry.index().below(["moon"])] == ["leave"]


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
