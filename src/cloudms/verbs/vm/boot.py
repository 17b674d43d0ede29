"""`cms vm boot`: from an image to a VM that lets you in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cloudms import names
from cloudms.clouds.base import Cloud, ImageStore
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, userdata
from cloudms.engine.keys import identity
from cloudms.engine.ready import wait_ready
from cloudms.engine.refresh import event, merged
from cloudms.engine.reserve import default_name, free_names, new_token, next_names, release, reserve
from cloudms.engine.vms import save, wait_state
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, MissingExtra, Timeout
from cloudms.model import Step, Vm, VmSpec, VmState
from cloudms.units import duration
from cloudms.verb import Doc, File, Names, Short, verb
from cloudms.verbs.labels import PutLabels
from cloudms.verbs.version import is_installed

_MOST = 1000
"""VMs in one boot; more is more likely a slip of the finger."""


@verb(
    "vm",
    "boot",
    changes=True,
    aliases=["create"],
    example="cms vm boot micro --name web --count 3",
    columns=["name", "cloud", "state", "image", "flavor", "public_ips", "login", "expires"],
)
def boot(
    ctx: Context,
    image: Annotated[str | None, Doc("image to boot from; the cloud's default image otherwise"), Names("image")] = None,
    *,
    name: Annotated[str | None, Doc("name, or base of the names when --count is given"), Short("n")] = None,
    count: Annotated[int, Doc("how many VMs")] = 1,
    cloud: Annotated[str | None, Doc("cloud to boot on; the default cloud otherwise"), Names("cloud")] = None,
    flavor: Annotated[str | None, Doc("size of the VM (cms flavor list)"), Names("flavor")] = None,
    key: Annotated[
        str | None, Doc("key that is let in; cloudms' own and your usual ones otherwise"), Names("key")
    ] = None,
    label: PutLabels = None,
    group: Annotated[str | None, Doc("group it belongs to")] = None,
    disk: Annotated[int | None, Doc("size of its disk in GiB, at least the image's")] = None,
    network: Annotated[str | None, Doc("network it joins (cloud-specific; 'private' on libvirt)")] = None,
    user_data: Annotated[
        Path | None, Doc("file with cloud-init user data or a script for the first boot"), File()
    ] = None,
    ttl: Annotated[str | None, Doc("lease after which it is swept, such as 8h or 2d, or never")] = None,
    wait: Annotated[Literal["ready", "running", "none"] | None, Doc("what to wait for")] = None,
    timeout: Annotated[float | None, Doc("seconds to wait at most")] = None,
) -> Plan:
    """Boot one or more VMs.

    A base name that is taken is incremented (web, web-1 …); a single `--name` that is taken is refused. By default the
    command waits until SSH lets you in and the first boot has finished (`ready`) on libvirt, until `running` elsewhere.
    """
    if not 1 <= count <= _MOST:
        raise Invalid(f"--count {count} is not between 1 and {_MOST}", hint="boot several times for more")
    if timeout is not None and timeout < 0:
        raise Invalid(f"--timeout {timeout:g} is not a number of seconds", hint="0 looks once, 600 waits ten minutes")
    if disk is not None and disk < 1:
        raise Invalid(f"--disk {disk} is not a size in GiB", hint="for instance --disk 20")
    where = ctx.default_cloud(cloud or "")
    settings = ctx.config.cloud(where)
    cls = ctx.cloud_class(where)
    if not is_installed(cls.extra):
        raise MissingExtra(cls.extra, why=f"booting on cloud '{where}'")
    chosen = image or settings.default.get("image")
    if not chosen:
        raise Invalid(f"cloud '{where}' has no default image", hint=f"cms image list --cloud {where}, then name one")
    base = ctx.base_name or settings.default.get("name")
    identity_name = key or str(settings.default.get("key") or "")
    lease = duration(ttl or settings.default.get("ttl") or ("24h" if cls.costs_money else "never"))
    params = {
        "image": str(chosen),
        "flavor": str(flavor or settings.default.get("flavor") or settings.default.get("size") or cls.default_flavor),
        "key": identity_name,
        "labels": names.labels(label),
        "group": group or "",
        "disk_gib": disk or 0,
        "network": network or str(settings.default.get("network") or ""),
        "user_data": _readable(user_data),
        "lease": lease,
        "wait": wait or settings.default.get("wait") or cls.default_wait,
        "timeout": timeout,
        "exact": bool(name) and count == 1,
        "by_default": not (name or base),
    }
    identity(ctx, identity_name)  # an unknown key is refused before anything is planned
    steps = tuple(
        Step(action="vm.boot", cloud=where, target=chosen_name, params={**params, "token": new_token(ctx)})
        for chosen_name in _names(ctx, where, name, base, count)
    )
    what = f"{count} VMs" if count > 1 else "1 VM"
    notes = (
        (f"the lease ends in {ttl or settings.default.get('ttl') or '24h'}; --ttl never boots without one",)
        if lease
        else ()
    )
    return Plan(verb="vm boot", summary=f"boot {what} of {chosen} on {where}", steps=steps, notes=notes)


def _names(ctx: Context, cloud: str, name: str | None, base: object, count: int) -> list[str]:
    if name and count == 1:
        if ctx.catalog.get("name", names.valid(name)) is not None:
            free = free_names(ctx, name, 1)[0]
            raise Exists(f"the name '{name}' is taken", hint=f"--name {free} is free")
        return [name]
    if name or base:
        return free_names(ctx, names.valid(name or str(base)), count)
    return next_names(ctx, cloud, count)


def _readable(user_data: Path | None) -> str:
    """Return the absolute path of user data that can be read; plans and catalog hold only its path. Raises: Invalid."""
    if user_data is None:
        return ""
    try:
        user_data.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Invalid(f"cannot read {user_data}: {reason}", hint="--user-data takes a file") from None
    return str(user_data.absolute())


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Reserve every name and write every VM's row before the first call; a row that is there is kept."""
    private = {key: identity(ctx, key).private_path for key in {step.params["key"] for step in steps}}
    asked: list[Vm] = []
    prepared = []
    try:
        for step in steps:
            stored = ctx.catalog.get("vm", step.params["token"])
            if stored is None:
                asked.append(_asked(ctx, step, private[step.params["key"]]))
            prepared.append(step.with_(target=stored.document["name"] if stored else asked[-1].name))
    except CloudmsError:
        for vm in asked:
            release(ctx, vm.name, vm.token)
        raise
    for step in prepared:
        if step.params["user_data"]:
            userdata.keep(step.params["token"], Path(step.params["user_data"]))
    events = [event(ctx, "vm.boot", vm, f"asked for, from {vm.image}") for vm in asked]
    ctx.catalog.put("vm", {vm.key: vm.to_document() for vm in asked}, events=events)
    return prepared


