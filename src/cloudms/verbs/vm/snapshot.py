"""`cms vm snapshot create|list|revert|label|delete`: keep a state of a VM and bring it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms.clouds.base import Snapshots
from cloudms.context import Context, not_found
from cloudms.engine import Listing, Plan, Work, action, lease
from cloudms.engine import vms as change
from cloudms.engine.browse import of_vm
from cloudms.engine.labels import changed, changes, pick
from cloudms.engine.refresh import event, wants_fresh
from cloudms.engine.select import vm
from cloudms.model import Noun, Snapshot, Vm
from cloudms.names import compress, labels, series, valid
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels, PutLabels, RemoveLabels, SetLabels
from cloudms.verbs.lists import Cached, CloudName, Refresh
from cloudms.verbs.vm.names import OneVm

SnapshotName = Annotated[str, Doc("name of the snapshot")]
SnapshotNames = Annotated[list[str], Doc("names of snapshots, or host lists such as snap-[1-3]")]
_COLUMNS = Snapshot.columns


@verb("vm", "snapshot", "list", columns=_COLUMNS, example="cms vm snapshot list web1")
def list_(
    ctx: Context,
    name: Annotated[str | None, Doc("only of this VM")] = None,
    *,
    cloud: CloudName = None,
    label: Labels = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the snapshots of one VM, or of all."""
    fresh = wants_fresh(ctx, cached=cached, refresh=refresh)
    return of_vm(
        ctx, "snapshot", name, lambda opened: opened.list_snapshots(), cloud=cloud or "", fresh=fresh, role=Snapshots,
        find={"labels": label},
    )  # fmt: skip


@verb("vm", "snapshot", "create", changes=True, columns=_COLUMNS, example="cms vm snapshot create web1 before-upgrade")
def create(
    ctx: Context,
    name: OneVm,
    snapshot: Annotated[str | None, Doc("name of the snapshot; snap-N otherwise")] = None,
    *,
    cloud: CloudName = None,
    label: PutLabels = None,
) -> Plan:
    """Keep the state of a VM: its disks, and its memory when it runs and the cloud can."""
    found = vm(ctx, name, cloud=cloud or "")
    taken = _of(ctx, found)
    chosen = valid(snapshot) if snapshot else series("snap-1", 1, taken.__contains__)[0]
    steps = change.steps("vm.snapshot.create", [found], snapshot=chosen, labels=labels(label))
    return Plan(verb="vm snapshot create", summary=f"keep the state of {found.name} as {chosen}", steps=steps)


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
    change.check_unprotected([found], "reverted")
    _named(_of(ctx, found), snapshot, found)
    return Plan(
        verb="vm snapshot revert",
        summary=f"bring {found.name} back to {snapshot}",
        question=f"Bring {found.name} back to {snapshot}? What happened since is lost.",
        steps=change.steps("vm.snapshot.revert", [found], snapshot=snapshot),
    )


@verb(
    "vm",
    "snapshot",
    "label",
    changes=True,
    columns=("name", "vm", "cloud", "labels"),
    example="cms vm snapshot label web1 before-upgrade --set keep=yes",
)
def label_(
    ctx: Context,
    name: OneVm,
    snapshots: SnapshotNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of snapshots; they stand in the catalog of this machine."""
    params = changes(set, remove)
    found = vm(ctx, name, cloud=cloud or "")
    return _each(ctx, "label", found, _chosen(ctx, found, snapshots, label), **params)


@verb("vm", "snapshot", "delete", changes=True, columns=_COLUMNS, example="cms vm snapshot delete web1 before-upgrade")
def delete(
    ctx: Context,
    name: OneVm,
    snapshots: SnapshotNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Forget kept states; the VM stays as it is."""
    found = vm(ctx, name, cloud=cloud or "")
    plan = _each(ctx, "delete", found, _chosen(ctx, found, snapshots, label))
    return plan.with_(question=f"{plan.summary[0].upper()}{plan.summary[1:]}?")


def _chosen(ctx: Context, found: Vm, words: Sequence[str], label: Mapping[str, str] | None) -> list[Snapshot]:
    """Return the snapshots of a VM that have these names or labels. Raises: Invalid, NotFound, Unsupported."""
    kept = _of(ctx, found)
    return pick("vm snapshot", words, label, lambda name: _named(kept, name, found), kept.values)


def _of(ctx: Context, found: Vm) -> dict[str, Snapshot]:
    """Return the snapshots that the cloud has of a VM by name, with the labels of the catalog. Raises: Unsupported."""
    change.check(ctx, [found], Snapshots)
    seen: list[Snapshot] = list(ctx.cloud(found.cloud).list_snapshots(found))  # type: ignore[attr-defined]
    rows = {item.key: ctx.catalog.get("snapshot", item.key) for item in seen}
    return {item.name: item.with_(labels=row.document["labels"]) if (row := rows[item.key]) else item for item in seen}


def _named(kept: Mapping[str, Snapshot], name: str, found: Vm) -> Snapshot:
    if name not in kept:
        raise not_found("snapshot", name, kept, f"cms vm snapshot list {found.name}")
    return kept[name]


def _each(ctx: Context, deed: str, found: Vm, kept: Sequence[Snapshot], **params: Any) -> Plan:
    steps = [
        step
        for snapshot in kept
        for step in change.steps(f"vm.snapshot.{deed}", [found], snapshot=snapshot.name, **params)
    ]
    word = {"delete": "forget"}.get(deed, deed)
    summary = f"{word} {compress(snapshot.name for snapshot in kept)} of {found.name}"
    return Plan(verb=f"vm snapshot {deed}", summary=summary, steps=tuple(steps))


@action("vm.snapshot.create")
def _create(work: Work) -> Noun:
    cloud, found = change.load(work)
    name = work.step.params["snapshot"]
    made: Snapshot = cloud.create_snapshot(found, name)  # type: ignore[attr-defined]
    made = made.with_(fetched=work.ctx.clock.now(), labels=work.step.params.get("labels", {}))
    events = [event(work.ctx, work.step.action, found, f"kept as {name}", work.operation)]
    work.ctx.catalog.put("snapshot", {made.key: made.to_document()}, events=events)
    return made


@action("vm.snapshot.revert")
def _revert(work: Work) -> Noun:
    def call(cloud: Any, found: Vm) -> Vm:
        change.check_still(cloud, found, "reverted")
        return cloud.revert_snapshot(found, work.step.params["snapshot"])  # type: ignore[no-any-return]

    done = change.change(work, None, call)
    lease.tell_again(work.ctx, done)
    return done


@action("vm.snapshot.label")
def _label(work: Work) -> Noun:
    _cloud, found = change.load(work)
    kept = _named(_of(work.ctx, found), work.step.params["snapshot"], found)
    kept = kept.with_(labels=changed(kept.labels, work.step.params), fetched=work.ctx.clock.now())
    events = [event(work.ctx, work.step.action, found, f"{kept.name} labelled", work.operation)]
    work.ctx.catalog.put("snapshot", {kept.key: kept.to_document()}, events=events)
    return kept


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
