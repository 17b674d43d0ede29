"""What `./cms` costs over the `cms` it starts, once everything is prepared: `python -m bench.bootstrap [--runs 30]`.

The two take turns in one run; what counts is the difference of the medians. Exit code 1 when it is above the promise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
LIMIT_MS = 10.0


def timed(program: Path) -> float:
    """Return the milliseconds of one run."""
    begun = time.perf_counter()
    subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1000


def main() -> int:
    """Measure and print both medians and their difference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    programs = {"./cms": ROOT / "cms", "cms": ROOT / ".venv" / "bin" / "cms"}
    for program in programs.values():
        timed(program)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            seconds[name].append(timed(program))
    for name, taken in seconds.items():
        print(f"{name:<8} {median(taken):7.1f} ms")
    added = median(seconds["./cms"]) - median(seconds["cms"])
    print(f"added    {added:7.1f} ms   (promised: below {LIMIT_MS:g} ms)")
    return int(added >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
