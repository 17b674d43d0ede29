"""`cms vm stats`: what VMs use of their processors, memory, disks and network, as their clouds see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms.clouds.base import Metrics, require
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.refresh import list_vms
from cloudms.engine.select import vms
from cloudms.engine.usage import Figures, by_cloud, look, percent
from cloudms.errors import Invalid
from cloudms.model import Usage, Vm, VmState
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames

_WHOLE = ("memory_used_mib", "memory_mib", "disk_read_bytes", "disk_write_bytes", "net_rx_bytes", "net_tx_bytes")


@verb("vm", "stats", columns=Usage.columns, example="cms vm stats web[1-3]")
def stats(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    interval: Annotated[float, Doc("seconds between two looks where a cloud only counts processor time")] = 1.0,
) -> Listing:
    """Show what running VMs use, those named or all.

    Clouds that measure by themselves tell a mean of some minutes, and when that was; VMs without numbers are left out.
    """
    if interval <= 0:
        raise Invalid("--interval must be more than 0 seconds", hint="for instance --interval 2")
    if names or label:
        found, failed = vms(ctx, names, cloud=cloud or "", labels=label), {}
        for vm in found:
            require(ctx.cloud(vm.cloud), Metrics, vm)
    else:
        listing = list_vms(ctx, ctx.cloud_names(cloud or ""), fresh=True)
        found = [vm for vm in listing.items if isinstance(vm, Vm) and vm.state is VmState.RUNNING]
        failed = dict(listing.failed)
    return _measured(ctx, [vm for vm in found if issubclass(ctx.cloud_class(vm.cloud), Metrics)], interval, failed)


def _measured(ctx: Context, found: Sequence[Vm], interval: float, failed: dict[str, Any]) -> Listing:
    before = look(ctx, by_cloud(found), failed)
    counted = [vm for vm in found if "cpu_seconds" in before.get(vm.key, {})]
    after: Mapping[str, Figures] = {}
    if counted:
        ctx.clock.sleep(interval)
        after = look(ctx, by_cloud(counted), failed)
    rows = [_usage(ctx, vm, before[vm.key], after.get(vm.key)) for vm in found if vm.key in before]
    return Listing(items=tuple(rows), failed=failed, fetched=ctx.clock.now())


def _usage(ctx: Context, vm: Vm, first: Figures, second: Figures | None) -> Usage:
    last = second or first
    whole: dict[str, Any] = {name: round(last[name]) for name in _WHOLE if name in last}
    busy = percent(ctx, vm, first, last)
    return Usage(
        name=vm.name, cloud=vm.cloud, id=vm.id, region=vm.region, labels=vm.labels, state=str(vm.state), **whole,
        cpu_percent=None if busy is None else round(min(max(busy, 0.0), 100.0), 1),
        at=last.get("at", ctx.clock.now()), fetched=ctx.clock.now(),
    )  # fmt: skip
