"""`cms vm list`, `status`, `info`, `refresh`, `ping` and `wait`: what exists, and how it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from cloudms import names as naming
from cloudms import ssh
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action, groups, lease
from cloudms.engine import vms as change
from cloudms.engine.ready import wait_ready
from cloudms.engine.refresh import each, list_vms, wants_fresh
from cloudms.engine.select import matching, vm, vms
from cloudms.errors import NotFound
from cloudms.model import Vm, VmState
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.limits import Limit
from cloudms.verbs.lists import Cached, CloudName, Refresh
from cloudms.verbs.vm.names import OneVm, VmNames

_COLUMNS = ["name", "cloud", "state", "image", "flavor", "public_ips", "private_ips", "group", "expires", "created"]


@verb("vm", "list", columns=_COLUMNS, example="cms vm list --label project=genome")
def list_(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    group: Annotated[str | None, Doc("only members of this group"), Names("group")] = None,
    state: Annotated[str | None, Doc("only VMs in this state")] = None,
    limit: Limit = 0,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the VMs of all clouds, those that others made included."""
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    narrow = {"labels": label, "limit": 0 if names or group or state else max(limit, 0)}
    listing = list_vms(ctx, ctx.cloud_names(cloud or ""), fresh=fresh, find=narrow)
    items = [item for item in listing.items if isinstance(item, Vm)]
    if names:
        wanted = [name for word in names for name in naming.expand(word)]
        chosen = {item.key for name in wanted for item in matching(items, name)}
        items = [item for item in items if item.key in chosen]
    if group:
        items = groups.members_of(groups.find(ctx, group, groups.all_vms(ctx, fresh=False)), items)
    items = [item for item in items if not state or item.state == state]
    lease.soon(ctx, items)
    return listing.with_(items=tuple(items[:limit] if limit > 0 else items))


@verb("vm", "status", columns=["name", "cloud", "state", "reason", "since", "public_ips"], example="cms vm status web1")
def status(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """Show the state of VMs by name, or of all.

    A name that is not found is reported, and then all VMs are shown.
    """
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    listing = list_vms(ctx, ctx.cloud_names(cloud or ""), fresh=fresh, find={"labels": label})
    items = [item for item in listing.items if isinstance(item, Vm)]
    lease.soon(ctx, items)
    wanted = [name for word in names for name in naming.expand(word) if name != "all"]
    unknown = [name for name in wanted if not matching(items, name)]
    for name in unknown:
        ctx.warn(f"no VM named '{name}'; all VMs are shown")
    if not wanted or unknown:
        return listing
    chosen = {item.key for name in wanted for item in matching(items, name)}
    return listing.with_(items=tuple(item for item in items if item.key in chosen))


@verb("vm", "info", example="cms vm info web1")
def info(
    ctx: Context,
    name: OneVm,
    *,
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Vm:
    """Show everything that is known of one VM."""
    found = vm(ctx, name, cloud=cloud or "")
    if not wants_fresh(ctx, cached=cached, refresh=refresh):
        return found
    listing = list_vms(ctx, [found.cloud], fresh=True)
    current = {item.key: item for item in listing.items if isinstance(item, Vm)}
    for error in listing.failed.values():
        ctx.warn(f"cloud '{found.cloud}' did not answer: {error['message']}; this is what the catalog knows")
    if found.key not in current:
        raise NotFound(f"{name} has just disappeared from cloud '{found.cloud}'", hint="cms event list")
    return current[found.key]


@verb("vm", "refresh", columns=_COLUMNS, example="cms vm refresh")
def refresh_(ctx: Context, *, cloud: CloudName = None) -> Listing:
    """Ask the clouds for their VMs and bring the catalog up to date."""
    return list_vms(ctx, ctx.cloud_names(cloud or ""), fresh=True)


@verb("vm", "ping", streams=True, example="cms vm ping web[1-3]")
def ping(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    timeout: Annotated[float, Doc("seconds to wait for each answer")] = 2.0,
) -> Iterator[str]:
    """Say of each VM whether its SSH server answers, and after how many milliseconds."""
    found = vms(ctx, names, cloud=cloud or "", labels=label)
    answers: dict[str, str] = {}

    def one(key: str) -> None:
        target = by_key[key]
        begun = ctx.clock.monotonic()
        answered = bool(target.ssh_host) and ssh.answers(target.ssh_host, target.ssh_port, timeout)
        took = (ctx.clock.monotonic() - begun) * 1000
        answers[key] = f"answers in {took:.0f} ms" if answered else f"does not answer ({target.state})"

    by_key = {target.key: target for target in found}
    each(list(by_key), one)
    silent = [target.name for key, target in by_key.items() if not answers[key].startswith("answers")]
    for key, target in by_key.items():
        yield f"{target.name} {answers[key]}"
    if silent:
        raise NotFound(f"no answer from {', '.join(silent)}", hint=f"cms vm status {silent[0]}")


@verb(
    "vm",
    "wait",
    changes=True,
    columns=["name", "cloud", "state", "public_ips", "reason"],
    example="cms vm wait web1 --until ready --timeout 120",
)
def wait(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    until: Annotated[
        Literal["ready", "running", "stopped", "suspended", "saved", "gone"], Doc("what to wait for")
    ] = "ready",
    timeout: Annotated[float | None, Doc("seconds to wait at most")] = None,
) -> Plan:
    """Wait until VMs are ready, or in a state.

    A VM that came too late for `vm boot` is adopted by this, not lost.
    """
    found = vms(ctx, names, cloud=cloud or "", labels=label)
    steps = change.steps("vm.wait", found, until=until, timeout=timeout)
    return Plan(verb="vm wait", summary=f"wait until {naming.compress(v.name for v in found)} is {until}", steps=steps)


@action("vm.wait")
def _wait(work: Work) -> Vm:
    until, timeout = work.step.params["until"], work.step.params["timeout"]
    cloud, target = change.load(work)
    if until == "ready":
        done = wait_ready(work, cloud, target, timeout)
    elif until == "gone":
        change.wait_gone(work, cloud, target, timeout)
        return target.with_(state=VmState.TERMINATED)
    else:
        fresh = target.with_(state=VmState.UNKNOWN)
        done = change.wait_state(work, cloud, fresh, (VmState(until),), timeout, pause=0.5)
    return change.save(work.ctx, done, "vm.wait", until, work.operation)
