"""What EC2 itself measures of every running instance, which moto's CloudWatch knows nothing of.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.aws.rules import before
from tests.aws.wire import Call, Reply
from tests.aws.world import ACCOUNT, World

PERIOD_S = 300
BUSY = 7.5
"""Percent of its processor that every instance uses."""


@before("GetMetricData", "GetMetricStatistics", "ListMetrics")
def measure(world: World, call: Call) -> Reply | None:
    """Add a measurement of this period for every instance that runs."""
    from moto.cloudwatch.models import cloudwatch_backends

    backend: Any = cloudwatch_backends[ACCOUNT][call.region]
    now = int(datetime.now(tz=UTC).timestamp())
    at = datetime.fromtimestamp(now - now % 60, tz=UTC).replace(tzinfo=None)
    for instance in world.backend(call.region).all_running_instances():
        if (instance.id, now // PERIOD_S) in world.measured:
            continue
        world.measured.add((instance.id, now // PERIOD_S))
        dimensions = [{"Name": "InstanceId", "Value": instance.id}]
        row = {"MetricName": "CPUUtilization", "Value": BUSY, "Unit": "Percent", "Timestamp": at}
        backend.put_metric_data("AWS/EC2", [{**row, "Dimensions": dimensions}])
    return None
