"""Making VMs: names and rows before the first call, the call, and what is left when it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cloudms import names
from cloudms.clouds.base import Cloud, ImageStore
from cloudms.context import Context
from cloudms.engine import userdata
from cloudms.engine.keys import Identity, identity
from cloudms.engine.lacking import builds
from cloudms.engine.plan import Demand, Work
from cloudms.engine.refresh import event, merged
from cloudms.engine.reserve import default_names, free_names, release, release_all, release_many, reserve, reserve_many
from cloudms.engine.vms import save
from cloudms.errors import CloudmsError, Conflict, Exists, Timeout
from cloudms.model import Step, Vm, VmSpec, VmState


def intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Reserve every name and write every VM's row before the first call; a row that is there is kept.

    A VM whose row was deleted while its boot lay interrupted is not asked for again. Raises: Exists.
    """
    rows = {step.params["token"]: ctx.catalog.get("vm", step.params["token"]) for step in steps}
    fresh = [step for step in steps if rows[step.params["token"]] is None and not _given_up(step)]
    try:
        held = _reserved(ctx, fresh)
        private = {key: identity(ctx, key).private_path for key in {step.params["key"] for step in fresh}}
        asked = {token: _asked(ctx, step, held[token], private) for step in fresh for token in [step.params["token"]]}
        for step in fresh:
            if step.params["user_data"]:
                userdata.keep(step.params["token"], Path(step.params["user_data"]))
    except BaseException:  # Ctrl-C comes while names are written or a key is made, too
        release_all(ctx, {step.params["token"] for step in fresh})
        raise
    events = [event(ctx, "vm.boot", vm, f"asked for, from {vm.image}") for vm in asked.values()]
    ctx.catalog.put("vm", {token: vm.to_document() for token, vm in asked.items()}, events=events)
    known = {token: row.document["name"] for token, row in rows.items() if row} | held
    return [
        step.with_(target=known.get(step.params["token"], step.target), params={**step.params, "asked": True})
        for step in steps
    ]


def demand(ctx: Context, step: Step) -> Demand:
    """Return what a VM adds that has no row yet."""
    if _given_up(step) or ctx.catalog.get("vm", step.params["token"]) is not None:
        return Demand()
    price = step.params.get("price")
    return Demand(vms=1, price=price if ctx.cloud_class(step.cloud).costs_money else 0.0)


def _given_up(step: Step) -> bool:
    """Whether a step without a row was written down before: somebody has deleted it since, or is just about to end it.

    One that failed or was cancelled in order gave its row back itself.
    """
    return bool(step.params.get("asked")) and step.state in ("waiting", "running")


def _reserved(ctx: Context, steps: Sequence[Step]) -> dict[str, str]:
    """Reserve the names of steps and return them by token. Raises: Exists."""
    wanted = {step.params["token"]: step.target for step in steps}
    by_default = {step.params["token"]: step.cloud for step in steps if step.params["by_default"]}
    if by_default:
        wanted.update(zip(by_default, default_names(ctx, list(by_default.values()), use=True), strict=True))
    exact = [step for step in steps if step.params["exact"]]
    held = {
        token: reserve(ctx, wanted.pop(token), token, cloud=step.cloud, exact=True)
        for step in exact
        for token in [step.params["token"]]
    }
    clouds = {step.params["token"]: step.cloud for step in steps}
    return held | (reserve_many(ctx, wanted, clouds=clouds) if wanted else {})


def _asked(ctx: Context, step: Step, name: str, private: Mapping[str, str]) -> Vm:
    """Return the VM as it is before its cloud has heard of it."""
    params, now = step.params, ctx.clock.now()
    return Vm(
        name=name,
        cloud=step.cloud,
        region=params.get("region", ""),
        token=params["token"],
        state=VmState.PENDING,
        reason="asked for",
        since=now,
        created=now,
        fetched=now,
        image=params["image"],
        flavor=params["flavor"],
        group=params["group"],
        booted_for=params["group"],
        labels=params["labels"],
        owner=ctx.owner,
        expires=now + params["lease"] if params["lease"] else None,
        ttl=params["lease"] or None,
        ssh_key=private[params["key"]],
        price_per_hour=params.get("price"),
    )


def withdraw(ctx: Context, step: Step) -> None:
    """Forget the intent of a VM whose creation never began."""
    stored = ctx.catalog.get("vm", step.params["token"])
    if stored:
        drop(ctx, [Vm.from_document(stored.document)], step.action, "cancelled before it began")


