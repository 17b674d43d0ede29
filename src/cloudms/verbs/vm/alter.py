"""`cms vm rename`, `rebuild` and `clone`: another name, a fresh disk, or a twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cloudms import names as naming
from cloudms import ssh
from cloudms.clouds.base import CloneVm, Cloud, Rebuild, Rename
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, resized
from cloudms.engine import vms as change
from cloudms.engine.ceilings import cloning
from cloudms.engine.keys import identity
from cloudms.engine.making import check_wanted, undo, withdraw
from cloudms.engine.ready import wait_ready
from cloudms.engine.refresh import event, merged
from cloudms.engine.reserve import free_names, move, new_token, release, reserve
from cloudms.engine.select import vm
from cloudms.errors import CloudmsError, Exists, Invalid
from cloudms.model import Origin, Step, Vm, VmSpec, VmState
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import PutLabels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import OneVm

_COLUMNS = ("name", "cloud", "state", "reason", "image", "flavor")
_SETTLED = tuple(s for s in VmState if not s.transient and s not in (VmState.UNKNOWN, VmState.ERROR))


@verb("vm", "rename", changes=True, columns=_COLUMNS, example="cms vm rename web1 front1")
def rename(
    ctx: Context, name: OneVm, new_name: Annotated[str, Doc("name it gets")], *, cloud: CloudName = None
) -> Plan:
    """Give a VM another name."""
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Rename)
    naming.valid(new_name)
    if new_name != found.name and ctx.catalog.get("name", new_name) is not None:
        raise Exists(f"the name '{new_name}' is taken", hint=f"{free_names(ctx, new_name, 1)[0]} is free")
    steps = change.steps("vm.rename", [found], new_name=new_name)
    return Plan(verb="vm rename", summary=f"rename {found.name} to {new_name}", steps=steps)


@action("vm.rename")
def _rename(work: Work) -> Vm:
    ctx, new_name = work.ctx, work.step.params["new_name"]
    _cloud, vm_ = change.load(work)
    old_name = vm_.name
    if old_name == new_name:
        return vm_
    own = vm_.origin is not Origin.FOREIGN
    if own:
        move(ctx, old_name, new_name, vm_.token, cloud=vm_.cloud)
    try:
        done = change.change(work, None, lambda cloud, vm: cloud.rename_vm(vm, new_name), keep={"name": new_name})
    except CloudmsError:
        stored = ctx.catalog.get("vm", vm_.key)
        kept = stored.document["name"] if stored else old_name
        if own:
            release(ctx, old_name if kept == new_name else new_name, vm_.token)
        raise
    release(ctx, old_name, vm_.token)
    return done


@verb("vm", "rebuild", changes=True, columns=_COLUMNS, example="cms vm rebuild web1 debian")
def rebuild(
    ctx: Context,
    name: OneVm,
    image: Annotated[str | None, Doc("image it gets; its own again otherwise"), Names("image")] = None,
    *,
    cloud: CloudName = None,
) -> Plan:
    """Replace the disk of a VM by a fresh one; everything on it is lost, name and addresses stay."""
    found = vm(ctx, name, cloud=cloud or "")
    change.check(ctx, [found], Rebuild)
    change.check_unprotected([found], "rebuilt")
    change.check_ours([found], "rebuilt")
    resized.check_decided(found)
    chosen = image or found.image
    return Plan(
        verb="vm rebuild",
        summary=f"rebuild {found.name} from {chosen}",
        question=f"Replace the disk of {found.name}? Everything on it is lost.",
        steps=change.steps("vm.rebuild", [found], image=chosen),
    )


@action("vm.rebuild")
def _rebuild(work: Work) -> Vm:
    def call(cloud: Any, vm: Vm) -> Vm:
        change.check_still(cloud, vm, "rebuilt")
        ssh.unpin(vm)
        return cloud.rebuild_vm(vm, work.step.params["image"])  # type: ignore[no-any-return]

    return change.change(work, VmState.REBUILDING, call, _SETTLED, keep={"image": work.step.params["image"]})


@verb("vm", "clone", changes=True, columns=_COLUMNS, example="cms vm clone web1 --name web2")
def clone(
    ctx: Context,
    source: OneVm,
    *,
    name: Annotated[str | None, Doc("name of the new VM; the next free one otherwise")] = None,
    label: PutLabels = None,
    wait: Annotated[Literal["ready", "running", "none"] | None, Doc("what to wait for")] = None,
    timeout: Annotated[float | None, Doc("seconds to wait at most")] = None,
    cloud: CloudName = None,
) -> Plan:
    """Make a new VM with the disk of another, and an identity of its own; it gets the labels of the other, too."""
    found = vm(ctx, source, cloud=cloud or "")
    change.check(ctx, [found], CloneVm)
    if name and ctx.catalog.get("name", naming.valid(name)) is not None:
        raise Exists(f"the name '{name}' is taken", hint=f"--name {free_names(ctx, name, 1)[0]} is free")
    params = {
        "source": found.key,
        "labels": naming.labels(label),
        "token": new_token(ctx),
        "exact": bool(name),
        "wait": wait or ctx.cloud_class(found.cloud).default_wait,
        "timeout": timeout,
    }
    target = name or free_names(ctx, found.name, 1)[0]
    step = Step(action="vm.clone", cloud=found.cloud, target=target, params=params)
    return Plan(verb="vm clone", summary=f"clone {found.name} as {target}", steps=(step,))


def _clone_intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    prepared = []
    for step in steps:
        twin_row = ctx.catalog.get("vm", step.params["token"])
        if twin_row:
            prepared.append(step.with_(target=twin_row.document["name"]))
            continue
        stored = ctx.catalog.get("vm", step.params["source"])
        if stored is None:
            raise Invalid(f"the VM to clone is gone, so {step.target} cannot be made", hint="cms vm list")
        source = Vm.from_document(stored.document)
        token, now = step.params["token"], ctx.clock.now()
        name = reserve(ctx, step.target, token, cloud=step.cloud, exact=step.params["exact"])
        twin = Vm(
            name=name, cloud=step.cloud, token=token, state=VmState.PENDING, reason=f"clone of {source.name}",
            since=now, created=now, fetched=now, image=source.image, flavor=source.flavor, group=source.group,
            labels={**source.labels, **step.params.get("labels", {})}, owner=ctx.owner, expires=source.expires,
            login=source.login, price_per_hour=source.price_per_hour,
            ssh_key=source.ssh_key or identity(ctx).private_path,
        )  # fmt: skip
        ctx.catalog.put("vm", {token: twin.to_document()}, events=[event(ctx, "vm.clone", twin, twin.reason)])
        prepared.append(step.with_(target=name))
    return prepared


@action("vm.clone", prepare=_clone_intents, withdraw=withdraw, demand=cloning)
def _clone(work: Work) -> Vm:
    ctx, params = work.ctx, work.step.params
    source, twin = ctx.catalog.get("vm", params["source"]), ctx.catalog.get("vm", params["token"])
    if source is None or twin is None:
        raise Invalid(f"{work.step.target} or the VM it clones was deleted meanwhile", hint="cms vm list")
    cloud: Cloud = ctx.cloud(work.step.cloud)
    vm_ = Vm.from_document(twin.document)
    try:
        made = cloud.clone_vm(Vm.from_document(source.document), _clone_spec(ctx, vm_), work.report)  # type: ignore[attr-defined]
    except CloudmsError as error:
        undo(work, cloud, vm_, error)
        raise
    check_wanted(work, cloud, merged(vm_, made, ctx.clock.now()))
    vm_ = change.save(ctx, merged(vm_, made, ctx.clock.now()), "vm.clone", "created", work.operation)
    if params["wait"] == "ready":
        vm_ = wait_ready(work, cloud, vm_, params["timeout"])
    elif params["wait"] == "running":
        vm_ = change.wait_state(work, cloud, vm_, (VmState.RUNNING,), params["timeout"])
    return change.save(ctx, vm_, "vm.clone", params["wait"], work.operation)


def _clone_spec(ctx: Context, twin: Vm) -> VmSpec:
    chosen = identity(ctx)
    return VmSpec(
        name=twin.name, token=twin.token, image=twin.image, flavor=twin.flavor, owner=twin.owner,
        hostname=naming.hostname(twin.name), keys=chosen.public, key_name=chosen.name, labels=twin.labels,
        group=twin.group, expires=twin.expires,
    )  # fmt: skip
