"""The contract of the catalog under threads, processes and kills: nothing is lost, doubled or half written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from catalog_stores import ONE_PROCESS, STORES

import cloudms
from cloudms.catalog.base import Catalog, Scope
from cloudms.catalog.memory import MemoryCatalog

SHARED = [name for name in STORES if name not in ONE_PROCESS]
WORKER = Path(__file__).with_name("catalog_worker.py")
THREADS, PROCESSES = 8, 20


@pytest.fixture(params=STORES)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """Return an empty catalog of every store."""
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=SHARED)
def store(request: pytest.FixtureRequest) -> str:
    """Return the name of every store that processes can share."""
    return str(request.param)


def start(store: str, folder: Path, deed: str, argument: object) -> subprocess.Popen[str]:
    """Start a process that does `deed` to the store in `folder`."""
    path = os.pathsep.join((str(Path(cloudms.__file__).parents[1]), str(WORKER.parent)))
    command = [sys.executable, str(WORKER), store, str(folder), deed, str(argument)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})


def together(store: str, folder: Path, deed: str, argument: object) -> list[list[str]]:
    """Let twenty processes do `deed` at the same time and return the words that each printed."""
    running = [start(store, folder, deed, argument) for _ in range(PROCESSES)]
    printed = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES
    return printed


def in_threads(do: Callable[[int], Any]) -> list[Any]:
    """Call `do` in eight threads at the same time and return what they return."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(do, range(THREADS)))


# Threads


def test_threads_count_every_number_once(catalog: Catalog) -> None:
    numbers = in_threads(lambda _: [catalog.counter("vm", add=1) for _ in range(25)])
    assert sorted(chain(*numbers)) == list(range(1, 25 * THREADS + 1))


def test_threads_reserve_every_name_once(catalog: Catalog) -> None:
    won = in_threads(lambda me: [n for n in range(30) if catalog.insert("name", str(n), {"by": me}, event={"by": me})])
    assert sorted(chain(*won)) == list(range(30))
    holders = Counter(row.document["by"] for row in catalog.find("name"))
    assert holders == {me: len(names) for me, names in enumerate(won) if names}
    assert Counter(row.document["by"] for row in catalog.find("event")) == holders


def test_threads_reserve_many_names_at_once(catalog: Catalog) -> None:
    won = in_threads(lambda me: catalog.insert_many("name", {str(n): {"by": me} for n in range(me, me + 30)}))
    assert sorted(chain(*won), key=int) == [str(n) for n in range(THREADS + 29)]
    holders = Counter(row.document["by"] for row in catalog.find("name"))
    assert holders == {me: len(names) for me, names in enumerate(won) if names}


def test_threads_lose_no_update(catalog: Catalog) -> None:
    catalog.insert("vm", "shared", {"n": 0})

    def climb(_: int) -> None:
        for _ in range(10):
            while True:
                seen = catalog.get("vm", "shared")
                assert seen is not None
                if catalog.replace("vm", "shared", {"n": seen.document["n"] + 1}, version=seen.version):
                    break

    in_threads(climb)
    last = catalog.get("vm", "shared")
    assert last is not None
    assert (last.document["n"], last.version) == (10 * THREADS, 10 * THREADS + 1)


def test_one_thread_gets_the_lease(catalog: Catalog) -> None:
    leases = in_threads(lambda me: catalog.acquire("leader", str(me), now=100.0, seconds=10.0))
    assert len([lease for lease in leases if lease]) == 1


def test_a_reader_never_sees_half_a_put(catalog: Catalog) -> None:
    rows = [f"vm{number}" for number in range(20)]
    catalog.put("vm", {key: {"n": 0} for key in rows})

    def write_or_read(me: int) -> set[int]:
        if me == 0:
            for number in range(1, 60):
                catalog.put("vm", {key: {"n": number} for key in rows})
            return {1}
        return {len({row.document["n"] for row in catalog.find("vm")}) for _ in range(60)}

    assert set().union(*in_threads(write_or_read)) == {1}