def drop(ctx: Context, vms: Sequence[Vm], action: str, text: str) -> None:
    """Forget intents with their names."""
    ctx.catalog.delete("vm", [vm.key for vm in vms], events=[event(ctx, action, vm, text) for vm in vms])
    release_many(ctx, {vm.token: vm.name for vm in vms})
    for vm in vms:
        userdata.drop(vm.token)


def created(work: Work, cloud: Cloud, vm: Vm) -> Vm:
    """Create the VM of a step, or find the one an earlier attempt created, and record it. Raises: what the cloud does.

    An intent of which nothing has come is forgotten.
    """
    try:
        vm = _create(work, cloud, vm)
    except CloudmsError as error:
        undo(work, cloud, vm, error)
        raise
    check_wanted(work, cloud, vm)
    saved = save(work.ctx, vm, "vm.boot", f"created, {vm.state}", work.operation)
    userdata.drop(vm.token)  # last: a resume that does not know of the VM yet needs them
    return saved


def _create(work: Work, cloud: Cloud, vm: Vm) -> Vm:
    provide_image(work, cloud, vm.image)
    chosen = identity(work.ctx, work.step.params["key"])
    while True:
        work.report("creating")
        try:
            made = cloud.create_vm(spec(work.step, vm, chosen, first_boot(work.step, vm)), work.report)
            return merged(vm, made, work.ctx.clock.now())
        except Exists:
            if work.step.params["exact"]:
                raise
            vm = _next_name(work, vm)


def first_boot(step: Step, vm: Vm) -> str:
    """Return the first-boot data of a VM in the making; one that was created needs none again. Raises: Invalid."""
    return userdata.kept(vm.token) if step.params["user_data"] and not vm.id else ""


def spec(step: Step, vm: Vm, chosen: Identity, user_data: str) -> VmSpec:
    """Return what is asked of the cloud."""
    params = step.params
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
        user_data=user_data,
        region=params.get("region", ""),
        expires=vm.expires,
        options=params.get("options", {}),
    )


def _next_name(work: Work, vm: Vm) -> Vm:
    """Take the next free name, because a VM that this catalog does not know has this one on the cloud."""
    name = reserve(work.ctx, free_names(work.ctx, vm.name, 1)[0], vm.token, cloud=vm.cloud, exact=False)
    renamed = save(work.ctx, vm.with_(name=name), "vm.boot", f"{vm.name} is taken on {vm.cloud}", work.operation)
    release(work.ctx, vm.name, vm.token)
    return renamed


def provide_image(work: Work, cloud: Cloud, image: str) -> None:
    """Build an image that cloudms knows how to build when a cloud of this machine lacks it."""
    if not isinstance(cloud, ImageStore) or cloud.simulated:
        return
    from cloudms.images.store import ImageStore as Images

    if Images().find(image) is None and builds(cloud, image):
        from cloudms.images import build

        build.build(image, progress=lambda _done, _total, text: work.report(text))


def check_wanted(work: Work, cloud: Cloud, vm: Vm) -> None:
    """Delete a VM that has just been made when its record was deleted while it was in the making. Raises: Conflict."""
    if work.ctx.catalog.get("vm", vm.key) is not None:
        return
    cloud.delete_vm(vm)
    raise unwanted(vm.name)


def unwanted(name: str) -> Conflict:
    """Return the error of a VM whose record was deleted while it was in the making."""
    return Conflict(f"{name} was deleted while it was in the making", hint="boot it again if it is wanted")


def undo(work: Work, cloud: Cloud, vm: Vm, error: CloudmsError) -> None:
    """After a failed creation, forget the intent, unless the cloud may have made something of it."""
    ctx = work.ctx
    try:
        made = cloud.get_vm(vm)
    except CloudmsError as answer:
        if answer.code == "not_found" and is_final(error):
            drop(ctx, [vm], "vm.boot", f"failed: {error.message}")
            return
        save(ctx, vm.with_(reason=error.message), "vm.boot", f"failed: {error.message}", work.operation)
        return
    save(ctx, merged(vm, made, ctx.clock.now()), "vm.boot", f"created, then: {error.message}", work.operation)


def is_final(error: CloudmsError) -> bool:
    """Whether the cloud has refused, so that nothing can still come of the request."""
    return not error.retryable and not isinstance(error, Timeout)