def _asked(ctx: Context, step: Step, private_key: str) -> Vm:
    """Reserve a name and return the VM as it is before its cloud has heard of it. Raises: Exists."""
    params, now = step.params, ctx.clock.now()
    wanted = default_name(ctx, step.cloud) if params["by_default"] else step.target
    return Vm(
        name=reserve(ctx, wanted, params["token"], cloud=step.cloud, exact=params["exact"]),
        cloud=step.cloud,
        token=params["token"],
        state=VmState.PENDING,
        reason="asked for",
        since=now,
        created=now,
        fetched=now,
        image=params["image"],
        flavor=params["flavor"],
        group=params["group"],
        labels=params["labels"],
        owner=ctx.owner,
        expires=now + params["lease"] if params["lease"] else None,
        ssh_key=private_key,
    )


def withdraw(ctx: Context, step: Step) -> None:
    """Forget the intent of a VM whose creation never began."""
    stored = ctx.catalog.get("vm", step.params["token"])
    if stored:
        vm = Vm.from_document(stored.document)
        userdata.drop(vm.token)
        ctx.catalog.delete("vm", [vm.key], events=[event(ctx, step.action, vm, "cancelled before it began")])
        release(ctx, vm.name, vm.token)


@action("vm.boot", prepare=_intents, withdraw=withdraw)
def _boot(work: Work) -> Vm:
    """Create the VM of a step, or find the one an earlier attempt created, and wait as asked."""
    ctx, params = work.ctx, work.step.params
    stored = ctx.catalog.get("vm", params["token"])
    if stored is None:
        raise Invalid(f"{work.step.target} was swept meanwhile", hint="boot it again")
    vm = Vm.from_document(stored.document)
    cloud = ctx.cloud(work.step.cloud)
    try:
        vm = _created(work, cloud, vm)
    except CloudmsError as error:
        undo(work, cloud, vm, error)
        raise
    check_wanted(work, cloud, vm)
    userdata.drop(vm.token)
    vm = save(ctx, vm, "vm.boot", f"created, {vm.state}", work.operation)
    return _wait(work, cloud, vm)


