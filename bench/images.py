"""How fast the images of a cloud come into the catalog, and are found there: against boto3's paginator, in one run.

    python bench/images.py [--quick]

A server of its own process (tests/aws/replay.py) gives pages of 1,000 images, each after half a second, as XML of
1.1 kB an image. What is timed are whole processes: `cms aws image refresh --all` into an empty catalog, the same again
when nothing has changed, and `cms image search`. boto3's paginator only reads the pages and keeps nothing. The exit
code is 1 when a target is missed. Measured on two cores that others used a little:

    24,000 even: 1.7 s (1.0 of CPU), 58 MB, the first row after 0.65 s
    100,000 even: 6.0 s (4.4 of CPU), 69 MB, the first row after 0.75 s; boto3 59 s (8.6 of CPU)
    100,000 skewed: 6.3 s (4.4 of CPU), 69 MB; boto3 62.6 s
    searches: 50 ms; 62 ms for words that are rare or nowhere, since all texts are read

Where the rest is: 0.15 s until the first request is sent, 0.5 s for the server, and 43 microseconds of CPU an image (11
to read its XML, 7 to make its noun, 11 to write its JSON, 9 for the catalog, 5 for the network and the threads).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE_SECONDS = 0.5
CONFIG = """\
cloudmesh:
  default: {{cloud: aws}}
  cloud:
    aws:
      cm: {{kind: aws, active: true}}
      default: {{location: us-east-1}}
      options: {{endpoint: "http://127.0.0.1:{port}"}}
      credentials: {{EC2_ACCESS_ID: AKIDEXAMPLE, EC2_SECRET_KEY: example}}
"""
BOTO = """
import sys, boto3
client = boto3.client("ec2", region_name="us-east-1", endpoint_url=sys.argv[1], aws_access_key_id="a",
                      aws_secret_access_key="b")
pages = client.get_paginator(sys.argv[2]).paginate(PaginationConfig={"PageSize": 1000})
print(sum(len(page[sys.argv[3]]) for page in pages))
"""


class Run(NamedTuple):
    """One process: seconds in all, until its first row, of CPU; and its memory at most, in MB."""

    wall: float
    first: float
    cpu: float
    memory: float


class Case(NamedTuple):
    """A calendar and what it may take: seconds in all, and how many times as long boto3 must take."""

    calendar: str
    images: int
    most: float
    ratio: float


CASES = (Case("even", 24_000, 2.2, 0.0), Case("even", 100_000, 7.0, 8.0), Case("skewed", 100_000, 10.0, 5.0))
FIRST_ROW, MEMORY, SEARCH, RARE = 1.0, 90.0, 0.070, 0.080


@contextmanager
def serving(*words: str) -> Iterator[int]:
    """Serve in another process and return the port."""
    command = [sys.executable, "-m", "tests.aws.replay", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> Run:
    """Run a command and measure it; the second line of what it writes is its first row."""
    begun, first = perf_counter(), 0.0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line, _ in enumerate(process.stdout):
        first = perf_counter() - begun if line == 1 else first
    _, status, used = os.wait4(process.pid, 0)
    wall = perf_counter() - begun
    if status:
        sys.exit(f"{command} failed: {process.stderr.read().decode() if process.stderr else ''}")
    return Run(wall, first or wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def surroundings(home: Path, port: int) -> dict[str, str]:
    """Write a configuration for the server and return the environment that uses it."""
    home.mkdir(exist_ok=True)
    (home / "cloudmesh.yaml").write_text(CONFIG.format(port=port))
    (home / "cloudmesh.yaml").chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_", "CLOUDM"))}
    return {**kept, "CLOUDMESH_CONFIG_DIR": str(home), "HOME": str(home)}


def shown(what: str, found: Run, most: float = 0.0) -> bool:
    """Print a line and return whether it is in time."""
    fine = not most or found.wall <= most
    target = f"(at most {most:g} s) {'ok' if fine else 'TOO SLOW'}" if most else ""
    print(f"  {what:<34} {found.wall:6.2f} s {found.cpu:6.2f} s CPU {found.memory:5.0f} MB  {target}")
    return fine


def compare(case: Case, folder: Path, boto: bool) -> tuple[int, Path]:
    """Time one case and return how many targets it missed, and its home."""
    print(f"{case.images:,} images, {case.calendar} calendar, {PAGE_SECONDS} s a page of 1,000")
    home, missed = folder / f"{case.calendar}-{case.images}", 0
    words = ("--images", str(case.images), "--calendar", case.calendar, "--sleep", str(PAGE_SECONDS))
    with serving(*words) as port:
        environment = surroundings(home, port)
        cms = Path(sys.executable).with_name("cms")
        run([cms, "--version"], environment)
        command: list[str | Path] = [cms, "aws", "image", "refresh", "--all", "--limit", "50"]
        ours = run(command, environment)
        missed += not shown("cms, into an empty catalog", ours, case.most)
        missed += ours.first > FIRST_ROW or ours.memory > MEMORY
        print(f"  {'':<34} first row after {ours.first:.2f} s (at most {FIRST_ROW:g} s; memory at most {MEMORY:g} MB)")
        again = run(command, environment)
        missed += not shown("cms, nothing changed", again, case.most)
        if boto:
            url = f"http://127.0.0.1:{port}"
            theirs = run([sys.executable, "-c", BOTO, url, "describe_images", "Images"], environment)
            shown("boto3's paginator, keeping nothing", theirs)
            ratio = theirs.wall / ours.wall
            missed += ratio < case.ratio
            print(
                f"  {'':<34} {ratio:6.2f} x as long, {theirs.cpu / ours.cpu:.2f} x the CPU (at least {case.ratio:g} x)"
            )
    return missed, home


def search(home: Path) -> int:
    """Time searches among the images of a home, and return how many targets are missed."""
    environment = {**surroundings(home, 1), "PATH": os.environ["PATH"]}
    cms, missed = Path(sys.executable).with_name("cms"), 0
    empty = median(run([sys.executable, "-c", "pass"], environment).wall for _ in range(9))
    print(f"search among 100,000 (an empty Python: {empty * 1000:.0f} ms)")
    cases = ((("ubuntu", "22.04", "arm64"), SEARCH), (("server-99990",), RARE), (("no", "such", "image"), RARE))
    for words, most in cases:
        command: list[str | Path] = [cms, "image", "search", *words, "--limit", "50"]
        found = median([run(command, environment).wall for _ in range(10)][1:])
        missed += found > most
        target = f"(at most {most * 1000:.0f} ms) {'ok' if found <= most else 'TOO SLOW'}"
        print(f"  {' '.join(words):<34} {found * 1000:6.0f} ms {found / empty:5.1f} x an empty Python  {target}")
    return missed


def main() -> int:
    """Measure, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="24,000 images only, without boto3")
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="cloudms-bench-") as name:
        for case in CASES[:1] if options.quick else CASES:
            more, home = compare(case, Path(name), boto=bool(case.ratio))
            missed += more
        if not options.quick:
            missed += search(home)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
