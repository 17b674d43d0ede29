"""How long a list of 10,001 instances takes: against boto3, in one run.

    python bench/instances.py

A server of its own process gives them in pages of 1,000, 3.2 kB of XML each, without a pause. Timed are reading them as
nouns of the house (all are counted), reading them with boto3, and `cms aws vm list --refresh -o json` as a whole
process, with its writing to the catalog. The exit code is 1 when reading takes more than 1.5 s of CPU. Measured on two
cores: 0.8 s of CPU and 44 MB, boto3 6.0 s and 107 MB; the whole process 2.5 s into an empty catalog, 3.3 s the second
time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from images import BOTO, run, serving, shown, surroundings

COUNT = 10_001
MOST = 1.5
OURS = """
import sys
from cloudms.clouds.aws.driver import AwsCloud
from cloudms.clouds.base import Setup
keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
cloud = AwsCloud(Setup(name="aws", options={"endpoint": sys.argv[1], "region": "us-east-1"}, credentials=lambda: keys))
found = {vm.id for vm in cloud.list_vms()}
assert len(found) == int(sys.argv[2]), len(found)
"""


def main() -> int:
    """Measure, and return 1 when it takes too long."""
    with tempfile.TemporaryDirectory(prefix="cloudms-bench-") as name, serving("--instances", str(COUNT)) as port:
        environment, url = surroundings(Path(name), port), f"http://127.0.0.1:{port}"
        run([sys.executable, "-c", OURS, url, str(COUNT)], environment)  # fills caches and is not counted
        print(f"{COUNT:,} instances")
        ours = run([sys.executable, "-c", OURS, url, str(COUNT)], environment)
        shown("as nouns, in a process", ours)
        theirs = run([sys.executable, "-c", BOTO, url, "describe_instances", "Reservations"], environment)
        shown("boto3's paginator, in a process", theirs)
        print(f"  {'':<34} {theirs.cpu / ours.cpu:6.2f} x the CPU; ours at most {MOST:g} s")
        command = [Path(sys.executable).with_name("cms"), "aws", "vm", "list", "--refresh", "-o", "json"]
        shown("cms vm list, into an empty catalog", run(command, environment))
        shown("cms vm list, the second time", run(command, environment))
    return int(ours.cpu > MOST)


if __name__ == "__main__":
    sys.exit(main())
