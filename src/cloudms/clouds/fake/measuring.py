"""What the fake cloud measures of its VMs: now, and in the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudms.clouds.base import Metrics, MetricsHistory
from cloudms.clouds.fake import machine, offers
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import NotFound
from cloudms.model import Vm, VmState

_PERIOD = 300.0
"""Seconds between two samples of a pretended history."""
_MEMORY = 0.4
"""The part of its memory that a VM uses while it runs."""


class FakeMeasuring(FakeVms, Metrics, MetricsHistory):
    """Looking at use."""

    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return the pretended use of the VMs that exist, by key; off ones have used what they had used."""

        def measure(world: Doc, now: float) -> dict[str, dict[str, float]]:
            found: dict[str, dict[str, float]] = {}
            for vm in vms:
                try:
                    found[vm.key] = self._use(self.find(world, vm, now))
                except NotFound:
                    continue
            return found

        return self.ask("metrics", "", measure, *(vm.id for vm in vms))

    def _use(self, doc: Doc) -> dict[str, float]:
        size = offers.flavor(self.name, doc["flavor"])
        on = machine.state(doc) is VmState.RUNNING
        work = doc["cpu"] * size.vcpus
        return {
            "cpu_seconds": work, "memory_mib": float(size.memory_mib),
            "memory_used_mib": size.memory_mib * _MEMORY * on, "disk_read_bytes": work * 1e6,
            "disk_write_bytes": work * 4e5, "net_rx_bytes": work * 2e5, "net_tx_bytes": work * 3e5,
            "vcpus": float(size.vcpus),
        }  # fmt: skip

    def history(self, vms: Sequence[Vm], seconds: float) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return what was set by `set_history`, else a pretended sample for every five minutes since a VM runs."""

        def recall(world: Doc, now: float) -> dict[str, list[dict[str, float]]]:
            found: dict[str, list[dict[str, float]]] = {}
            for vm in vms:
                there = bool(self.identity(world, vm, now))
                samples = self._past(self.find(world, vm, now), now, seconds) if there else []
                found |= {vm.key: samples} if samples else {}
            return found

        return self.ask("history", "", recall, *(vm.id for vm in vms), seconds)

    def _past(self, doc: Doc, now: float, seconds: float) -> list[dict[str, float]]:
        """Return the samples of one VM in the last `seconds`, oldest first."""
        if doc.get("history") is not None:
            return [dict(sample) for sample in doc["history"] if not sample.get("at", now) < now - seconds]
        if machine.state(doc) is not VmState.RUNNING:
            return []
        memory = offers.flavor(self.name, doc["flavor"]).memory_mib * _MEMORY
        begin = max(float(doc["timeline"][0][0]), now - seconds)
        begins = [number * _PERIOD for number in range(int(begin // _PERIOD + 1), int(now // _PERIOD))]
        return [
            {
                "at": at,
                "cpu_percent": machine.busy(doc, at, at + _PERIOD) * 100,
                "memory_used_mib": memory,
            }
            for at in begins
        ]

    def set_load(self, vm: Vm, load: float | None) -> None:
        """Pretend that each CPU of `vm` is busy to the part `load` (0 to 1) from now on; None: its wave again."""
        self._set("set_load", vm, "load", load)

    def set_history(self, vm: Vm, samples: Sequence[Mapping[str, float]] | None) -> None:
        """Pretend that these samples were measured of `vm`, whatever they are; None: its own again."""
        self._set("set_history", vm, "history", None if samples is None else [dict(sample) for sample in samples])

    def _set(self, call: str, vm: Vm, field: str, value: object) -> None:
        def change(world: Doc, now: float) -> None:
            self.keep(world, {**self.find(world, vm, now), field: value}, now)

        self.alter(call, vm.name, change)
