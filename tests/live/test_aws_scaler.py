"""Scaling on a pretended AWS, with the file that is used on any cloud: CloudWatch measures, EC2 boots and stops."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.aws.emulator import Lab
from tests.live.aws import IMAGE, Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

NEAR = {"near": {"cm": {"kind": "fake", "active": True}, "default": {"image": "micro"}, "boot_seconds": 0.01}}
POLICY = """\
policies: [{{kind: target, metric: cpu, value: {value}, window: 15m}}]
min: 1
max: {most}
interval: 1s
on_in: suspend
stabilisation: {{down: 0s}}
"""


def measured(aws: Lab, cpu: float) -> None:
    """Let CloudWatch have measured all instances that run, now."""
    client = aws.client("cloudwatch")
    for instance in aws.things("instance"):
        named = [{"Name": "InstanceId", "Value": instance["id"]}]
        row = {"MetricName": "CPUUtilization", "Dimensions": named, "Timestamp": int(time.time()), "Value": cpu}
        client.put_metric_data(Namespace="AWS/EC2", MetricData=[{**row, "Unit": "Percent"}])
    client.close()


@pytest.mark.parametrize(("cloud", "image", "asleep"), [("aws", IMAGE, "stopped"), ("near", "micro", "suspended")])
def test_the_same_file_scales_on_every_cloud(aws: Lab, tmp_path: Path, cloud: str, image: str, asleep: str) -> None:
    cms = Aws(aws, tmp_path, **NEAR)
    file = tmp_path / "policy.yaml"

    def scaled(value: float, *, cpu: float, **more: str) -> dict[str, str]:
        file.write_text(POLICY.format(value=value, most=2))
        cms("group", "policy", "set", "web", str(file))
        measured(aws, cpu)
        words = [word for key, each in more.items() for word in (f"--{key.replace('_', '-')}", each)]
        cms("scaler", "run", "--group", "web", *(words or ["--seconds", "20"]))
        return {row["name"]: row["state"] for row in cms.rows("vm", "list", "--group", "web")}

    cms("group", "create", "web", "--size", "1", "--cloud", cloud, "--image", image)
    assert scaled(1, cpu=50) == {"web-1": "running", "web-2": "running"}
    told = [row["reason"] for row in cms.rows("group", "history", "web")]
    assert any(text.startswith("grows from 1 to 2 members: ") for text in told)
    assert sorted(scaled(90, cpu=1).values()) == sorted(("running", asleep))
    assert scaled(1, cpu=50) == {"web-1": "running", "web-2": "running"}, "the standby is woken, and nothing is booted"
    assert scaled(1, cpu=50, seconds="3", at_end="delete") == {}
    cms.told_no_secret()
