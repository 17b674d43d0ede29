"""The tasks of an experiment that wait for a node."""

from __future__ import annotations

from typing import ClassVar

from cloudms.jobs import store
from cloudms.jobs.base import ENDED
from cloudms.scaling.base import Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import Source, View


class ExperimentSource(Source):
    """Counts tasks that have not ended, or with `what: waiting` only those that no node has."""

    name = "experiment"
    metrics: ClassVar[tuple[str, ...]] = ("tasks",)
    KEYS: ClassVar[tuple[str, ...]] = ("name", "what")

    def __init__(self, settings: Section) -> None:
        super().__init__(settings)
        self._experiment = settings.text("name")
        self._what = settings.choice("what", ("open", "waiting"), "open")

    def samples(self, view: View) -> list[Sample]:
        """Return how many there are. Raises: NotFound (no such experiment)."""
        store.find(view.ctx, self._experiment)
        found = store.tasks(view.ctx, self._experiment)
        count = sum(task.status not in ENDED if self._what == "open" else task.status == "waiting" for task in found)
        return [self.sample(view, "tasks", count)]
