"""`cms vm snapshot create|list|revert|delete`: keep a state of a VM and bring it back."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms.clouds.base import Snapshots
from cloudms.context import Context, not_found
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine import vms as change
from cloudms.engine.refresh import event, list_nouns, wants_fresh
from cloudms.engine.select import vm
from cloudms.model import Noun, Snapshot, Vm
from cloudms.names import series, valid
from cloudms.verb import Doc, verb
from cloudms.verbs.vm.look import Cached, CloudName, OneVm, Refresh

SnapshotName = Annotated[str, Doc("name of the snapshot")]
_COLUMNS = Snapshot.columns


@verb("vm", "snapshot", "list", columns=_COLUMNS, example="cms vm snapshot list web1")
def list_(
    ctx: Context,
    name: Annotated[str | None, Doc("only of this VM")] = None,
    *,
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the snapshots of one VM, or of all."""
    owner = vm(ctx, name, cloud=cloud or "") if name else None
    clouds = [owner.cloud] if owner else ctx.cloud_names(cloud or "")
    listing = list_nouns(
        ctx,
        "snapshot",
        clouds,
        lambda opened: opened.list_snapshots(),
        fresh=wants_fresh(ctx, cached=cached, refresh=refresh),
        role=Snapshots,
        named=bool(name or cloud),
    )
    if owner is None:
        return listing
    items = tuple(item for item in listing.items if isinstance(item, Snapshot) and item.vm == owner.name)
    return listing.with_(items=items)


@verb("vm", "snapshot", "create", changes=True, columns=_COLUMNS, example="cms vm snapshot create web1 before-upgrade")
def create(
    ctx: Context,
    name: OneVm,
    snapshot: Annotated[str | None, Doc("name of the snapshot; snap-N otherwise")] = None,
    *,
    cloud: CloudName = None,
) -> Plan:
    """Keep the state of a VM: its disks, and its memory when it runs and the cloud can."""
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Snapshots)
    taken = {kept.name for kept in ctx.cloud(found.cloud).list_snapshots(found)}  # type: ignore[attr-defined]
    chosen = valid(snapshot) if snapshot else series("snap-1", 1, taken.__contains__)[0]
    return _plan(ctx, "create", found, chosen, f"keep the state of {found.name} as {chosen}")


@verb(
    "vm",
    "snapshot",
    "revert",
    changes=True,
    columns=("name", "cloud", "state"),
    example="cms vm snapshot revert web1 before-upgrade",
)
def revert(ctx: Context, name: OneVm, snapshot: SnapshotName, *, cloud: CloudName = None) -> Plan:
    """Bring back a kept state; what happened since is lost."""
    found = vm(ctx, name, cloud=cloud or "")
    question = f"Bring {found.name} back to {snapshot}? What happened since is lost."
    change.check_unprotected([found], "reverted")
    return _plan(ctx, "revert", found, snapshot, f"bring {found.name} back to {snapshot}", question)


@verb("vm", "snapshot", "delete", changes=True, columns=_COLUMNS, example="cms vm snapshot delete web1 before-upgrade")
def delete(ctx: Context, name: OneVm, snapshot: SnapshotName, *, cloud: CloudName = None) -> Plan:
    """Forget a kept state; the VM stays as it is."""
    found = vm(ctx, name, cloud=cloud or "")
    return _plan(ctx, "delete", found, snapshot, f"forget {snapshot} of {found.name}", f"Forget {snapshot}?")


def _plan(ctx: Context, deed: str, found: Vm, snapshot: str, summary: str, question: str = "") -> Plan:
    change.check(ctx, [found], Snapshots)
    if deed != "create":
        known = [s.name for s in ctx.cloud(found.cloud).list_snapshots(found)]  # type: ignore[attr-defined]
        if snapshot not in known:
            raise not_found("snapshot", snapshot, known, f"cms vm snapshot list {found.name}")
    return Plan(
        verb=f"vm snapshot {deed}",
        summary=summary,
        question=question,
        steps=change.steps(f"vm.snapshot.{deed}", [found], snapshot=snapshot),
    )


@action("vm.snapshot.create")
def _create(work: Work) -> Noun:
    cloud, found = change.load(work)
    name = work.step.params["snapshot"]
    made: Snapshot = cloud.create_snapshot(found, name)  # type: ignore[attr-defined]
    made = made.with_(fetched=work.ctx.clock.now())
    events = [event(work.ctx, work.step.action, found, f"kept as {name}", work.operation)]
    work.ctx.catalog.put("snapshot", {made.key: made.to_document()}, events=events)
    return made


@action("vm.snapshot.revert")
def _revert(work: Work) -> Noun:
    def call(cloud: Any, found: Vm) -> Vm:
        return cloud.revert_snapshot(found, work.step.params["snapshot"])  # type: ignore[no-any-return]

    return change.change(work, None, call)


@action("vm.snapshot.delete")
def _delete(work: Work) -> Noun:
    cloud, found = change.load(work)
    name = work.step.params["snapshot"]
    cloud.delete_snapshot(found, name)  # type: ignore[attr-defined]
    gone = [
        row
        for row in work.ctx.catalog.find("snapshot", cloud=found.cloud, name=name)
        if row.document["vm"] == found.name
    ]
    events = [event(work.ctx, work.step.action, found, f"{name} forgotten", work.operation)]
    work.ctx.catalog.delete("snapshot", [row.key for row in gone], events=events)
    return Snapshot(name=name, vm=found.name, cloud=found.cloud, state="deleted")
