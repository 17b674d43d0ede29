"""Metrics: what CloudWatch has measured of instances.

EC2 measures from outside, every five minutes unless detailed monitoring is on
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html), and so knows the use of the
processor but not of memory. GetMetricData takes 500 questions at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import seconds
from cloudms.clouds.base import Metrics
from cloudms.model import Vm

QUESTIONS = 500
_PERIOD_S = 300
_BACK_S = 1200.0
"""How far back the newest value is looked for: two periods, and the minutes that CloudWatch may be late."""


class Measuring(Core, Metrics):
    """Looking at use."""

    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return by VM key `cpu_percent` (mean over five minutes, of all its vCPUs) and `at`, when that was (epoch s).

        VMs of which CloudWatch knows nothing recent are left out.
        """
        found: dict[str, dict[str, float]] = {}
        for region in dict.fromkeys(vm.region or self.link.region for vm in vms):
            there = [vm for vm in vms if (vm.region or self.link.region) == region and vm.id]
            for start in range(0, len(there), QUESTIONS):
                found.update(self._measured(there[start : start + QUESTIONS], region))
        return found

    def _measured(self, vms: Sequence[Vm], region: str) -> Iterator[tuple[str, dict[str, float]]]:
        now = self.clock.now()
        rows = self.link.pages(
            "get_metric_data", "MetricDataResults", region, "cloudwatch", StartTime=int(now - _BACK_S),
            EndTime=int(now) + 60, ScanBy="TimestampDescending",
            MetricDataQueries=[_question(number, vm) for number, vm in enumerate(vms)],
        )  # fmt: skip
        seen: set[str] = set()
        for row in rows:
            ident, newest = str(row.get("Id") or ""), latest(row)
            if newest is None or ident in seen or not ident[1:].isdigit():
                continue
            seen.add(ident)  # a question may be answered over several pages, the newest value first
            at, value = newest
            yield vms[int(ident[1:])].key, {"cpu_percent": value, "at": at}


def _question(number: int, vm: Vm) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/EC2", "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": vm.id}],
    }  # fmt: skip
    return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": _PERIOD_S, "Stat": "Average"}}


def latest(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return time and value of the newest measurement of an answer, or None."""
    pairs = zip(row.get("Timestamps") or (), row.get("Values") or (), strict=False)
    known = [(at, float(value)) for told, value in pairs if (at := seconds(told)) is not None]
    return max(known, default=None)
