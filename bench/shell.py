"""How much the shell saves: a command in an open shell against the same command as a process of its own, in one run.

    python bench/shell.py [--runs 7] [--rows 10000]

It times the `cms` that stands beside this interpreter on the catalog of bench/cli.py. The time of a command in the
shell is that of a script of 101 of them less that of a script of one, by 100. What counts is the ratio of the medians;
the exit code is 1 when it is above its target.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.cli import prepare, timed

COMMAND = "vm list --cached --limit 50 -o json"
TARGET = 0.1
"""The most a command in the shell may take, in times of the same command as a process."""

MANY = 100


def measure(home: Path, runs: int) -> dict[str, float]:
    """Return the median seconds of a process, of a shell with one command, and of a command in the shell."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"CLOUDMESH_CONFIG_DIR": str(home), "HOME": str(home)}
    cms = Path(sys.executable).with_name("cms")
    one, many = home / "one.cms", home / "many.cms"
    one.write_text(f"{COMMAND}\n")
    many.write_text(f"{COMMAND}\n" * (MANY + 1))
    programs = {"process": [cms, *COMMAND.split()], "shell": [cms, one], "many": [cms, many]}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(runs + 1):  # the first turn fills caches and is not counted
        for name, command in programs.items():
            taken = timed(command, environment)
            seconds[name] += [taken] if turn else []
    found = {name: median(values) for name, values in seconds.items()}
    return {**found, "in the shell": (found["many"] - found["shell"]) / MANY}


def main() -> int:
    """Measure, print a line each, and return 1 when the shell saves too little."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each program that count")
    parser.add_argument("--rows", type=int, default=10_000, help="VMs in the catalog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.rows)
        found = measure(Path(folder), options.runs)
    ratio = found["in the shell"] / found["process"]
    print(f"{COMMAND}, of {options.rows}")
    print(f"{'as a process':20} {found['process'] * 1000:7.1f} ms")
    print(f"{'a shell with one':20} {found['shell'] * 1000:7.1f} ms")
    verdict = "ok" if ratio <= TARGET else "TOO SLOW"
    print(
        f"{'in the shell':20} {found['in the shell'] * 1000:7.1f} ms  {ratio:5.3f} x  (at most {TARGET:g} x)  {verdict}"
    )
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
