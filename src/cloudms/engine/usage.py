"""Looking at what VMs use: once, or again and again for a while, on several clouds at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudms.clock import age
from cloudms.context import Context
from cloudms.engine.refresh import each
from cloudms.errors import CloudmsError
from cloudms.model import Vm

Figures = Mapping[str, float]
"""What a cloud measured of a VM, and `looked`, the monotonic time when it did."""


def by_cloud(vms: Iterable[Vm]) -> dict[str, list[Vm]]:
    """Return VMs by the cloud they stand on."""
    found: dict[str, list[Vm]] = {}
    for vm in vms:
        found.setdefault(vm.cloud, []).append(vm)
    return found


def look(ctx: Context, vms: Mapping[str, Sequence[Vm]], failed: dict[str, Any]) -> dict[str, Figures]:
    """Ask every cloud for the figures of its VMs, all at once, and return them by VM key; one that fails is noted."""
    found: dict[str, Figures] = {}

    def one(name: str) -> None:
        opened: Any = ctx.cloud(name)
        try:
            told = opened.metrics(vms[name])
        except CloudmsError as error:
            failed[name] = {**error.to_public(), "cloud": name}
            return
        looked = ctx.clock.monotonic()
        found.update({key: {**figures, "looked": looked} for key, figures in told.items()})

    each(list(vms), one)
    return found


def percent(ctx: Context, vm: Vm, first: Figures | None, last: Figures) -> float | None:
    """Return the percent of all its vCPUs that a VM used between two looks, or None when that cannot be told.

    What a cloud only counts may seem to run backwards, when a VM was started anew: the number is below 0 then.
    """
    return last["cpu_percent"] if "cpu_percent" in last else _share(ctx, vm, "cpu_seconds", first, last)


def wanted(ctx: Context, vm: Vm, first: Figures | None, last: Figures) -> float | None:
    """Return the percent of all its vCPUs that a VM would have used, what its host did not give it counted as well."""
    used, denied = percent(ctx, vm, first, last), _share(ctx, vm, "cpu_denied_seconds", first, last)
    return used if used is None or denied is None else used + max(denied, 0.0)


def _share(ctx: Context, vm: Vm, name: str, first: Figures | None, last: Figures) -> float | None:
    """Return which percent of its vCPUs' time was counted as `name` between two looks."""
    seconds = last["looked"] - first["looked"] if first else 0.0
    if not first or seconds <= 0 or name not in first or name not in last:
        return None
    return (last[name] - first[name]) / seconds / (last.get("vcpus") or vcpus(ctx, vm)) * 100


def vcpus(ctx: Context, vm: Vm) -> float:
    """Return the processors of a VM's flavor as the catalog knows it, 1 when it does not."""
    rows = ctx.catalog.find("flavor", cloud=vm.cloud, name=vm.flavor) if vm.flavor else []
    return float(next((row.document["vcpus"] for row in rows), 1) or 1)


def watch(
    ctx: Context, vms: Sequence[Vm], window: float, interval: float, failed: dict[str, Any]
) -> dict[str, list[dict[str, float]]]:
    """Look at VMs every `interval` seconds for `window` seconds, and return samples by VM key: `at` (epoch seconds),
    cpu_percent, cpu_denied_percent (what it wanted and its host did not give), memory_used_mib.

    A cloud that does not answer the first time is noted and given up; one that fails later is warned about.
    Raises: Interrupted.
    """
    there = by_cloud(vms)
    for name, some in there.items():
        count = "1 VM" if len(some) == 1 else f"{len(some)} VMs"
        ctx.progress(name, f"measuring {count} for {age(window)}, every {interval:g} s")
    before = look(ctx, there, failed)
    there = {name: some for name, some in there.items() if name not in failed}
    samples: dict[str, list[dict[str, float]]] = {vm.key: [] for vm in vms if vm.cloud in there}
    begun, late = ctx.clock.monotonic(), dict[str, Any]()
    for number in range(1, round(window / interval) + 1 if there else 1):
        ctx.pause(max(begun + number * interval - ctx.clock.monotonic(), 0.0))
        after = look(ctx, there, late)
        for vm in (vm for some in there.values() for vm in some if vm.key in after):
            samples[vm.key].append(_sample(ctx, vm, before.get(vm.key), after[vm.key]))
        before = {**before, **after}
    for name, error in late.items():
        ctx.warn(f"cloud '{name}' did not answer every time: {error['message']}")
    return samples


def _sample(ctx: Context, vm: Vm, first: Figures | None, last: Figures) -> dict[str, float]:
    made = {"at": last.get("at", ctx.clock.now())}
    told = {"cpu_percent": percent(ctx, vm, first, last)}
    told["cpu_denied_percent"] = _share(ctx, vm, "cpu_denied_seconds", first, last)
    made.update({name: value for name, value in told.items() if value is not None})
    if "memory_used_mib" in last:
        made["memory_used_mib"] = last["memory_used_mib"]
    return made
