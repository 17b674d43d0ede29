"""What a VM shows and uses: console log, metrics; and where it stands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms.clouds.base import Console, Locations, Metrics
from cloudms.clouds.libvirt import describe
from cloudms.clouds.libvirt.core import Core
from cloudms.clouds.libvirt.link import sdk, talks
from cloudms.errors import NotFound, Unsupported
from cloudms.model import Location, Vm

CONSOLE_BYTES = 64 << 10
FOLLOW_S = 0.5
GROUPS = ("STATE", "CPU_TOTAL", "VCPU", "BALLOON", "BLOCK", "INTERFACE")
"""The statistics that are asked for: the others cost questions to QEMU for numbers nobody shows."""


class Watching(Core, Console, Metrics, Locations):
    """Looking without changing."""

    @talks
    def console_log(self, vm: Vm) -> str:
        """Return the last 64 KiB of what the guest printed. Raises: Unsupported (no log was set up), NotFound."""
        path = self._console_of(vm)
        try:
            return _text(self.pool.get(path.rpartition("/")[2], last=CONSOLE_BYTES))
        except NotFound:
            return ""  # it has not been started yet

    def follow_console(self, vm: Vm) -> Iterator[str]:
        """Yield new console output until the caller stops or the log is deleted, starting with the last 64 KiB."""
        path = Path(self._console_of(vm))
        if self.link.local and os.access(path, os.R_OK):
            yield from self._follow_file(path)
        else:  # on another machine or of another account: asked for again and again
            yield from super().follow_console(vm)

    def _follow_file(self, path: Path) -> Iterator[str]:
        at = max(path.stat().st_size - CONSOLE_BYTES, 0)
        while path.exists():
            at = min(at, path.stat().st_size)  # shorter than before: the log was rotated
            with path.open("rb") as file:
                file.seek(at)
                fresh = file.read()
            at += len(fresh)
            yield _text(fresh) if fresh else ""
            self.clock.sleep(FOLLOW_S)

    @talks
    def _console_of(self, vm: Vm) -> str:
        _domain, seen = self.find(vm)
        path = describe.console_path(seen.root)
        if not path or Path(path).parent != Path(self.pool.folder):
            raise Unsupported(f"vm '{vm.name}' keeps no console log", hint=f"virsh -c {self.uri} console {vm.name}")
        return path

    @talks
    def metrics(self, vms: Sequence[Vm]) -> Mapping[str, Mapping[str, float]]:
        """Return CPU seconds, memory, disk and network bytes of the VMs that run, by key; one question for all."""
        libvirt = sdk()
        groups = sum(getattr(libvirt, f"VIR_DOMAIN_STATS_{name}") for name in GROUPS)
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        wanted = {vm.id: vm.key for vm in vms}
        found = {}
        for domain, stats in self.link.open().getAllDomainStats(groups, flags):
            key = wanted.get(domain.UUIDString())
            if key is not None:
                found[key] = figures(stats)
        return found

    @talks
    def list_locations(self) -> Iterable[Location]:
        """Return the one host of this connection."""
        conn = self.link.open()
        info = conn.getInfo()
        host = conn.getHostname()
        raw = {"model": info[0], "memory_mib": info[1], "cpus": info[2], "uri": self.uri}
        return [Location(name=host, cloud=self.name, id=host, region=self.uri, fetched=self.clock.now(), raw=raw)]


def figures(stats: Mapping[str, Any]) -> dict[str, float]:
    """Return libvirt's statistics of a domain under the house's names; what is not measured is left out.

    Memory in use is what the guest cannot give to programs, as its balloon driver says, else what QEMU occupies.
    """
    found: dict[str, float] = {}
    if "cpu.time" in stats:
        found["cpu_seconds"] = stats["cpu.time"] / 1e9
    waited = [value for key, value in stats.items() if key.startswith("vcpu.") and key.endswith(".delay")]
    if waited:
        found["cpu_denied_seconds"] = sum(waited) / 1e9
    if "balloon.current" in stats:
        found["memory_mib"] = stats["balloon.current"] / 1024
    spare = stats.get("balloon.usable", stats.get("balloon.unused"))
    if spare is not None and "balloon.available" in stats:
        found["memory_used_mib"] = (stats["balloon.available"] - spare) / 1024
    elif "balloon.rss" in stats:
        found["memory_used_mib"] = stats["balloon.rss"] / 1024
    for name, prefix, suffix in (
        ("disk_read_bytes", "block.", ".rd.bytes"),
        ("disk_write_bytes", "block.", ".wr.bytes"),
        ("net_rx_bytes", "net.", ".rx.bytes"),
        ("net_tx_bytes", "net.", ".tx.bytes"),
    ):
        values = [value for key, value in stats.items() if key.startswith(prefix) and key.endswith(suffix)]
        if values:
            found[name] = float(sum(values))
    return found


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").replace("\r\n", "\n")
