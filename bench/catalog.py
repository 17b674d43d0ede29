"""How much the catalog costs over bare sqlite3, measured side by side in one run: `python bench/catalog.py`.

Both sides get the same documents, encode and decode the same JSON, write ahead and reach the disk with every commit.
The bare side is one table of kind, key and JSON, without anything the catalog adds (versions, search, ages, events).
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudms
from cloudms.catalog.base import Scope
from cloudms.catalog.sqlite import SqliteCatalog

IMAGES, VMS, SEARCHED, NAMES = 24_000, 10_000, 100_000, 200
Documents = dict[str, dict[str, Any]]

_LIST = """
import sys
from cloudms.catalog.sqlite import SqliteCatalog
assert len(SqliteCatalog(sys.argv[1]).find("vm", limit=50)) == 50
"""
_SEARCH = """
import sys
from cloudms.catalog.sqlite import SqliteCatalog
assert len(SqliteCatalog(sys.argv[1]).find("image", text="Bionic -99122-")) == 1
"""


def images(count: int) -> Documents:
    """Return images as a large cloud describes them: 1 kB each, their keys in no order."""
    dice = random.Random(1)  # noqa: S311 (no secret)
    documents = {}
    for number in range(count):
        family = ("jammy", "focal", "bionic")[number % 3]
        name, key = f"ubuntu/images/hvm-ssd/ubuntu-{family}-{number}-amd64-server", f"ami-{dice.getrandbits(68):017x}"
        raw = {
            "Description": "Canonical, Ubuntu Server " * 20,
            "ImageId": key,
            "Tags": [{"Key": "k", "Value": "v"}] * 5,
        }
        documents[f"aws/{key}"] = {
            "name": name, "cloud": "aws", "id": key, "region": "us-east-1", "labels": {}, "fetched": 1.7e9, "raw": raw,
            "os": "ubuntu", "arch": "x86_64", "size": 8 << 30, "state": "available",
        }  # fmt: skip
    return documents


class Bare:
    """What one would write by hand: a table of JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE document (kind TEXT, key TEXT, json TEXT, PRIMARY KEY (kind, key))")

    def put(self, kind: str, documents: Documents) -> None:
        """Write documents in one transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        rows = ((kind, key, json.dumps(document)) for key, document in documents.items())
        self.db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", rows)
        self.db.execute("COMMIT")

    def first(self, kind: str, limit: int) -> list[Any]:
        """Return the first documents."""
        rows = self.db.execute("SELECT json FROM document WHERE kind = ? ORDER BY key LIMIT ?", (kind, limit))
        return [json.loads(row[0]) for row in rows]

    def search(self, kind: str, words: list[str]) -> list[Any]:
        """Return the documents in which every word occurs."""
        where = " AND json LIKE ?" * len(words)
        values = [f"%{word}%" for word in words]
        rows = self.db.execute(f"SELECT json FROM document WHERE kind = ?{where} ORDER BY key", (kind, *values))  # noqa: S608
        return [json.loads(row[0]) for row in rows]


def best(do: Callable[[], object], times: int = 5) -> float:
    """Return the least seconds that `do` took."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        found.append(time.perf_counter() - start)
    return min(found)


def show(what: str, ours: float, theirs: float, against: str) -> None:
    """Print one line: milliseconds of both, and their ratio."""
    print(f"{what:<48} {ours * 1000:9.2f} ms {theirs * 1000:9.2f} ms {ours / theirs:7.2f} x  {against}")


