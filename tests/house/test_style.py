"""The style of the house where no linter looks."""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from cloudms.doors.parse import parse
from cloudms.doors.screen import plain
from cloudms.errors import NotFound
from cloudms.registry import VerbEntry
from cloudms.verb import parameters
from tests.house.commands import built_in
from tests.house.source import ROOT, SRC, imports, modules, place, public_functions, tree
from tests.house.typed import entry_of, split

VERBS = built_in().verbs
LONGEST = 400
"""Lines of a file; more are two subjects."""
WHOLE = {"cloudms.clouds.base": 800, "cloudms.model.things": 600}
"""Contracts that read best as one page."""

FORBIDDEN = ("eval", "exec", "os.system", "os.popen", "pickle.loads", "yaml.load", "yaml.unsafe_load", "marshal.loads")


@pytest.mark.parametrize("module", modules())
def test_a_file_has_one_subject(module: str) -> None:
    text = modules()[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= WHOLE.get(module, LONGEST)
    assert ast.get_docstring(tree(module)), f"{place(module, 1)}: what is it about?"


@pytest.mark.parametrize("module", modules())
def test_what_is_public_says_what_it_does(module: str) -> None:
    wrong = [
        f"{place(module, node.lineno)}: {node.name}"
        for node in public_functions(module)
        if not ast.get_docstring(node) and not _overload(node)
    ]
    assert not wrong


def _overload(node: ast.AST) -> bool:
    return any("overload" in ast.unparse(each) for each in getattr(node, "decorator_list", ()))


@pytest.mark.parametrize("module", modules())
def test_nothing_is_run_that_was_text(module: str) -> None:
    wrong = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            shell = any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords)
            safe = name == "yaml.load" and any("Safe" in ast.unparse(word.value) for word in node.keywords)
            if (name in FORBIDDEN and not safe) or shell:
                wrong.append(f"{place(module, node.lineno)}: {ast.unparse(node)[:80]}")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            wrong.append(f"{place(module, node.lineno)}: a bare except")
    assert not wrong


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TO-?DO|FIX-?ME|X{3})\b")
    files = [
        *SRC.rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "cms",
        ROOT / "test",
    ]
    wrong = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert not wrong


@pytest.mark.parametrize("module", modules())
def test_imports_stand_on_top_unless_they_cost(module: str) -> None:
    """What is imported inside a function costs time; never is it what the module has on top anyway."""
    on_top = {each.module for each in imports(module) if not each.lazy} - {"typing"}
    wrong = [
        f"{place(module, each.line)}: {each.module}" for each in imports(module) if each.lazy and each.module in on_top
    ]
    assert not wrong


@pytest.mark.parametrize("entry", VERBS, ids=lambda entry: " ".join(entry.path))
def test_a_command_explains_itself(entry: VerbEntry) -> None:
    verb = entry.load()
    assert verb.summary
    assert verb.summary[0].isupper()
    assert not verb.summary.endswith(".")
    assert len(verb.summary) <= 120
    for parameter in parameters(verb):
        assert parameter.text, f"{verb.name}: {parameter.name} has no Doc"
        assert not parameter.text.endswith("."), f"{verb.name}: {parameter.name}"
        assert parameter.text == plain(parameter.text)
        assert parameter.type in ("str", "int", "float", "bool", "dict", "path"), f"{verb.name}: {parameter.name}"


@pytest.mark.parametrize("entry", VERBS, ids=lambda entry: " ".join(entry.path))
def test_the_example_of_a_command_is_one_of_its_own(entry: VerbEntry) -> None:
    example = entry.load().example
    assert example, f"{' '.join(entry.path)} has no example"
    line = re.sub(r'^eval "\$\((.*)\)"$', r"\1", example)
    assert line.startswith("cms ")
    found, rest = entry_of(split(line))
    assert found is not None
    assert found.path == entry.path
    try:
        parse(found.load(), rest)
    except NotFound as error:
        assert error.message.startswith("there is no file")
    assert shlex.split(line)


STARTS = (("ansible",),)
"""What is no plan of ours, and yet starts something on VMs."""


@pytest.mark.parametrize("entry", VERBS, ids=lambda entry: " ".join(entry.path))
def test_a_changing_command_has_a_dry_run(entry: VerbEntry) -> None:
    from tests.house.typed import options_of

    assert ("--dry-run" in options_of(entry)) == (entry.changes or entry.path in STARTS)


MADE = ("vm", "vm snapshot", "image", "key", "volume", "ip")
"""What a person makes, and so may label."""
KINDS = (*MADE, "address")
"""The nouns that these are, too."""


@pytest.mark.parametrize("entry", VERBS, ids=lambda entry: " ".join(entry.path))
def test_a_command_that_takes_several_names_takes_a_selector(entry: VerbEntry) -> None:
    """Several things that a person made can be chosen by a label in place of names."""
    known = {parameter.name: parameter for parameter in parameters(entry.load())}
    several = [p for p in known.values() if p.argument and p.many and (p.names in KINDS or p.name == "snapshots")]
    if several and entry.changes:
        assert not several[0].required
        assert known["label"].type == "dict"


@pytest.mark.parametrize("noun", MADE)
def test_what_a_person_makes_is_labelled_listed_by_label_and_labelled_anew(noun: str) -> None:
    words = tuple(noun.split())
    found = {e.path[-1]: {p.name for p in parameters(e.load())} for e in VERBS if e.path[:-1] == words}
    makers = {"boot", "clone", "create", "add", "build", "pull"} & found.keys()
    assert makers
    assert {verb for verb in (*makers, "list", "label", "delete") if "label" not in found[verb]} == set()
    assert {"set", "remove"} <= found["label"]


def test_columns_are_fields() -> None:
    from cloudms.engine.rightsize import Suggestion
    from cloudms.janitor import Finding
    from cloudms.model import Noun, nouns

    for cls in [*nouns().values(), Finding, Suggestion]:
        assert isinstance(cls, type)
        assert issubclass(cls, Noun)
        assert set(cls.columns) <= set(cls.field_names()), cls.kind
