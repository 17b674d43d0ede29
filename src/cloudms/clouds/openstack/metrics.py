"""Metrics: what the host of a server measures of it, for those whom nova lets look.

Upstream's policy shows diagnostics to administrators only
(https://docs.openstack.org/nova/latest/configuration/policy.html, os_compute_api:os-server-diagnostics); then the role
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudms.clouds.base import Metrics, Role, Setup
from cloudms.clouds.openstack.core import Core
from cloudms.errors import CloudmsError, Conflict, Denied, Invalid, NotFound, Unsupported
from cloudms.model import Vm

_VERSION = (2, 48)
"""The microversion since which every hypervisor says it in the same words."""
_WHY = "whoever runs this cloud shows the use of a VM to administrators only"
_NANO = 1e9
_MIB = 1 << 20


class Measuring(Core, Metrics):
    """Looking at use."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._refused = False

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        return missing or (_WHY if role is Metrics and vm is not None and self._refused else "")

    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return by VM key what was used since its start: CPU seconds, bytes of disks and cards, and memory.

        VMs that do not run, or of which nothing is known, are left out. Raises: Unsupported (nova does not let one
        look, or is too old).
        """
        found: dict[str, dict[str, float]] = {}
        for vm in vms:
            told = self._told(vm) if vm.id else None
            if told:
                found[vm.key] = told
        return found

    def _told(self, vm: Vm) -> dict[str, float] | None:
        for region in self.places(vm):
            if (0, 0) < self.link.version("compute", region) < _VERSION:
                raise Unsupported("this cloud is too old to tell the use of a VM", hint="nova of 2017 or later")
            try:
                return measured(
                    self.link.ask("GET", "compute", f"/servers/{vm.id}/diagnostics", region, version="2.48")
                )
            except (NotFound, Conflict, Invalid):
                continue
            except Denied as error:
                self._refused = True
                raise Unsupported(_WHY, hint="ask for the right, or measure inside", details=error.details) from None
            except CloudmsError as error:
                if error.details.get("status") not in (500, 501):  # its hypervisor cannot
                    raise
        return None


def measured(told: Mapping[str, Any]) -> dict[str, float]:
    """Return what nova's diagnostics say, in the contract's words; what they do not say is left out.

    Words: https://docs.openstack.org/api-ref/compute/#show-server-diagnostics.
    """
    memory = told.get("memory_details") or {}
    said = {
        "cpu_seconds": _sum(told.get("cpu_details"), "time", 1 / _NANO),
        "memory_mib": _number(memory.get("maximum")), "memory_used_mib": _number(memory.get("used")),
        "disk_read_bytes": _sum(told.get("disk_details"), "read_bytes"),
        "disk_write_bytes": _sum(told.get("disk_details"), "write_bytes"),
        "net_rx_bytes": _sum(told.get("nic_details"), "rx_octets"),
        "net_tx_bytes": _sum(told.get("nic_details"), "tx_octets"),
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}


def _sum(rows: Iterable[Mapping[str, Any]] | None, word: str, scale: float = 1.0) -> float | None:
    values = [number for row in rows or () if (number := _number(row.get(word))) is not None]
    return sum(values) * scale if values else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
