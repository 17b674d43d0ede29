"""Processors and memory as the cloud of each member measures them: the hypervisor, CloudWatch, Ceilometer."""

from __future__ import annotations

from typing import ClassVar

from cloudms.clouds.base import Metrics
from cloudms.engine.usage import Figures, by_cloud, look, wanted
from cloudms.errors import NotReady
from cloudms.model import Vm
from cloudms.scaling.base import Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import Source, View

_PERIOD = 300.0
"""Seconds over which clouds that measure by themselves take a mean (EC2's basic monitoring, Ceilometer)."""


class CloudSource(Source):
    """Asks the clouds. One that only counts processor time needs two looks for a number."""

    name = "cloud"
    metrics: ClassVar[tuple[str, ...]] = ("cpu", "memory")

    def __init__(self, settings: Section) -> None:
        super().__init__(settings)
        self._last: dict[str, Figures] = {}

    def samples(self, view: View) -> list[Sample]:
        """Return the use of each member since the last look, or as its cloud has told it. Raises: NotReady."""
        able = [vm for vm in view.vms if issubclass(view.ctx.cloud_class(vm.cloud), Metrics)]
        failed: dict[str, dict[str, str]] = {}
        seen = look(view.ctx, by_cloud(able), failed)
        found = [sample for vm in able if vm.key in seen for sample in self._of(view, vm, seen[vm.key])]
        kept = {vm.key: self._last[vm.key] for vm in able if vm.key in self._last}
        self._last = {**kept, **seen}  # one that was off in between begins anew
        if failed and not found:
            raise NotReady("; ".join(str(error["message"]) for error in failed.values()))
        return found

    def _of(self, view: View, vm: Vm, now: Figures) -> list[Sample]:
        # What a cloud measured by itself bears the time when its period began, and tells of all of that.
        at = min(now["at"] + _PERIOD, view.now) if "at" in now else None
        found = []
        busy = wanted(view.ctx, vm, self._last.get(vm.key), now)
        if busy is not None:
            # A counter may stand still a little and then make up for it; one that ran backwards is left to be judged.
            found.append(self.sample(view, "cpu", min(busy, 100.0), vm.name, at))
        if "memory_used_mib" in now and now.get("memory_mib"):
            share = now["memory_used_mib"] / now["memory_mib"] * 100
            found.append(self.sample(view, "memory", share, vm.name, at))
        return found
