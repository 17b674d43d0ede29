"""A list of 200 servers of a real OpenStack: `cms vm list --refresh` against openstacksdk, interleaved in one run.

    python -m bench.openstack_list [--rounds 5] [--count 200]

Each contender is a process of its own, from its start to its end, against the lab of the tests: cms, which writes what
it hears to the catalog and prints it as JSON; a bare script around `compute.servers()` of openstacksdk, which prints
names and ids; and `openstack server list -f json`, whose ratio is printed for judgement. The exit code is 1 when cms
takes more than 1.3 times as long as the bare script.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.live.openstack.accounts import IMAGE, Account
from tests.live.openstack.cms import CLOUD, FLAVOR, write_config
from tests.live.openstack.lab import Lab, borrowed, calm, session_of
from tests.live.openstack.places import ONE, tool

LIMIT = 1.3
ATONCE = 50
BARE = """
import json, openstack
with openstack.connect(cloud="lab") as cloud:
    print(json.dumps([{"name": each.name, "id": each.id, "status": each.status} for each in cloud.compute.servers()]))
"""


def crowd(lab: Lab, account: Account, count: int) -> None:
    """Make servers, so many with one request, and wait until they run."""
    member = session_of(account)
    image = member("GET", "glance", f"images?name={IMAGE}")["images"][0]["id"]
    network = member("GET", "neutron", f"networks?project_id={account.project}")["networks"][0]["id"]
    for first in range(0, count, ATONCE):
        number = min(ATONCE, count - first)
        server = {
            "name": f"b{first}", "imageRef": image, "flavorRef": FLAVOR, "networks": [{"uuid": network}],
            "min_count": number, "max_count": number,
        }  # fmt: skip
        member("POST", "nova", "servers", {"server": server})
        lab.settle(account, patience=600)
    states = [row["status"] for row in lab.things(account, "server")]
    assert states == ["ACTIVE"] * count, states


def timed(argv: list[str], env: Mapping[str, str], count: int) -> float:
    """Run a contender, which must print all of them, and return the seconds."""
    begun = time.monotonic()
    done = subprocess.run(argv, env=dict(env), capture_output=True, text=True, check=False)
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    found = len(json.loads(done.stdout))
    assert found == count, f"{argv[0]} printed {found} of {count}"
    return took


def measure(account: Account, home: Path, rounds: int, count: int) -> dict[str, float]:
    """Return the median seconds of each contender."""
    write_config(home / ".cloudmesh", account)
    clouds = home / "clouds.yaml"
    clouds.write_text(json.dumps({"clouds": {"lab": {"region_name": ONE.name, "auth": account.login}}}))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "CMS_", "CLOUDM"))}
    env = {
        **plain, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh"), "OS_CLOUD": "lab",
        "OS_CLIENT_CONFIG_FILE": str(clouds),
    }  # fmt: skip
    cms = str(Path(sys.executable).with_name("cms"))
    contenders = {
        "cms": [cms, "vm", "list", "--cloud", CLOUD, "--refresh", "-o", "json"],
        "bare": [sys.executable, "-c", BARE],
        "openstack": [tool("openstack"), "server", "list", "-f", "json"],
    }
    for argv in contenders.values():  # the first time fills caches, and is not counted
        timed(argv, env, count)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _round in range(rounds):
        for name, argv in contenders.items():
            took[name].append(timed(argv, env, count))
    return {name: median(seconds) for name, seconds in took.items()}


def main() -> int:
    """Measure, and return 1 when the promise is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    with borrowed() as lab, calm(), tempfile.TemporaryDirectory(prefix="cms-bench-") as home:
        account = lab.account()
        try:
            crowd(lab, account, options.count)
            took = measure(account, Path(home), options.rounds, options.count)
        finally:
            lab.wipe(account)
    ratio = took["cms"] / took["bare"]
    print(
        f"{options.count} servers: cms {took['cms']:.2f} s, bare openstacksdk {took['bare']:.2f} s: {ratio:.2f} x "
        f"(at most {LIMIT} x)"
    )
    print(f"openstack server list {took['openstack']:.2f} s: cms takes {took['cms'] / took['openstack']:.2f} x")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
