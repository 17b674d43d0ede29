"""Numbers for Prometheus: requests, changes, errors of clouds, and the VMs that the catalog knows."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from cloudms import __version__
from cloudms.doors.rest.desk import Desk
from cloudms.model import Operation

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The numbers of one service, in a registry of their own."""

    def __init__(self, desk: Desk) -> None:
        # A second number for each would tell when it was first counted.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("cms_http_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "cms_http_request_seconds",
            "Seconds until a reply began",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._operations = Counter("cms_operations", "Changes ended", ("verb", "state"), registry=self.registry)
        self._errors = Counter("cms_cloud_errors", "Errors that clouds gave", ("cloud", "code"), registry=self.registry)
        self.running = Gauge("cms_operations_running", "Changes under way", registry=self.registry)
        Gauge("cms_info", "This service", ("version",), registry=self.registry).labels(__version__).set(1)
        ProcessCollector(registry=self.registry)
        self.registry.register(_Vms(desk))

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route).observe(seconds)

    def ended(self, operation: Operation) -> None:
        """Count a change, and the errors of its steps by cloud."""
        self._operations.labels(operation.verb, operation.state.value).inc()
        for step in operation.steps:
            if step.error and step.cloud:
                self._errors.labels(step.cloud, step.error.get("code", "error")).inc()

    def silent(self, failed: Mapping[str, Mapping[str, Any]]) -> None:
        """Count the clouds that did not answer for a list."""
        for cloud, error in failed.items():
            self._errors.labels(cloud, error.get("code", "error")).inc()

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)


class _Vms:
    """Counts the VMs of the catalog whenever the numbers are asked for; no cloud is asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return what is told, without looking."""
        return [self._family()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the counts by cloud and state."""
        rows = self._desk.catalog.walk("vm")
        counted = Count((str(row.document.get("cloud")), str(row.document.get("state"))) for row in rows)
        family = self._family()
        for (cloud, state), count in sorted(counted.items()):
            family.add_metric([cloud, state], count)
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("cms_vms", "VMs that the catalog knows", labels=["cloud", "state"])