def write(folder: Path) -> None:
    """Compare writing a cloud's images: all new, then seen again, then one in a hundred changed."""
    documents, catalog, bare = images(IMAGES), SqliteCatalog(folder / "write.sqlite"), Bare(folder / "bare.sqlite")
    catalog.count("image")
    ours = best(lambda: catalog.put("image", documents), 1)
    theirs = best(lambda: bare.put("image", documents), 1)
    show(f"put {IMAGES} new images", ours, theirs, "executemany")

    def again(changed: int) -> float:
        for nth, document in enumerate(documents.values()):
            document["fetched"] += 60.0
            document["state"] = f"{nth % 100 < changed and document['fetched']}"
        generation = catalog.begin(Scope(kind="image", cloud="aws"), now=1.0)
        rows = list(documents.items())
        pages = [dict(rows[start : start + 1000]) for start in range(0, len(rows), 1000)]
        return best(lambda: [catalog.absorb(generation, page) for page in pages] + catalog.seal(generation, now=2.0), 1)

    theirs = best(lambda: bare.put("image", documents), 3)
    show(f"refresh {IMAGES} unchanged images, prune", min(again(0) for _ in range(4)), theirs, "replace all")
    show(f"refresh {IMAGES} images, 1 % changed", min(again(1) for _ in range(3)), theirs, "replace all")
    catalog.close()


def read(folder: Path) -> None:
    """Compare listing and searching, inside a process and as a whole process."""
    documents = images(VMS)
    catalog, bare = SqliteCatalog(folder / "vms.sqlite"), Bare(folder / "bare-vms.sqlite")
    catalog.put("vm", documents)
    bare.put("vm", documents)
    show(
        f"list 50 of {VMS}",
        best(lambda: catalog.find("vm", limit=50)),
        best(lambda: bare.first("vm", 50)),
        "bare select",
    )
    last = sorted(documents)[VMS // 2]
    show(
        "the next 50",
        best(lambda: catalog.find("vm", after=last, limit=50)),
        best(lambda: bare.first("vm", 50)),
        "same",
    )
    show(f"list all {VMS}", best(lambda: catalog.find("vm")), best(lambda: bare.first("vm", VMS)), "bare select")
    catalog.close()
    documents = images(SEARCHED)
    catalog, bare = SqliteCatalog(folder / "images.sqlite"), Bare(folder / "bare-images.sqlite")
    catalog.put("image", documents)
    bare.put("image", documents)
    words = ["Bionic", "-99122-"]
    ours = best(lambda: catalog.find("image", text=" ".join(words)))
    show(f"find 1 of {SEARCHED} by two words", ours, best(lambda: bare.search("image", words), 2), "LIKE on the JSON")
    catalog.close()


def processes(folder: Path) -> None:
    """Compare whole processes with one that only imports sqlite3 and json."""
    bare = process(folder, "import sqlite3, json, pathlib, typing, abc, threading")
    show(f"process: open, list 50 of {VMS}", process(folder, _LIST, "vms.sqlite"), bare, "imports alone")
    show(f"process: open, search {SEARCHED}", process(folder, _SEARCH, "images.sqlite"), bare, "imports alone")


def process(folder: Path, code: str, *arguments: str) -> float:
    """Return the seconds that a whole Python process takes, its bytecode being there."""
    source = str(Path(cloudms.__file__).parents[1])
    environment = {"PYTHONPATH": source, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-c", code, *(str(folder / name) for name in arguments)]
    return best(lambda: subprocess.run(command, check=True, env=environment), 10)


def reserve(folder: Path) -> None:
    """Compare reserving names one by one, each with its event, each on the disk."""
    catalog, bare = SqliteCatalog(folder / "names.sqlite"), Bare(folder / "bare-names.sqlite")
    catalog.count("name")

    def ours() -> None:
        for number in range(NAMES):
            assert catalog.insert("name", f"vm{number}", {"name": f"vm{number}"}, event={"action": "reserve"})

    def theirs() -> None:
        for number in range(NAMES):
            bare.put("name", {f"vm{number}": {"name": f"vm{number}"}, f"event{number}": {"action": "reserve"}})

    show(f"reserve {NAMES} names, each with an event", best(ours, 1), best(theirs, 1), "two bare rows")
    catalog.close()


def main() -> None:
    """Print every comparison."""
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}")
    print(f"{'':<48} {'catalog':>12} {'bare':>12} {'ratio':>9}  against")
    with tempfile.TemporaryDirectory(prefix="cloudms-bench-") as name:
        folder = Path(name)
        write(folder)
        reserve(folder)
        read(folder)
        processes(folder)


if __name__ == "__main__":
    main()
