"""How SQLite reads: lists come out of an index in their order, and an unchanged row costs no document."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.catalog import sqlite_find
from cloudms.catalog.base import Scope
from cloudms.catalog.sqlite import SqliteCatalog

HEAVY = ("asyncio", "concurrent", "dataclasses", "hashlib", "inspect", "logging", "random", "secrets", "subprocess",
         "tempfile", "urllib.request", "yaml")  # fmt: skip


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqliteCatalog]:
    """Return a catalog with some rows."""
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    catalog.put("vm", {f"{number:03d}": {"cloud": str(number % 3), "name": f"n{number}"} for number in range(300)})
    yield catalog
    catalog.close()


@pytest.mark.parametrize(
    "narrow",
    [
        {},
        {"after": "100"},
        {"cloud": "1"},
        {"cloud": "1", "after": "100"},
        {"text": "n1", "newest": True},
        {"labels": {"a": "b"}},
        {"newest": True},
        {"newest": True, "after": "100"},
        {"newest": True, "cloud": "1"},
    ],
    ids=repr,
)
def test_a_page_is_read_without_sorting_everything(catalog: SqliteCatalog, narrow: dict[str, Any]) -> None:
    plan = plan_of(catalog, **narrow)
    assert "SEARCH d USING" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("narrow", [{}, {"cloud": "1"}, {"limit": 5}], ids=repr)
def test_words_are_looked_for_in_the_first_rows_before_all_texts_are_read(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch, narrow: dict[str, Any]
) -> None:
    assert "SEARCH s USING INTEGER PRIMARY KEY" in plan_of(catalog, text="n1", **narrow)
    monkeypatch.setattr(sqlite_find, "_NEAR", 50)
    assert "SCAN s" in plan_of(catalog, text="nowhere", **narrow)
    assert [row.key for row in catalog.find("vm", text="n299")] == ["299"]


def plan_of(catalog: SqliteCatalog, **narrow: Any) -> str:
    """Return how SQLite carries out the last statement of a search."""
    statements: list[str] = []
    db = catalog.take()
    db.set_trace_callback(statements.append)
    catalog.give_back(db, None)
    catalog.find("vm", **{"limit": 5, **narrow})
    db.set_trace_callback(None)
    return " | ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statements[-1]}"))


def test_rows_that_are_seen_again_write_no_document(catalog: SqliteCatalog) -> None:
    rows = {f"{number:03d}": {"cloud": "x", "fetched": 1.0, "raw": "y" * 1000} for number in range(300)}
    catalog.put("image", rows)
    changed: list[str] = []
    db = catalog.take()
    db.set_trace_callback(changed.append)
    catalog.give_back(db, None)
    generation = catalog.begin(Scope(kind="image", cloud="x"), now=1.0)
    assert catalog.absorb(generation, {key: {**row, "fetched": 2.0} for key, row in rows.items()}) == 0
    assert catalog.seal(generation, now=2.0) == []
    db.set_trace_callback(None)
    assert not [statement for statement in changed if statement.startswith(("UPDATE body", "INSERT INTO body"))]
    assert {row.document["fetched"] for row in catalog.find("image")} == {2.0}


def test_opening_a_catalog_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from cloudms.catalog.sqlite import SqliteCatalog;"
        " catalog = SqliteCatalog(sys.argv[1]); catalog.put('vm', {'a': {}}); catalog.close();"
        " print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-S", "-c", code, str(tmp_path / "c.sqlite")]  # -S: not what site-packages imports
    source = str(Path(sys.modules["cloudms"].__file__ or "").parents[1])
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": source})
    assert not [name for name in done.stdout.split() if name.startswith(HEAVY)]
