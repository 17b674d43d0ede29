"""`cms vm rightsize` against a pretended AWS: what CloudWatch was given is asked for, judged, applied and reverted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.emulator import Lab
from tests.live.aws import Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

DAYS = 2


@pytest.fixture
def cms(aws: Lab, tmp_path: Path) -> Iterator[Aws]:
    """Return the command line with a pretended AWS."""
    runner = Aws(aws, tmp_path)
    yield runner
    runner.told_no_secret()


def measured(aws: Lab, instance: str, cpu: float, memory: float | None = None) -> None:
    """Put two days of measurements into CloudWatch, as EC2 and the agent inside do."""
    client, now = aws.client("cloudwatch"), int(time.time())
    named = [{"Name": "InstanceId", "Value": instance}]
    metrics = [("AWS/EC2", "CPUUtilization", cpu, named)]
    if memory is not None:
        more = [*named, {"Name": "InstanceType", "Value": "m5.large"}]
        metrics.append(("CWAgent", "mem_used_percent", memory, more))
    times = [now - now % 3600 - n * 3600 for n in range(DAYS * 24)]
    for namespace, name, value, dimensions in metrics:
        rows: list[Any] = [
            {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value, "Unit": "Percent"}
            for at in times
        ]
        client.put_metric_data(Namespace=namespace, MetricData=rows)
    client.close()


def test_what_cloudwatch_kept_leads_to_a_smaller_type_which_is_applied_and_reverted(aws: Lab, cms: Aws) -> None:
    (idle,) = cms.boot("idle", "--flavor", "m5.large", "--wait", "running")
    (blind,) = cms.boot("blind", "--flavor", "m5.large", "--wait", "running")
    measured(aws, idle["id"], 4.0, 15.0)
    measured(aws, blind["id"], 4.0)
    aws.forget_calls()
    found = {row["name"]: row for row in cms.rows("vm", "rightsize", "--window", "2d")}
    row = found["idle"]
    assert (row["flavor"], row["suggestion"], row["risk"]) == ("m5.large", "t3.small", "medium")
    assert row["memory_peak"] == pytest.approx(1228.8)
    assert 45 <= row["samples"] <= 49
    assert row["saving_per_hour"] == pytest.approx(0.096 - 0.0208)
    assert (row["currency"], row["saving_per_month"]) == ("USD", pytest.approx(54.9, abs=0.01))
    assert "burstable" in row["caution"]
    assert found["blind"]["suggestion"] == "t3.large", found["blind"]["reason"]
    assert "its use of memory is not known" in found["blind"]["reason"]
    asked = [call["action"] for call in aws.calls()]
    assert asked.count("GetMetricData") == 1
    assert 3 <= asked.count("GetProducts") <= 25  # of hundreds of types
    told = cms("vm", "rightsize", "idle", "--window", "2d", "--apply", "--dry-run").stdout
    assert "would resize 1 VM" in told
    assert "vm.resize" in told
    cms("vm", "rightsize", "idle", "--window", "2d", "--apply", "--yes")
    assert [vm["flavor"] for vm in cms.rows("vm", "list", "idle")] == ["t3.small"]
    (again,) = cms.rows("vm", "rightsize", "idle", "--window", "2d")
    assert (again["suggestion"], again["samples"] < 10) == ("keep", True)
    assert "when it was resized, does not count" in again["reason"]
    cms("vm", "revert", "idle")
    assert [vm["flavor"] for vm in cms.rows("vm", "list", "idle")] == ["m5.large"]
    cms("vm", "delete", "idle", "blind", "--yes")
