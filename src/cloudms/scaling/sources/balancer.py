"""Requests, queue, latency and errors as the balancer of the group sees them."""

from __future__ import annotations

from typing import ClassVar

from cloudms.errors import NotReady
from cloudms.scaling.base import Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import Source, View


class BalancerSource(Source):
    """Asks the balancer. `window` are the seconds of answers that latency and errors are reckoned of."""

    name = "balancer"
    metrics: ClassVar[tuple[str, ...]] = ("requests", "queue", "busy", "latency", "errors")
    KEYS: ClassVar[tuple[str, ...]] = ("window",)

    def __init__(self, settings: Section) -> None:
        super().__init__(settings)
        self._window = settings.seconds("window", 10.0, least=1.0)

    def samples(self, view: View) -> list[Sample]:
        """Return what it measured; of answers nothing, while there were none. Raises: NotReady (it is not up)."""
        if view.balancer is None:
            raise NotReady(f"the group '{view.group}' has no balancer")
        stats = view.balancer.stats(self._window)
        numbers = {"requests": stats.rate, "queue": stats.queue, "busy": stats.busy, "latency": stats.p95}
        numbers["errors"] = stats.errors if stats.answered else None
        return [self.sample(view, metric, value) for metric, value in numbers.items() if value is not None]
