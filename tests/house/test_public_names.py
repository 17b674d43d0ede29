"""What others may import is what the documentation lists, and nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest

import cloudms
from cloudms.errors import tree as errors
from tests.house.source import DOCS, tree


def documented() -> list[str]:
    """Return the names in the table of docs/python.md."""
    section = (DOCS / "python.md").read_text(encoding="utf-8").split("\n## Public names\n")[1]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return re.findall(r"`(\w+)`", " ".join(rows))


def test_the_documented_names_are_the_public_ones() -> None:
    named = documented()
    assert sorted(named) == sorted(cloudms.__all__)
    assert len(named) == len(set(named))


@pytest.mark.parametrize("name", cloudms.__all__)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    found = getattr(cloudms, name)
    assert name in dir(cloudms)
    if inspect.isclass(found):
        assert inspect.getdoc(found)
        assert found.__module__.startswith("cloudms.")


def test_what_type_checkers_see_is_what_there_is() -> None:
    (block,) = (node for node in tree("cloudms").body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(seen) == set(cloudms.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(importlib.import_module(str(module)), name) is getattr(cloudms, name)


def test_every_error_is_public() -> None:
    assert {cls.__name__ for cls in errors() if cls.__module__ == "cloudms.errors"} <= set(cloudms.__all__)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="Kms"):
        _ = cloudms.Kms
