"""Every store that the contract of the catalog is tested on: a new store is one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cloudms.catalog.base import Catalog
from cloudms.catalog.memory import MemoryCatalog
from cloudms.catalog.sqlite import SqliteCatalog

STORES: Mapping[str, Callable[[Path], Catalog]] = {
    "memory": lambda folder: MemoryCatalog(),
    "sqlite": lambda folder: SqliteCatalog(folder / "catalog.sqlite"),
}
"""Store → what opens it anew; the folder is the test's own, and two that are opened in one folder share their data."""

ONE_PROCESS = frozenset({"memory"})
"""Stores that end with their object, so that other processes cannot share them."""