def test_threads_refresh_the_same_scope_and_the_last_row_stays(catalog: Catalog) -> None:
    scope = Scope(kind="vm", cloud="here")
    rows = {f"vm{number}": {"cloud": "here", "name": str(number)} for number in range(50)}
    catalog.put("vm", {"gone": {"cloud": "here"}})

    def refresh(_: int) -> list[str]:
        generation = catalog.begin(scope, now=1.0)
        catalog.absorb(generation, rows)
        return [row.key for row in catalog.seal(generation, now=2.0)]

    assert list(chain(*in_threads(refresh))) == ["gone"]
    assert [row.key for row in catalog.find("vm")] == sorted(rows)


# Processes


def test_processes_count_every_number_once(store: str, tmp_path: Path) -> None:
    printed = together(store, tmp_path, "count", 15)
    assert sorted(int(number) for own in printed for number in own) == list(range(1, 15 * PROCESSES + 1))
    assert all([int(number) for number in own] == sorted(int(number) for number in own) for own in printed)


def test_processes_reserve_every_name_once(store: str, tmp_path: Path) -> None:
    printed = together(store, tmp_path, "reserve", 40)
    assert sorted(int(number) for own in printed for number in own) == list(range(40))
    catalog = STORES[store](tmp_path)
    assert (catalog.count("name"), catalog.count("event")) == (40, 40)
    catalog.close()


def test_processes_lose_no_update(store: str, tmp_path: Path) -> None:
    together(store, tmp_path, "climb", 5)
    catalog = STORES[store](tmp_path)
    last = catalog.get("vm", "shared")
    assert last is not None
    assert (last.document["n"], last.version) == (5 * PROCESSES, 5 * PROCESSES + 1)
    catalog.close()


def test_one_process_gets_the_lease(store: str, tmp_path: Path) -> None:
    printed = together(store, tmp_path, "lead", 60)
    assert len([own for own in printed if own]) == 1


def test_a_kill_loses_nothing_and_leaves_nothing_half_done(store: str, tmp_path: Path) -> None:
    """Writers are killed at random moments; what they said is written is there, each row and event of it or none."""
    moment = random.Random(7)
    catalog = STORES[store](tmp_path)
    for _ in range(12):
        writer = start(store, tmp_path, "write", 30)
        assert writer.stdout is not None
        said = [writer.stdout.readline()]
        time.sleep(moment.random() * 0.03)
        writer.send_signal(signal.SIGKILL)
        said += writer.communicate(timeout=60)[0].splitlines()
        assert writer.returncode == -signal.SIGKILL
        promised = max(int(line) for line in said if line.strip())
        numbers = {row.document["n"] for row in catalog.find("vm")}
        events = [row.document["n"] for row in catalog.find("event")]
        assert len(numbers) == 1
        assert max(numbers) >= promised
        assert events == list(range(1, max(numbers) + 1))
    assert catalog.count("vm") == 30
    catalog.close()


def test_a_kill_while_the_store_is_made_leaves_one_that_works(store: str, tmp_path: Path) -> None:
    moment = random.Random(8)
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        writer = start(store, folder, "write", 3)
        begun = time.monotonic()
        while not folder.exists() and time.monotonic() < begun + 0.5:
            time.sleep(0.001)
        time.sleep(moment.random() * 0.02)
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.communicate(timeout=60)[0].split()]
        catalog = STORES[store](folder)
        events = [row.document["n"] for row in catalog.find("event")]
        assert events == list(range(1, len(events) + 1))
        assert len(events) >= len(said)
        assert catalog.counter("n", add=1) == 1
        catalog.close()


# Any order of calls


