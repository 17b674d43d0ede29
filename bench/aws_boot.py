"""Boot 100 VMs with one request: `vm boot --count 100` against boto3's bare run_instances, interleaved in one run.

    python -m bench.aws_boot [--rounds 5] [--far]

Both ask the same pretended AWS in a process of its own, from this process, with everything imported and connected.
Ours checks names and ceilings, reserves the names, writes the catalog and looks for its token first; the other only
sends the request, with the same tags, key, group, disk and first-boot data. With `--far` each answer takes as long as
in another region: 50 ms, and 2.5 s for RunInstances. The exit code is 1 when ours is more than one RunInstances, or
takes more than 1.3 times as long. Measured on two cores: 0.24 s against 0.21 s (1.1 times), of which 0.06 s of CPU
against 0.04 s.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.aws.emulator import Lab, running

COUNT = 100
LIMIT = 1.3
KINDS = ("instance", "volume", "network-interface")
"""What a launch makes and tags."""
NEAR_S, LAUNCH_S = 0.05, 2.5


def by_cms(cms: Any, number: int) -> float:
    """Boot with cloudms and return the seconds."""
    begun = time.monotonic()
    made = cms.vm.boot("ubuntu-24.04", name=f"b{number}x", count=COUNT, wait="none").result()
    took = time.monotonic() - begun
    assert len({vm.id for vm in made}) == COUNT
    return took


def by_boto3(ec2: Any, same: Mapping[str, Any]) -> float:
    """Send the bare request and return the seconds."""
    begun = time.monotonic()
    made = ec2.run_instances(**same)["Instances"]
    took = time.monotonic() - begun
    assert len(made) == COUNT
    return took


def request(sent: Mapping[str, str]) -> dict[str, Any]:
    """Return boto3's parameters for the request that cloudms sent."""
    tags = []
    while (key := sent.get(f"TagSpecification.1.Tag.{len(tags) + 1}.Key")) is not None:
        tags.append({"Key": key, "Value": sent[f"TagSpecification.1.Tag.{len(tags) + 1}.Value"]})
    disk = {"DeviceName": sent["BlockDeviceMapping.1.DeviceName"], "Ebs": {"VolumeSize": 8, "Encrypted": True}}
    return {
        "ImageId": sent["ImageId"], "InstanceType": sent["InstanceType"], "MinCount": COUNT, "MaxCount": COUNT,
        "KeyName": sent["KeyName"], "SecurityGroupIds": [sent["SecurityGroupId.1"]],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled"},
        "InstanceInitiatedShutdownBehavior": sent["InstanceInitiatedShutdownBehavior"],
        "UserData": base64.b64decode(sent.get("UserData", "")), "BlockDeviceMappings": [disk],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in KINDS],
    }  # fmt: skip


def clear(lab: Lab, ec2: Any, cms: Any) -> None:
    """Take all instances away, on both sides."""
    ec2.terminate_instances(InstanceIds=[row["id"] for row in lab.things("instance")])
    cms.vm.list(refresh=True)


def measure(lab: Lab, rounds: int) -> tuple[list[float], list[float], Counter[str]]:
    """Return the seconds of both contenders, and the calls of one boot of ours."""
    from cloudms import Cms

    ec2, ours, theirs = lab.client(), [], []
    with Cms(cloud="aws") as cms:
        for number in range(rounds + 1):  # the first fills caches and is not counted
            lab.forget_calls()
            ours.append(by_cms(cms, number))
            calls = lab.calls()
            (sent,) = [call["params"] for call in calls if call["action"] == "RunInstances"] or [{}]
            clear(lab, ec2, cms)
            theirs.append(by_boto3(ec2, request(sent)))
            clear(lab, ec2, cms)
    return ours[1:], theirs[1:], Counter(call["action"] for call in calls)


def main() -> int:
    """Measure, and return 1 when a promise is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--far", action="store_true", help="answers take as long as in another region")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cms-bench-") as home, running(linger_seconds=0.0) as lab:
        os.environ.update(HOME=home, CLOUDMESH_CONFIG_DIR=f"{home}/.cloudmesh")
        lab.write_config(Path(home) / ".cloudmesh")
        if options.far:
            lab.fail("slow", "RunInstances", seconds=LAUNCH_S, times=0)
            lab.fail("slow", seconds=NEAR_S, times=0)
        ours, theirs, calls = measure(lab, options.rounds)
    ratio = median(ours) / median(theirs)
    print(
        f"{COUNT} VMs: cms {median(ours):.2f} s, bare boto3 {median(theirs):.2f} s: {ratio:.2f} x (at most {LIMIT} x)"
    )
    print("calls of ours: " + ", ".join(f"{name} {count}" for name, count in calls.items()))
    return int(calls["RunInstances"] != 1 or ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
