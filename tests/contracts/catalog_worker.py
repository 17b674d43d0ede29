"""What other processes do to a catalog while a test looks: `catalog_worker.py STORE FOLDER DEED [ARGUMENT]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from catalog_stores import STORES

from cloudms.catalog.base import Catalog


def say(*words: object) -> None:
    """Print a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def count(catalog: Catalog, times: str) -> None:
    """Add one to a counter `times` times and print every number that came out."""
    say(*(catalog.counter("vm", add=1) for _ in range(int(times))))


def reserve(catalog: Catalog, names: str) -> None:
    """Insert every name once and print those that were free."""
    mine = {"process": os.getpid()}
    say(*(number for number in range(int(names)) if catalog.insert("name", f"vm{number:03d}", mine, event=mine)))


def climb(catalog: Catalog, times: str) -> None:
    """Add one to a document `times` times by compare-and-set."""
    catalog.insert("vm", "shared", {"n": 0})
    for _ in range(int(times)):
        while True:
            seen = catalog.get("vm", "shared")
            assert seen is not None
            if catalog.replace("vm", "shared", {"n": seen.document["n"] + 1}, version=seen.version):
                break


def lead(catalog: Catalog, seconds: str) -> None:
    """Try to take the lease `leader` and print the token it came with."""
    lease = catalog.acquire("leader", f"process {os.getpid()}", now=1000.0, seconds=float(seconds))
    say(lease.token if lease else "")


def write(catalog: Catalog, rows: str) -> None:
    """Write `rows` rows and their event in one put, for ever, and print each number when it is written."""
    last = catalog.find("event", newest=True, limit=1)
    number = last[0].document["n"] if last else 0
    while True:
        number += 1
        catalog.put("vm", {f"vm{row}": {"n": number} for row in range(int(rows))}, events=[{"n": number}])
        say(number)


if __name__ == "__main__":
    store, folder, deed, argument = sys.argv[1:]
    opened = STORES[store](Path(folder))
    {"count": count, "reserve": reserve, "climb": climb, "lead": lead, "write": write}[deed](opened, argument)
    opened.close()
