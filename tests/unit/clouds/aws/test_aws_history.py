"""What CloudWatch is asked about the past, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.aws.driver import AwsCloud
from cloudms.clouds.base import MetricsHistory, Setup
from cloudms.errors import Denied, NotFound
from cloudms.model import Vm

NOW = 1_700_000_130.0
WEEK = 7 * 86400
TYPES = {"t3.micro": 1024, "m5.large": 8192}


def vm(number: int, region: str = "us-east-1") -> Vm:
    return Vm(name=f"web{number}", cloud="aws", id=f"i-{number}", region=region, token=f"t{number}", flavor="t3.micro")


def when(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC)


class Link:
    """Answers in place of AWS: `metrics` by name are what the agent told of, `values` by metric and instance."""

    region = "us-east-1"

    def __init__(self, metrics: dict[str, Any], values: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
        self.metrics, self.values = metrics, values
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def pages(self, operation: str, _key: str, region: str, service: str, **params: Any) -> Iterator[dict[str, Any]]:
        assert service == "cloudwatch"
        self.asked.append((operation, region, params))
        if operation == "list_metrics":
            if isinstance(self.metrics.get(params["MetricName"]), Exception):
                raise self.metrics[params["MetricName"]]
            for dimensions in self.metrics.get(params["MetricName"], ()):
                yield {"Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()]}
            return
        assert len(params["MetricDataQueries"]) <= 500
        halves = [[], []]
        for query in params["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            ident = next(each["Value"] for each in metric["Dimensions"] if each["Name"] == "InstanceId")
            pairs = self.values.get((metric["MetricName"], ident), [])
            for half, some in zip(halves, (pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]), strict=True):
                half.append(
                    {"Id": query["Id"], "Timestamps": [when(at) for at, _ in some], "Values": [v for _, v in some]}
                )
        for half in halves:  # a question may be answered over several pages
            yield from half

    def call(self, operation: str, _region: str, **params: Any) -> dict[str, Any]:
        (name,) = params["InstanceTypes"]
        self.asked.append((operation, name, params))
        if name not in TYPES:
            raise NotFound("no such type")
        return {"InstanceTypes": [{"InstanceType": name, "MemoryInfo": {"SizeInMiB": TYPES[name]}}]}


def cloud(link: Link) -> AwsCloud:
    made = AwsCloud(Setup(name="aws", clock=ManualClock(NOW)))
    made.link = link  # type: ignore[assignment]
    return made


def test_processors_of_many_are_asked_with_few_questions_in_each_region() -> None:
    vms = [vm(number) for number in range(501)] + [vm(900, "eu-west-1"), vm(901).with_(id="")]
    link = Link({}, {("CPUUtilization", "i-500"): [(600.0, 12.5)], ("CPUUtilization", "i-900"): [(900.0, 1.0)]})
    told = cloud(link).history(vms, WEEK)
    assert told == {"t500": [{"at": 600.0, "cpu_percent": 12.5}], "t900": [{"at": 900.0, "cpu_percent": 1.0}]}
    asked = [(region, len(params["MetricDataQueries"])) for op, region, params in link.asked if op == "get_metric_data"]
    assert asked == [("us-east-1", 500), ("us-east-1", 1), ("eu-west-1", 1)]


@pytest.mark.parametrize(
    ("seconds", "period"), [(3600, 300), (WEEK, 300), (62 * 86400, 300), (63 * 86400, 3600), (400 * 86400, 3600)]
)
def test_the_period_is_one_that_is_kept_for_so_long_and_the_window_begins_on_it(seconds: float, period: int) -> None:
    link = Link({}, {})
    assert cloud(link).history([vm(1)], seconds) == {}
    (params,) = [params for operation, _region, params in link.asked if operation == "get_metric_data"]
    assert params["StartTime"] % period == 0
    assert 0 <= NOW - seconds - params["StartTime"] < period
    assert params["EndTime"] == int(NOW)
    (query,) = params["MetricDataQueries"]
    assert (query["MetricStat"]["Period"], query["MetricStat"]["Stat"]) == (period, "Average")


def test_answers_over_several_pages_are_put_together_the_oldest_first() -> None:
    points = [(300.0 * number, float(number)) for number in (4, 1, 3, 2)]
    link = Link({}, {("CPUUtilization", "i-1"): points})
    told = cloud(link).history([vm(1)], WEEK)["t1"]
    assert [sample["cpu_percent"] for sample in told] == [1.0, 2.0, 3.0, 4.0]


def test_memory_is_what_the_agent_tells_under_the_dimensions_it_was_given() -> None:
    link = Link(
        {
            "mem_used_percent": [
                {"InstanceId": "i-1", "InstanceType": "m5.large", "ImageId": "ami-1"},
                {"InstanceId": "i-1", "InstanceType": "t3.micro", "ImageId": "ami-1"},
                {"InstanceId": "i-2"},
                {"InstanceId": "i-3"},
                {"InstanceId": "i-4"},
            ],
            "mem_used": [{"InstanceId": "i-2"}],
        },
        {
            ("CPUUtilization", "i-1"): [(300.0, 5.0)],
            ("mem_used_percent", "i-1"): [(300.0, 50.0), (600.0, 25.0)],
            ("mem_used_percent", "i-2"): [(300.0, 99.0)],
            ("mem_used", "i-2"): [(300.0, 200.0 * (1 << 20))],
            ("mem_used_percent", "i-3"): [(300.0, 10.0)],
        },
    )
    told = cloud(link).history([vm(1), vm(2), vm(3)], WEEK)
    assert told["t1"] == [
        {"at": 300.0, "cpu_percent": 5.0, "memory_used_mib": 4096.0},  # the larger one: it was of either type then
        {"at": 600.0, "memory_used_mib": 2048.0},
    ]
    assert told["t2"] == [{"at": 300.0, "memory_used_mib": 200.0}]
    assert told["t3"] == [{"at": 300.0, "memory_used_mib": 102.4}]
    listed = [params for operation, _region, params in link.asked if operation == "list_metrics"]
    assert [params["MetricName"] for params in listed] == ["mem_used", "mem_used_percent"]
    assert all(params["Dimensions"] == [{"Name": "InstanceId"}] for params in listed)
    described = [name for operation, name, _params in link.asked if operation == "describe_instance_types"]
    assert sorted(described) == ["m5.large", "t3.micro"]
    queries = next(params for operation, _region, params in link.asked if operation == "get_metric_data")
    stats = {q["MetricStat"]["Metric"]["Namespace"]: q["MetricStat"]["Stat"] for q in queries["MetricDataQueries"]}
    assert stats == {"AWS/EC2": "Average", "CWAgent": "Maximum"}


def test_without_the_right_to_list_metrics_or_the_size_of_a_type_memory_is_left_out() -> None:
    values = {("CPUUtilization", "i-1"): [(300.0, 5.0)], ("mem_used_percent", "i-1"): [(300.0, 50.0)]}
    expected = {"t1": [{"at": 300.0, "cpu_percent": 5.0}]}
    denied = Link({"mem_used": Denied("no"), "mem_used_percent": Denied("no")}, values)
    assert cloud(denied).history([vm(1)], WEEK) == expected
    odd = Link({"mem_used_percent": [{"InstanceId": "i-1", "InstanceType": "x9.odd"}]}, values)
    assert cloud(odd).history([vm(1)], WEEK) == expected


def test_an_ec2_of_ones_own_has_no_cloudwatch() -> None:
    own = AwsCloud(Setup(name="aws", options={"endpoint": {"ec2": "https://ec2.example"}, "region": "here"}))
    assert own.supports(MetricsHistory, vm(1)) == "it is an EC2 of its own, without CloudWatch"
    assert AwsCloud(Setup(name="aws", options={"region": "eu-west-1"})).supports(MetricsHistory, vm(1)) == ""
