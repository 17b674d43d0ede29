"""The table of clouds and roles agrees with the classes and needs no SDK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.clouds.base import Power, all_roles
from cloudms.clouds.fake import FakeCloud
from cloudms.clouds.roles import installed, role_table


class Powered(Power):
    """Only power."""


def test_every_role_has_a_row_that_says_who_has_it() -> None:
    rows = role_table({"fake": FakeCloud, "powered": Powered})  # type: ignore[dict-item]
    assert [row["name"] for row in rows] == [role.name for role in all_roles()]
    assert all(row["fake"] is True for row in rows)
    assert [row["name"] for row in rows if row["powered"]] == [Power.name]
    assert all(row["text"] and not row["text"].endswith(".") for row in rows)


def test_roles_have_words_that_differ() -> None:
    assert len({role.name for role in all_roles()}) == len(all_roles())
    assert all(role.name and role.__doc__ for role in all_roles())


def test_the_rows_equal_the_inheritance_of_every_installed_cloud() -> None:
    kinds, broken = installed()
    assert broken == {}
    assert set(kinds) >= set(registry.FAMILIES["cloudms.clouds"])
    for role, row in zip(all_roles(), role_table(kinds), strict=True):
        assert {kind: row[kind] for kind in kinds} == {kind: issubclass(cls, role) for kind, cls in kinds.items()}


def test_a_cloud_that_cannot_be_imported_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    load = registry.load

    def broken(family: str, name: str) -> type:
        if name == "libvirt":
            raise SyntaxError("invalid syntax\n(driver.py)")
        return load(family, name)

    monkeypatch.setattr(registry, "load", broken)
    kinds, failed = installed()
    assert failed == {"libvirt": "SyntaxError: invalid syntax"}
    assert kinds["fake"] is FakeCloud


def test_making_the_table_imports_no_sdk() -> None:
    code = """
import sys
from cloudms.clouds.roles import installed, role_table
role_table(installed()[0])
print([name for name in ("libvirt", "boto3", "openstack", "azure", "libcloud", "htcondor") if name in sys.modules])
"""
    source = str(Path(__file__).parents[3] / "src")
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
