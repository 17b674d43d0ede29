"""Layers only point down, no cloud knows the house above it, and nothing goes round in a circle."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import imports, modules, place, tree

LAYERS: tuple[tuple[str, ...], ...] = (
    ("cloudms", "cloudms.families", "cloudms.garbage", "cloudms.record"),
    ("cloudms.clock", "cloudms.errors", "cloudms.paths"),
    ("cloudms.model", "cloudms.names", "cloudms.older", "cloudms.plugins", "cloudms.units", "cloudms.verb"),
    ("cloudms.cloudsyaml", "cloudms.lease", "cloudms.workload"),
    ("cloudms.catalog", "cloudms.clouds", "cloudms.config", "cloudms.images", "cloudms.registry", "cloudms.ssh"),
    ("cloudms.clouds.base",),
    (
        "cloudms.clouds.aws",
        "cloudms.clouds.fake",
        "cloudms.clouds.libvirt",
        "cloudms.clouds.openstack",
        "cloudms.clouds.roles",
        "cloudms.guards",
    ),
    ("cloudms.fanout",),
    ("cloudms.context",),
    ("cloudms.engine",),
    ("cloudms.balancers",),
    ("cloudms.janitor",),
    ("cloudms.cluster",),
    ("cloudms.jobs",),
    ("cloudms.scaling",),
    ("cloudms.verbs",),
    ("cloudms.doors",),
    ("cloudms.__main__", "cloudms.api"),
    ("cloudms.ancestors",),
)
"""The lowest first; a module belongs to the longest name that it begins with, and imports from lower rows only."""

RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

FOR_CLOUDS = (
    "cloudms",
    "cloudms.clock",
    "cloudms.clouds",
    "cloudms.clouds.base",
    "cloudms.cloudsyaml",
    "cloudms.errors",
    "cloudms.garbage",
    "cloudms.images",
    "cloudms.lease",
    "cloudms.model",
    "cloudms.names",
    "cloudms.paths",
    "cloudms.record",
    "cloudms.units",
)
"""What a cloud may use: it neither stores, nor asks the configuration, nor knows a verb."""

NOT_FOR_DOORS = (
    "cloudms.catalog",
    "cloudms.clouds",
    "cloudms.fanout",
    "cloudms.guards",
    "cloudms.images",
    "cloudms.janitor",
    "cloudms.ssh",
)
"""What a door has no business with: it lists verbs, and the engine carries them out."""


def unit(module: str) -> str:
    """Return the row entry that a module belongs to."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    found = next(name for name in names if name in RANK)
    assert found != "cloudms" or module == "cloudms", f"{module} stands in no layer: give it one in LAYERS"
    return found


def own(module: str) -> list[tuple[str, int]]:
    """Return what a module imports of the house, with the line."""
    return [(each.module, each.line) for each in imports(module) if each.module.split(".")[0] == "cloudms"]


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    mine = unit(module)
    wrong = [
        f"{place(module, line)}: {module} imports {other}"
        for other, line in own(module)
        if unit(other) != mine and RANK[unit(other)] >= RANK[mine]
    ]
    assert not wrong


def test_every_layer_exists() -> None:
    assert {unit(module) for module in modules()} == set(RANK)


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("cloudms.clouds.")])
def test_a_cloud_knows_only_nouns_and_errors(module: str) -> None:
    if module == "cloudms.clouds.roles":  # the table of all clouds is no cloud
        return
    allowed = {*FOR_CLOUDS, unit(module)}
    wrong = [f"{place(module, line)}: {other}" for other, line in own(module) if unit(other) not in allowed]
    assert not wrong


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith(("cloudms.doors", "cloudms.api"))])
def test_a_door_holds_no_logic(module: str) -> None:
    wrong = [
        f"{place(module, line)}: {other}"
        for other, line in own(module)
        if any(other == name or other.startswith(f"{name}.") for name in (*NOT_FOR_DOORS, "cloudms.verbs"))
    ]
    assert not wrong


def test_only_the_registry_imports_by_name() -> None:
    by_name = {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
        and not isinstance(node.args[0], ast.Constant)
    }
    assert by_name == {"cloudms", "cloudms.registry"}


def test_only_the_clock_knows_the_time() -> None:
    wrong = [
        f"{place(module, each.line)}: {each.module}"
        for module in modules()
        for each in imports(module)
        if each.module in ("time", "sched") and module != "cloudms.clock"
    ]
    wrong += [
        place(module, node.lineno)
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and "date" in ast.unparse(node.value)
    ]
    assert not wrong


def test_nothing_goes_round_in_a_circle() -> None:
    """Imports inside functions count, so that none of them can be a way round a circle."""
    state: dict[str, bool] = {}
    circles: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circles.append(" → ".join((*path[path.index(module) :], module)))
            return
        if module in state:
            return
        for other, _line in own(module):
            if other != module and other != "cloudms":  # the root only names what it would import
                visit(other, (*path, module))
        state[module] = True

    for module in modules():
        visit(module, ())
    assert not circles
