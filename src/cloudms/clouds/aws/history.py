"""What instances used in the past, as CloudWatch has kept it.

The use of processors is known of every instance; that of memory only where the CloudWatch agent runs inside
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/metrics-collected-by-CloudWatch-agent.html). A metric is
found under all its dimensions only, which are as the agent was configured, so those are asked for first (ListMetrics).
CloudWatch keeps five minutes for 63 days and hours for 15 months
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds.aws.describe import seconds as epoch
from cloudms.clouds.aws.flavors import Flavoring
from cloudms.clouds.aws.metrics import QUESTIONS, Measuring
from cloudms.clouds.base import MetricsHistory
from cloudms.errors import Denied, NotFound
from cloudms.model import Vm
from cloudms.record import Record

AGENT = "CWAgent"
"""The namespace of what the CloudWatch agent measures, unless it was given another."""
_BYTES, _PERCENT = "mem_used", "mem_used_percent"
_FIVE_MINUTES, _HOUR = 300, 3600
_KEPT_S = 63 * 86400.0
_MIB = 1 << 20


class Question(Record):
    """A metric that is asked for: of the VM with `key`, under the house's `name`, each value times `factor`."""

    key: str
    name: str
    factor: float
    metric: Mapping[str, Any]
    statistic: str


class Remembering(Measuring, Flavoring, MetricsHistory):
    """Looking back."""

    def history(self, vms: Sequence[Vm], seconds: float) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return by VM key the mean use of processors, and the peak of memory where it is known, of every five minutes
        (of every hour when more than 63 days are wanted) in the last `seconds`.

        VMs of which CloudWatch knows nothing are left out; without the right to ListMetrics, memory is.
        """
        found: dict[str, dict[float, dict[str, float]]] = {}
        for region in dict.fromkeys(vm.region or self.link.region for vm in vms):
            there = [vm for vm in vms if (vm.region or self.link.region) == region and vm.id]
            asked = [*map(_processors, there), *self._memory(there, region)] if there else []
            for start in range(0, len(asked), QUESTIONS):
                for question, at, value in self._told(asked[start : start + QUESTIONS], region, seconds):
                    sample = found.setdefault(question.key, {}).setdefault(at, {"at": at})
                    sample[question.name] = max(value, sample.get(question.name, value))
        return {key: [samples[at] for at in sorted(samples)] for key, samples in found.items()}

    def _told(self, asked: Sequence[Question], region: str, seconds: float) -> Iterator[tuple[Question, float, float]]:
        """Yield what CloudWatch answers; a question may be answered over several pages."""
        period = _FIVE_MINUTES if seconds < _KEPT_S else _HOUR
        now = self.clock.now()
        begin = int((now - seconds) // period * period)
        rows = self.link.pages(
            "get_metric_data", "MetricDataResults", region, "cloudwatch", StartTime=begin, EndTime=int(now),
            ScanBy="TimestampAscending",
            MetricDataQueries=[
                {
                    "Id": f"m{number}",
                    "MetricStat": {"Metric": question.metric, "Period": period, "Stat": question.statistic},
                }
                for number, question in enumerate(asked)
            ],
        )  # fmt: skip
        for row in rows:
            ident = str(row.get("Id") or "")
            question = asked[int(ident[1:])] if ident[1:].isdigit() and int(ident[1:]) < len(asked) else None
            for told, value in zip(row.get("Timestamps") or (), row.get("Values") or (), strict=False):
                at = epoch(told)
                if question is not None and at is not None:
                    yield question, at, float(value) * question.factor

    def _memory(self, vms: Sequence[Vm], region: str) -> list[Question]:
        """Return what to ask about memory: bytes where the agent tells them, else percent of what the type has.

        An instance that was resized has a metric for each type, which is asked for as percent of that type.
        """
        wanted = {vm.id: vm for vm in vms}
        in_bytes = [(wanted[ident], metric) for ident, metric in self._of_agent(_BYTES, region) if ident in wanted]
        left = wanted.keys() - {vm.id for vm, _metric in in_bytes}
        found = [_peak(vm, metric, 1 / _MIB) for vm, metric in in_bytes]
        sizes: dict[str, float] = {}
        for ident, metric in self._of_agent(_PERCENT, region) if left else ():
            if ident not in left:
                continue
            kind = _dimension(metric, "InstanceType") or wanted[ident].flavor
            if kind not in sizes:
                sizes[kind] = self._memory_mib(kind, region)
            if sizes[kind]:
                found.append(_peak(wanted[ident], metric, sizes[kind] / 100))
        return found

    def _of_agent(self, name: str, region: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the instances of which the agent tells a metric, with the metric; nothing without the right to ask."""
        rows: Iterable[Any] = self.link.pages(
            "list_metrics", "Metrics", region, "cloudwatch", Namespace=AGENT, MetricName=name,
            Dimensions=[{"Name": "InstanceId"}],
        )  # fmt: skip
        try:
            for row in rows:
                dimensions = [{"Name": one["Name"], "Value": one["Value"]} for one in row.get("Dimensions") or ()]
                metric = {"Namespace": AGENT, "MetricName": name, "Dimensions": dimensions}
                yield _dimension(metric, "InstanceId"), metric
        except Denied:
            return

    def _memory_mib(self, kind: str, region: str) -> float:
        """Return the memory that an instance type has, 0 when AWS does not tell."""
        try:
            return float(self.flavor(self.type_row(kind, region), region).memory_mib)
        except NotFound:
            return 0.0


def _processors(vm: Vm) -> Question:
    metric = {
        "Namespace": "AWS/EC2", "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": vm.id}],
    }  # fmt: skip
    return Question(key=vm.key, name="cpu_percent", factor=1.0, metric=metric, statistic="Average")


def _peak(vm: Vm, metric: Mapping[str, Any], factor: float) -> Question:
    return Question(key=vm.key, name="memory_used_mib", factor=factor, metric=metric, statistic="Maximum")


def _dimension(metric: Mapping[str, Any], name: str) -> str:
    return next((str(one["Value"]) for one in metric["Dimensions"] if one["Name"] == name), "")
