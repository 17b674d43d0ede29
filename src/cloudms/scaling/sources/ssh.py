"""Processors and memory as the guests themselves see them: /proc over SSH, all members at once."""

from __future__ import annotations

from typing import ClassVar

from cloudms.errors import NotReady
from cloudms.fanout.host import hosts_of
from cloudms.scaling.base import Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import Source, View

COMMAND = "head -n 1 /proc/stat; grep -E '^Mem(Total|Available):' /proc/meminfo"
"""See proc(5): cpu user nice system idle iowait irq softirq steal …, and memory in kB."""

Times = tuple[float, float]
"""What processors worked, and all of their time, in ticks."""


class SshSource(Source):
    """Asks the guests."""

    name = "ssh"
    metrics: ClassVar[tuple[str, ...]] = ("cpu", "memory")
    KEYS: ClassVar[tuple[str, ...]] = ("timeout",)

    def __init__(self, settings: Section) -> None:
        super().__init__(settings)
        self._timeout = settings.seconds("timeout", 5.0, least=0.1)
        self._last: dict[str, Times] = {}

    def samples(self, view: View) -> list[Sample]:
        """Return what the guests that answered in time have used since the last look. Raises: NotReady (none did)."""
        hosts = hosts_of(view.ctx, view.vms)
        if not hosts:
            return []
        found, silent = [], []
        last: dict[str, Times] = {}
        each = view.ctx.pool().each(hosts, COMMAND, timeout=self._timeout, connect_timeout=self._timeout)
        for record in each:
            if not record.ok or record.simulated:
                silent.append(f"{record.name}: {record.reason or record.state}")
                continue
            now = times(record.stdout)
            before = self._last.get(record.name)
            if now:
                last[record.name] = now
            if now and before and now[1] > before[1]:
                busy = (now[0] - before[0]) / (now[1] - before[1]) * 100
                found.append(self.sample(view, "cpu", min(busy, 100.0), record.name))
            used = memory(record.stdout)
            if used is not None:
                found.append(self.sample(view, "memory", used, record.name))
        self._last = last
        if silent and len(silent) == len(hosts):
            raise NotReady(f"no member answers over SSH ({silent[0]})")
        return found


def times(text: str) -> Times | None:
    """Return what the processors worked and all of their time, or None where the text does not tell."""
    words = text.partition("\n")[0].split()
    numbers = [float(word) for word in words[1:9] if word.isdigit()]
    if len(numbers) < 5 or words[0] != "cpu":
        return None
    total = sum(numbers)
    return total - numbers[3] - numbers[4], total


def memory(text: str) -> float | None:
    """Return the percent of memory in use, or None where the text does not tell."""
    lines = (line.split() for line in text.splitlines() if line.startswith("Mem"))
    found = {words[0]: float(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
    total, free = found.get("MemTotal:"), found.get("MemAvailable:")
    return (total - free) / total * 100 if total and free is not None else None
