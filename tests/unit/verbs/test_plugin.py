"""`cms plugin list`: what others add, and what is wrong with it now."""

from __future__ import annotations

import pytest

from cloudms import registry
from cloudms.context import Context
from cloudms.registry import FAMILIES, Index, VerbEntry
from cloudms.verbs.plugin import list_


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that two plug-ins were installed, of which one broke since."""
    families = {group: dict(members) for group, members in FAMILIES.items()}
    families["cloudms.clouds"] |= {"moon": "cloudms.clouds.fake:FakeCloud", "mars": "no.such.module:Mars"}
    verbs = (
        VerbEntry(path=("moon", "land"), module="no.such.verbs", summary="Land", plugin="martian"),
        VerbEntry(path=("version",), module="cloudms.verbs.version", summary="Show", plugin="lunar"),
    )
    plugins = (
        {"name": "lunar", "version": "1", "adds": ["cloud moon", "command version"], "problems": [], "modules": []},
        {"name": "martian", "version": "2", "adds": ["cloud mars", "command moon land"], "problems": ["a taken word"],
         "modules": []},
    )  # fmt: skip
    found = Index(stamp="x", verbs=verbs, families=families, plugins=plugins, broken={"lost": "it is gone"})
    monkeypatch.setattr(registry, "_index", found)


def test_everything_that_a_plug_in_brings_is_looked_at() -> None:
    lunar, martian, lost = list_(Context())
    assert (lunar["name"], lunar["version"], lunar["adds"], lunar["broken"]) == (
        "lunar",
        "1",
        ["cloud moon", "command version"],
        "",
    )
    assert martian["broken"].startswith("a taken word; 'mars' (no.such.module) cannot be loaded: ModuleNotFoundError")
    assert "the command 'moon land' of the plug-in 'martian' cannot be loaded" in martian["broken"]
    assert (lost["name"], lost["broken"]) == ("lost", "it is gone")
    assert all(row["kind"] == "plugin" and row["schema"] == 1 for row in (lunar, martian, lost))
