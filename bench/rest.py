"""How fast `cms serve` is: its start against an empty Python, its lists against a bare FastAPI route.

    python bench/rest.py [--requests 200] [--runs 5]

Two servers run on loopback at the same time, in processes of their own: `cms serve` with a catalog of VMs, and a
FastAPI application with one route that returns the same data with nothing behind it. They are asked in turns, so that
other load falls on both alike; what counts is the ratio of the medians. The exit code is 1 when a ratio is above its
target.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep

import httpx
from cli import CONFIG, _vm

from cloudms.catalog.sqlite import SqliteCatalog

BARE = """\
import json, sys
import uvicorn
from fastapi import FastAPI
app = FastAPI()
found = json.load(open(sys.argv[1]))
@app.get("/list")
def show() -> dict:
    return found
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="critical", access_log=False)
"""
LISTS = {
    "20 VMs of 20": (20, 20, False, 4.0),
    "100 VMs of 1,000": (1_000, 100, False, 45.0),
    "100 more of them": (1_000, 100, True, 12.0),
}
"""How many VMs there are, how many are asked for, whether on the second page, and the most times of the bare route."""
START = 50.0
"""The most that the start may take, in times of an empty Python."""


def prepare(home: Path, rows: int) -> None:
    """Write a configuration and fill the catalog."""
    home.mkdir(mode=0o700)
    (home / "cloudmesh.yaml").write_text(CONFIG)
    (home / "cloudmesh.yaml").chmod(0o600)
    catalog = SqliteCatalog(home / "catalog.sqlite")
    catalog.put("vm", {vm.key: vm.to_document() for vm in map(_vm, range(rows))})
    catalog.close()


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a service with that home."""
    return {**os.environ, "HOME": str(home.parent), "CLOUDMESH_CONFIG_DIR": str(home)}


@contextmanager
def serving(home: Path) -> Iterator[httpx.Client]:
    """Start `cms serve`, and give a client of it."""
    words = [str(Path(sys.executable).with_name("cms")), "serve", "--port", "0", "--no-access-log"]
    with subprocess.Popen(words, env=environment(home), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().split()[-1]
        process.stdout.readline()  # says where the token is
        token = (home / "rest.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        try:
            yield _awake(httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60), "/healthz")
        finally:
            process.terminate()


@contextmanager
def bare(found: Path, port: int) -> Iterator[httpx.Client]:
    """Start the bare application, and give a client of it."""
    with subprocess.Popen([sys.executable, "-c", BARE, found, str(port)]) as process:
        try:
            yield _awake(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60), "/list")
        finally:
            process.terminate()


def _awake(client: httpx.Client, path: str) -> httpx.Client:
    for _ in range(400):
        try:
            client.get(path)
            return client
        except httpx.TransportError:
            sleep(0.05)
    raise SystemExit("the server did not start")


def asked(ask: Mapping[str, Callable[[], httpx.Response]], requests: int) -> dict[str, list[float]]:
    """Return the seconds of every request, asked in turns; the first of each are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ask}
    for turn in range(requests + 10):
        for name, one in ask.items():
            begun = perf_counter()
            response = one()
            taken = perf_counter() - begun
            assert response.status_code == 200, response.text
            seconds[name] += [taken] if turn >= 10 else []
    return seconds


def lists(folder: Path, requests: int) -> int:
    """Measure the lists and return how many are too slow."""
    slow = 0
    for number, (name, (rows, limit, second, target)) in enumerate(LISTS.items()):
        home = folder / f"home{number}"
        prepare(home, rows)
        with serving(home) as client:
            path = f"/v1/vm/list?cached=true&limit={limit}"
            if second:
                path += f"&after={client.get(path).json()['next']}"
            found = folder / f"found{number}.json"
            found.write_text(json.dumps(client.get(path).json()))
            with bare(found, 18_000 + os.getpid() % 1000 + number) as other:
                seconds = asked({"cms": partial(client.get, path), "bare": partial(other.get, "/list")}, requests)
        ratio = median(seconds["cms"]) / median(seconds["bare"])
        slow += ratio > target
        own, other_ms = median(seconds["cms"]) * 1000, median(seconds["bare"]) * 1000
        late = quantiles(seconds["cms"], n=20)[-1] * 1000
        print(f"{name:18} cms {own:6.2f} ms (p95 {late:6.2f})  bare {other_ms:6.2f} ms  {_judged(ratio, target)}")
    return slow


def start(home: Path, runs: int) -> int:
    """Measure the time until the service listens, and return whether it is too slow."""
    seconds: dict[str, list[float]] = {"python": [], "cms": []}
    for turn in range(runs + 1):
        begun = perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        middle = perf_counter()
        words = [str(Path(sys.executable).with_name("cms")), "serve", "--port", "0"]
        with subprocess.Popen(words, env=environment(home), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            end = perf_counter()
            process.kill()
        if turn:
            seconds["python"].append(middle - begun)
            seconds["cms"].append(end - middle)
    ratio = median(seconds["cms"]) / median(seconds["python"])
    print(f"{'until it listens':18} cms {median(seconds['cms']) * 1000:6.0f} ms  {_judged(ratio, START)}")
    return ratio > START


def _judged(ratio: float, target: float) -> str:
    return f"{ratio:5.2f} x  (at most {target:g} x)  {'ok' if ratio <= target else 'TOO SLOW'}"


def main() -> int:
    """Measure, print a line each, and return 1 when one is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200, help="requests of each kind that count")
    parser.add_argument("--runs", type=int, default=5, help="starts that count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slow = lists(Path(folder), options.requests)
        slow += start(Path(folder) / "home0", options.runs)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