def _created(work: Work, cloud: Cloud, vm: Vm) -> Vm:
    _provide_image(work, cloud, vm.image)
    while True:
        work.report("creating")
        try:
            made = cloud.create_vm(_spec(work, vm), work.report)
            return merged(vm, made, work.ctx.clock.now())
        except Exists:
            if work.step.params["exact"]:
                raise
            vm = _next_name(work, vm)


def _spec(work: Work, vm: Vm) -> VmSpec:
    params = work.step.params
    chosen = identity(work.ctx, params["key"])
    return VmSpec(
        name=vm.name,
        token=vm.token,
        image=vm.image,
        flavor=vm.flavor,
        owner=vm.owner,
        hostname=names.hostname(vm.name),
        keys=chosen.public,
        key_name=chosen.name,
        labels=vm.labels,
        group=vm.group,
        disk_gib=params["disk_gib"],
        network=params["network"],
        user_data=userdata.kept(vm.token) if params["user_data"] else "",
        expires=vm.expires,
    )


def _next_name(work: Work, vm: Vm) -> Vm:
    """Take the next free name, because a VM that this catalog does not know has this one on the cloud."""
    name = reserve(work.ctx, free_names(work.ctx, vm.name, 1)[0], vm.token, cloud=vm.cloud, exact=False)
    renamed = save(work.ctx, vm.with_(name=name), "vm.boot", f"{vm.name} is taken on {vm.cloud}", work.operation)
    release(work.ctx, vm.name, vm.token)
    return renamed


def _provide_image(work: Work, cloud: Cloud, image: str) -> None:
    """Build an image that cloudms knows how to build when a cloud of this machine lacks it."""
    if not isinstance(cloud, ImageStore) or cloud.simulated:
        return
    from cloudms.images.store import ImageStore as Images

    if Images().find(image) is not None:
        return
    from cloudms.images import build

    if image in build.RECIPES:
        build.build(image, progress=lambda _done, _total, text: work.report(text))


def check_wanted(work: Work, cloud: Cloud, vm: Vm) -> None:
    """Delete a VM that has just been made when its record was deleted while it was in the making. Raises: Conflict."""
    if work.ctx.catalog.get("vm", vm.key) is not None:
        return
    cloud.delete_vm(vm)
    raise Conflict(f"{vm.name} was deleted while it was in the making", hint="boot it again if it is wanted")


def undo(work: Work, cloud: Cloud, vm: Vm, error: CloudmsError) -> None:
    """After a failed creation, forget the intent, unless the cloud may have made something of it."""
    ctx = work.ctx
    try:
        made = cloud.get_vm(vm)
    except CloudmsError as answer:
        if answer.code == "not_found" and not error.retryable and not isinstance(error, Timeout):
            ctx.catalog.delete("vm", [vm.key], events=[event(ctx, "vm.boot", vm, f"failed: {error.message}")])
            release(ctx, vm.name, vm.token)
            userdata.drop(vm.token)
            return
        save(ctx, vm.with_(reason=error.message), "vm.boot", f"failed: {error.message}", work.operation)
        return
    save(ctx, merged(vm, made, ctx.clock.now()), "vm.boot", f"created, then: {error.message}", work.operation)


def _wait(work: Work, cloud: Cloud, vm: Vm) -> Vm:
    wanted, timeout = work.step.params["wait"], work.step.params["timeout"]
    if wanted == "none":
        return vm
    if wanted == "running":
        waited = wait_state(work, cloud, vm, (VmState.RUNNING,), timeout)
    else:
        waited = wait_ready(work, cloud, vm, timeout)
    return save(work.ctx, waited, "vm.boot", wanted, work.operation)
