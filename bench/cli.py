"""How fast the command line is: `cms` against `python -c pass` of the same interpreter, in one run.

    python bench/cli.py [--runs 15] [--rows 10000]

It installs nothing: it times the `cms` that stands beside this interpreter, with a home of its own that has a
configuration of five clouds and a catalog of 10,000 VMs. The programs take turns, so that other load falls on all of
them alike; what counts is the ratio of the medians. The exit code is 1 when a ratio is above its target.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from cloudms.catalog.sqlite import SqliteCatalog
from cloudms.clock import SystemClock
from cloudms.model import Vm, VmState

CLOUDS = ("local", "pretend", "amazon", "blue", "campus")
COMMANDS: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "cms --help": (6.0, ("--help",)),
    "cms vm list, 50 of 10,000, json": (7.0, ("vm", "list", "--cached", "--limit", "50", "-o", "json")),
    "cms vm list, 50 of 10,000, table": (10.0, ("vm", "list", "--cached", "--limit", "50")),
}
"""What is timed: the most it may take, in times of an empty Python, and its words."""

CONFIG = """\
cloudmesh:
  profile:
    user: bench
  default:
    cloud: local
  cloud:
    local:
      cm: {kind: libvirt, active: true}
      default: {image: micro, size: small}
    pretend:
      cm: {kind: fake, active: true}
      default: {image: micro, size: small}
    amazon:
      cm: {kind: aws, active: true}
      default: {image: ami-0123, size: t3.micro, location: us-east-1}
      credentials: {EC2_ACCESS_ID: TBD, EC2_SECRET_KEY: TBD}
    blue:
      cm: {kind: azure, active: true}
      default: {image: ubuntu, size: Standard_B1s, location: eastus}
      credentials: {AZURE_TENANT_ID: TBD, AZURE_SUBSCRIPTION_ID: TBD, AZURE_APPLICATION_ID: TBD, AZURE_SECRET_KEY: TBD}
    campus:
      cm: {kind: openstack, active: true}
      default: {image: CC-Ubuntu22.04, size: m1.small}
      credentials: {OS_AUTH_URL: TBD, OS_USERNAME: TBD, OS_PASSWORD: TBD, OS_PROJECT_NAME: TBD}
"""


def prepare(home: Path, rows: int) -> None:
    """Write the configuration and fill the catalog with `rows` VMs."""
    (home / "cloudmesh.yaml").write_text(CONFIG)
    (home / "cloudmesh.yaml").chmod(0o600)
    catalog = SqliteCatalog(home / "catalog.sqlite")
    catalog.put("vm", {vm.key: vm.to_document() for vm in map(_vm, range(rows))})
    catalog.close()


def _vm(number: int) -> Vm:
    now = SystemClock().now()
    return Vm(
        name=f"web-{number:05}",
        cloud="pretend",
        id=f"vm-{number:08x}",
        token=f"{number:032x}",
        state=VmState.RUNNING if number % 7 else VmState.STOPPED,
        image="ubuntu-24.04",
        flavor="m1.small",
        public_ips=(f"203.0.{number // 256 % 256}.{number % 256}",),
        private_ips=(f"10.1.{number // 256 % 256}.{number % 256}",),
        labels={"tier": "web", "batch": str(number // 100)},
        created=now - number,
        fetched=now,
        raw={"provider": {"id": number, "host": f"rack-{number % 40}", "flags": ["a", "b"]}},
    )


def timed(command: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    """Return the seconds one run takes."""
    begun = perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return perf_counter() - begun


def measure(home: Path, runs: int) -> dict[str, float]:
    """Return the median seconds of the empty interpreter ("python") and of every command, taken in turns."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"CLOUDMESH_CONFIG_DIR": str(home), "HOME": str(home)}
    cms = Path(sys.executable).with_name("cms")
    programs: dict[str, list[str | Path]] = {"python": [sys.executable, "-c", "pass"]}
    programs |= {name: [cms, *words] for name, (_, words) in COMMANDS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(runs + 1):  # the first turn fills caches and is not counted
        for name, command in programs.items():
            taken = timed(command, environment)
            seconds[name] += [taken] if turn else []
    return {name: median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure, print a line per command, and return 1 when one is too slow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="runs of each command that count")
    parser.add_argument("--rows", type=int, default=10_000, help="VMs in the catalog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.rows)
        found = measure(Path(folder), options.runs)
    print(f"{'python -c pass':34} {found['python'] * 1000:7.1f} ms")
    slow = 0
    for name, (target, _) in COMMANDS.items():
        ratio = found[name] / found["python"]
        slow += ratio > target
        verdict = "ok" if ratio <= target else "TOO SLOW"
        print(f"{name:34} {found[name] * 1000:7.1f} ms  {ratio:5.2f} x  (at most {target:g} x)  {verdict}")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