class Player:
    """Calls a catalog at random, with names so few that everything meets everything, and notes what it says."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self.catalog = catalog
        self.dice = random.Random(seed)
        self.generations: list[Any] = []
        self.said: list[Any] = []

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return up to four documents."""
        return {self.key(): self.document() for _ in range(self.dice.randrange(4))}

    def key(self) -> str:
        """Return one of six keys."""
        return self.dice.choice("abcdef")

    def document(self) -> dict[str, Any]:
        """Return a document of few clouds, regions, names, labels and ages."""
        pick = self.dice.choice
        document: dict[str, Any] = {"cloud": pick(["x", "y"]), "region": pick(["", "r"]), "name": pick(["One", "two"])}
        if self.dice.random() < 0.5:
            document["labels"] = {pick("kl"): pick("vw")}
        if self.dice.random() < 0.5:
            document["fetched"] = pick([1.0, 2.0, None])
        return document

    def play(self, calls: int) -> list[Any]:
        """Make `calls` calls and return everything they returned."""
        deeds = (self.write, self.write, self.look, self.refresh, self.refresh, self.count)
        for _ in range(calls):
            self.dice.choice(deeds)()
            self.said.append([(row.key, row.document, row.version) for row in self.catalog.find("vm")])
        self.said.append([row.document for row in self.catalog.find("event")])
        return self.said

    def write(self) -> None:
        """Write or delete documents."""
        key, kind = self.key(), "vm"
        deed = self.dice.randrange(5)
        if deed == 0:
            self.said.append(self.catalog.insert(kind, key, self.document(), event=self.document()))
        elif deed == 1:
            self.said.append(self.catalog.put(kind, self.documents(), events=[self.document()]))
        elif deed == 4:
            self.said.append(self.catalog.insert_many(kind, self.documents()))
        elif deed == 2:
            version = self.dice.randrange(1, 4)
            self.said.append(self.catalog.replace(kind, key, self.document(), version=version))
        else:
            self.said.append(self.catalog.delete(kind, [key, self.key()]))

    def look(self) -> None:
        """Search."""
        narrow: dict[str, Any] = {
            "cloud": self.dice.choice(["", "x"]),
            "name": self.dice.choice(["", "", "two"]),
            "labels": self.dice.choice([None, {"k": "v"}]),
            "text": self.dice.choice(["", "ONE", "o x"]),
            "limit": self.dice.randrange(3),
            "newest": self.dice.random() < 0.5,
        }
        self.said.append([row.key for row in self.catalog.find("vm", **narrow)])
        self.said.append((self.catalog.count("vm"), self.catalog.count("vm", cloud="x")))

    def refresh(self) -> None:
        """Begin, feed or seal one of several refreshes."""
        deed = self.dice.randrange(3)
        if deed == 0 or not self.generations:
            region, query = self.dice.choice(["", "r"]), self.dice.choice(["", "p", "q"])
            scope = Scope(kind="vm", cloud=self.dice.choice("xy"), region=region, query=query)
            self.generations.append(self.catalog.begin(scope, now=1.0))
            return
        generation = self.dice.choice(self.generations)
        if deed == 1:
            self.said.append(self.catalog.absorb(generation, self.documents()))
            return
        prune = self.dice.random() < 0.8
        self.said.append([row.key for row in self.catalog.seal(generation, now=2.0, prune=prune)])
        self.said.append(self.catalog.generation(generation.scope))

    def count(self) -> None:
        """Count, and take a lease."""
        add, least = self.dice.randrange(-2, 4), self.dice.randrange(3)
        self.said.append(self.catalog.counter(self.key(), add=add, least=least))
        self.said.append(self.catalog.counters())
        lease = self.catalog.acquire("l", self.key(), now=float(len(self.said)), seconds=self.dice.randrange(1, 9))
        self.said.append(lease and (lease.owner, lease.expires))


@pytest.mark.parametrize("seed", range(20))
def test_every_store_answers_as_the_one_in_memory_does(catalog: Catalog, seed: int) -> None:
    assert Player(catalog, seed).play(120) == Player(MemoryCatalog(), seed).play(120)
