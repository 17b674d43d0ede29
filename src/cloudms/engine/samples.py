"""What VMs used, summed up, and what follows for the flavor that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, isfinite
from typing import Any

from cloudms.model import Flavor
from cloudms.record import Record

Sample = Mapping[str, Any]
"""What was measured at a time: `at` (epoch seconds), `cpu_percent` of all vCPUs together, `memory_used_mib`, and where
a host tells it, `cpu_denied_percent`: what the VM wanted and did not get, which counts as used."""

_CPU, _DENIED, _MEMORY = _MEASURED = ("cpu_percent", "cpu_denied_percent", "memory_used_mib")


class Policy(Record):
    """What a judgement goes by.

    A flavor has to hold the 95th percentile of processor use below `target`, and the peak of memory below
    `memory_target` (percent of what the flavor has); from `starved` on, in either, a VM needs a larger one. Fewer
    samples than `least_samples`, or samples that cover a smaller part of the window than `least_coverage`, are too few.
    """

    target: float = 70.0
    memory_target: float = 80.0
    starved: float = 90.0
    least_samples: int = 10
    least_coverage: float = 0.5


class Use(Record):
    """What samples amount to: how many there are, how many were no numbers or came twice, percentiles, coverage.

    `got_p95` is without what the host denied, `denied` the 95th percentile of that; `memory_known` is whether memory
    was measured often enough to give the VM less of it.
    """

    samples: int = 0
    wrong: int = 0
    twice: int = 0
    coverage: float = 0.0
    cpu_mean: float | None = None
    cpu_p95: float | None = None
    cpu_max: float | None = None
    memory_peak: float | None = None
    got_p95: float | None = None
    denied: float = 0.0
    memory_known: bool = False


class Need(Record):
    """What a flavor must have: so many `vcpus` and `memory_mib`; `starved` names what there is too little of now."""

    vcpus: float
    memory_mib: float
    starved: tuple[str, ...] = ()


def summarize(samples: Sequence[Sample], window: float, policy: Policy) -> Use:
    """Return what samples amount to, whatever their order; of two at the same time the larger values count."""
    times, wrong, twice = _sorted_out(samples)
    cpu = {at: min(seen[_CPU] + seen.get(_DENIED, 0.0), 100.0) for at, seen in times.items() if _CPU in seen}
    memory = {at: seen[_MEMORY] for at, seen in times.items() if _MEMORY in seen}
    used = sorted(cpu.values())
    got = sorted(seen[_CPU] for seen in times.values() if _CPU in seen)
    denied = sorted(seen[_DENIED] for seen in times.values() if _DENIED in seen)
    enough = len(memory) >= policy.least_samples and _coverage(memory, window) >= policy.least_coverage
    return Use(
        samples=len(cpu), wrong=wrong, twice=twice, coverage=_coverage(cpu, window),
        cpu_mean=sum(used) / len(used) if used else None, cpu_p95=percentile(used, 95.0),
        cpu_max=used[-1] if used else None, got_p95=percentile(got, 95.0), denied=percentile(denied, 95.0) or 0.0,
        memory_peak=max(memory.values(), default=None), memory_known=enough,
    )  # fmt: skip


def _sorted_out(samples: Sequence[Sample]) -> tuple[dict[float, dict[str, float]], int, int]:
    """Return the numbers by their time, how many samples had one that is none, and how many came twice."""
    times: dict[float, dict[str, float]] = {}
    wrong = twice = 0
    for sample in samples:
        at, told = _number(sample.get("at")), {name: sample.get(name) for name in _MEASURED}
        values = {name: number for name, value in told.items() if (number := _number(value)) is not None}
        wrong += at is None or not values or any(told[name] is not None for name in told.keys() - values.keys())
        if at is None or not values:
            continue
        twice += at in times
        seen = times.setdefault(at, {})
        seen.update({name: max(value, seen.get(name, 0.0)) for name, value in values.items()})
    return times, wrong, twice


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the value that `percent` of the sorted values do not pass: one that was measured (nearest rank)."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1] if ordered else None


def needed(use: Use, now: Flavor, policy: Policy) -> Need:
    """Return what a flavor must have so that a VM like this one finds enough.

    A VM that only its host keeps from its processors is not starved by its flavor: more vCPUs would bring it no more.
    """
    p95, got, peak = use.cpu_p95 or 0.0, use.got_p95 or 0.0, use.memory_peak or 0.0
    room = peak * 100 / policy.memory_target
    starved = ["processors"] * (got >= policy.starved) + ["memory"] * (peak * 100 >= policy.starved * now.memory_mib)
    return Need(
        vcpus=p95 * now.vcpus / policy.target,
        memory_mib=room if use.memory_known else max(room, float(now.memory_mib)),
        starved=tuple(starved),
    )


def _number(value: Any) -> float | None:
    """Return a number that can have been measured, or None."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and isfinite(value) and value >= 0 else None


def _coverage(times: Mapping[float, float], window: float) -> float:
    """Return which part of the window samples stand for, each for the time to the next, but no longer than is usual."""
    ordered = sorted(times)
    if len(ordered) < 2 or window <= 0:
        return 0.0
    gaps = [after - before for before, after in pairwise(ordered)]
    usual = sorted(gaps)[(len(gaps) - 1) // 2]
    return min((sum(min(gap, usual) for gap in gaps) + usual) / window, 1.0)
