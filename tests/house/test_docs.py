"""Everything there is has its place in the documentation, and what the documentation prints works."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.clouds.fake.options import Options
from cloudms.config import known
from cloudms.doors.help import _GROUPS, _SELF
from cloudms.errors import tree as errors
from cloudms.model import Noun, VmState, nouns
from tests.house.commands import built_in
from tests.house.generate import COMMAND, stale
from tests.house.source import DOCS, ROOT, modules, tree
from tests.house.typed import Line, entry_of, lines_of, problem, split
from tests.run import campaigns

PAGES = sorted(DOCS.glob("*.md"))
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
"""What is written by hand."""

NOUN_PAGES = {
    "vm": "vm.md",
    "group": "group.md",
    "cluster": "cluster.md",
    "experiment": "experiment.md",
    "task": "experiment.md",
    "node": "experiment.md",
    "image": "image.md",
    "flavor": "flavor.md",
    "key": "key.md",
    "location": "location.md",
    "volume": "volume.md",
    "volume_snapshot": "volume.md",
    "secgroup": "secgroup.md",
    "snapshot": "snapshot.md",
    "address": "address.md",
    "quota": "quota.md",
    "cost": "cost.md",
    "usage": "vm.md",
    "suggestion": "rightsize.md",
    "decision": "scaling.md",
    "simulation": "scaling.md",
    "scaler": "scaler.md",
    "cloud": "cloud.md",
    "setting": "settings.md",
    "check": "doctor.md",
    "event": "event.md",
    "operation": "operation.md",
    "finding": "leases-and-sweep.md",
    "run": "run.md",
    "host_record": "run.md",
    "balancer": "balancer.md",
    "server": "balancer.md",
    "load": "load.md",
    "ledger": "load.md",
}
"""The page of each noun."""


def text_of(name: str) -> str:
    """Return a page of docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_reference_says_what_the_code_does() -> None:
    assert not stale(), f"bring them up to date with: {COMMAND}"


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a page, as the usual renderers make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", [*WRITTEN, *sorted((DOCS / "reference").glob("*.md"))], ids=lambda f: f.name)
def test_links_lead_somewhere(file: Path) -> None:
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (file.parent / path).resolve() if path else file
        there = other.exists() and other.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(other.read_text(encoding="utf-8"))):
            wrong.append(target)
    assert not wrong


def test_the_index_names_every_page() -> None:
    named = set(re.findall(r"\]\(([^)#]+)", text_of("README.md")))
    pages = {str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md")} - {"README.md"}
    assert pages <= named


LINES = [line for file in WRITTEN for line in lines_of(file)]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.file.name}:{line.number}")
def test_a_printed_command_line_is_one(line: Line) -> None:
    assert not problem(line), f"{line.place}: {line.text}"


def test_every_command_is_shown_somewhere() -> None:
    shown = {entry.path for line in LINES if (entry := entry_of(split(line.text))[0]) is not None}
    assert not {" ".join(entry.path) for entry in built_in().verbs if entry.path not in shown}


def test_every_command_has_its_place_in_the_help() -> None:
    placed = {noun for _title, members in _GROUPS for noun in members} | set(_SELF)
    assert not set(built_in().nouns()) - placed


def test_every_noun_has_a_page() -> None:
    kinds = {cls.kind for cls in nouns().values() if cls.__module__.startswith("cloudms.")}
    assert kinds == set(NOUN_PAGES)
    for kind, page in NOUN_PAGES.items():
        columns = nouns().get(kind, Noun).columns
        missing = [
            column for column in columns if column not in ("name", "cloud", "id") and column not in text_of(page)
        ]
        assert not missing, f"docs/{page} says nothing of {missing}"


@pytest.mark.parametrize("state", VmState)
def test_every_state_is_explained(state: VmState) -> None:
    assert f"`{state}`" in text_of("vm.md")


@pytest.mark.parametrize("cls", errors(), ids=lambda cls: cls.__name__)
def test_every_error_is_explained(cls: type) -> None:
    assert re.search(rf"`{cls.code}`", text_of("exit-codes.md"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", registry.FAMILIES["cloudms.formats"])
def test_every_format_is_explained(name: str) -> None:
    assert f"`{name}`" in text_of("output.md")


def settings_of(kind: str) -> set[str]:
    """Return the settings that a kind of cloud reads."""
    package = f"cloudms.clouds.{kind}"
    source = "".join(file.read_text() for name, file in modules().items() if name.startswith(package))
    keys = set(re.findall(r"""(?<!spec\.)options\.get\(["'](\w+)["']""", source))
    return set(Options.field_names()) if kind == "fake" else keys


@pytest.mark.parametrize("kind", registry.FAMILIES["cloudms.clouds"])
def test_every_cloud_has_a_page_with_its_settings(kind: str) -> None:
    page = text_of(f"{kind}.md")
    assert not [key for key in sorted(settings_of(kind)) if f"`{key}`" not in page]


@pytest.mark.parametrize("kind", registry.FAMILIES["cloudms.clouds"])
def test_the_configuration_knows_the_settings_of_a_cloud(kind: str) -> None:
    assert set(known.OPTIONS[kind]) == settings_of(kind) - set(known.EVERY_OPTION)


def environment() -> set[str]:
    """Return the variables that the house and its start script read."""
    found: set[str] = set()
    for name in modules():
        source = modules()[name].read_text(encoding="utf-8")
        if "environ" in source:
            found |= set(re.findall(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""", source))
            found |= set(re.findall(r"""\)\.get\(["']([A-Z]+_[A-Z_]+)["']""", source))
            found |= set(re.findall(r'^VARIABLE = "([A-Z_]+)"', source, re.MULTILINE))
    found |= set(re.findall(r"\bCMS_[A-Z]+\b", (ROOT / "cms").read_text(encoding="utf-8")))
    return found - {"PATH", "HOME"}


def test_every_variable_is_explained() -> None:
    read = environment()
    assert {"CLOUDMESH_CONFIG", "CLOUDMESH_CONFIG_DIR", "LIBVIRT_DEFAULT_URI", "CMS_YES", "NO_COLOR"} <= read
    assert not [name for name in sorted(read) if f"`{name}`" not in text_of("settings.md")]


def test_every_setting_that_is_asked_for_is_explained() -> None:
    pages = text_of("configuration.md") + text_of("settings.md")
    asked = {
        str(node.args[0].value)
        for name in modules()
        if not name.startswith("cloudms.config")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("config.get", "config.flag"))
        and isinstance(node.args[0], ast.Constant)
    }
    assert asked >= {"catalog.kind", "refresh"}
    assert not [key for key in sorted(asked) if f"`{key}`" not in pages]


@pytest.mark.parametrize("name", campaigns())
def test_every_campaign_is_named_where_promises_stand(name: str) -> None:
    assert f"../tests/campaigns/{name}.py" in text_of("SPECIFICATION.md")


def test_a_promise_names_tests_that_exist() -> None:
    text = text_of("SPECIFICATION.md")
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./([\w./]+\.py)\)", text)
    wrong = [
        f"{path}: {test}" for test, path in named if f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert len(named) >= 30
    assert not wrong


def test_every_optional_part_is_explained() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not [name for name in extras if f"`{name}`" not in text_of("doctor.md")]
