"""Disks that outlive their VM: make, attach, detach and delete them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Volumes, require
from cloudms.context import Context, user
from cloudms.engine import Listing, Plan, Work, action, select
from cloudms.engine.browse import browse, chosen, one
from cloudms.engine.labels import changed, changes, expanded
from cloudms.engine.refresh import event, list_nouns
from cloudms.engine.reserve import new_token, release, reserve
from cloudms.errors import CloudmsError, Conflict, Exists, Invalid, NotFound, Timeout
from cloudms.model import Noun, Step, Vm, Volume
from cloudms.verb import Doc, Names, Short, verb
from cloudms.verbs.labels import Labels, PutLabels, RemoveLabels, SetLabels
from cloudms.verbs.vm.look import Cached, CloudName, OneVm, Refresh

VolumeName = Annotated[str, Doc("name or id of the volume"), Names("volume")]
VolumeNames = Annotated[list[str], Doc("names, ids or host lists such as data[1-3]"), Names("volume")]
_LARGEST = 64 * 1024
"""GiB of the largest volume; more is more likely a slip of the finger."""


@verb("volume", "list", columns=Volume.columns, example="cms volume list --label project=genome")
def list_(
    ctx: Context, *, cloud: CloudName = None, label: Labels = None, cached: Cached = False, refresh: Refresh = False
) -> Listing:
    """List the volumes of all clouds, and the VM each is attached to."""
    return browse(
        ctx,
        "volume",
        _volumes_of,
        cloud=cloud or "",
        role=Volumes,
        cached=cached,
        refresh=refresh,
        find={"labels": label},
    )


def _volumes_of(opened: Volumes) -> list[Volume]:
    return list(opened.list_volumes())


@verb("volume", "create", changes=True, columns=Volume.columns, example="cms volume create data1 --size 10")
def create(
    ctx: Context,
    name: Annotated[str | None, Doc("name of the volume; yours with the next free number otherwise")] = None,
    *,
    size: Annotated[int, Doc("its size in GiB"), Short("s")] = 1,
    cloud: Annotated[str | None, Doc("cloud to make it on; the default cloud otherwise"), Names("cloud")] = None,
    label: PutLabels = None,
) -> Plan:
    """Make an empty volume."""
    if not 1 <= size <= _LARGEST:
        raise Invalid(f"--size {size} is not a size from 1 to {_LARGEST} GiB", hint="for instance --size 10")
    where = ctx.default_cloud(cloud or "")
    require(ctx.cloud(where), Volumes)
    free = _free(ctx, where, name)
    params = {"size_gib": size, "labels": naming.labels(label), "token": new_token(ctx)}
    return Plan(
        verb="volume create",
        summary=f"make the volume {free} of {size} GiB on {where}",
        steps=(Step(action="volume.create", cloud=where, target=free, params=params),),
    )


def _free(ctx: Context, cloud: str, name: str | None) -> str:
    """Return `name` when it is free, or the next free one. Raises: Exists, and the error of a cloud that is silent."""
    listing = list_nouns(ctx, "volume", [cloud], _volumes_of, fresh=True)
    for error in listing.failed.values():
        ctx.warn(f"cloud '{cloud}' did not list its volumes: {error['message']}")
    taken = {str(row.document["name"]) for row in ctx.catalog.find("volume")}
    if not name:
        return naming.series(f"{naming.hostname(user())}-volume-1", 1, taken.__contains__)[0]
    if naming.valid(name) in taken:
        free = naming.series(name, 1, taken.__contains__)[0]
        raise Exists(f"the name '{name}' is taken by a volume", hint=f"{free} is free; cms volume list shows them")
    return name


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Reserve the name and write the row before the call."""
    for step in steps:
        token = step.params["token"]
        if ctx.catalog.get("volume", token):
            continue
        reserve(ctx, step.target, token, cloud=step.cloud, exact=True, kind="volume")
        volume = Volume(
            name=step.target,
            cloud=step.cloud,
            token=token,
            labels=step.params["labels"],
            size_gib=step.params["size_gib"],
            state="creating",
            owner=ctx.owner,
            created=ctx.clock.now(),
            fetched=ctx.clock.now(),
        )
        _save(ctx, volume, "volume.create", f"asked for, {volume.size_gib} GiB")
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    _forget(ctx, Volume(name=step.target, cloud=step.cloud, token=step.params["token"]), "volume.create", "not begun")


@action("volume.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Noun:
    """Create the volume of a step, or find the one an earlier attempt created."""
    ctx, step = work.ctx, work.step
    token = step.params["token"]
    cloud: Any = ctx.cloud(step.cloud)
    work.report("creating")
    try:
        made: Volume = cloud.create_volume(step.target, step.params["size_gib"], token, step.params["labels"])
    except CloudmsError as error:
        if not error.retryable and not isinstance(error, Timeout):
            asked = Volume(name=step.target, cloud=step.cloud, token=token)
            _forget(ctx, asked, "volume.create", f"failed: {error.message}", work.operation)
        raise
    return _save(ctx, made.with_(token=token), "volume.create", f"created, {made.state}", work.operation)


def _save(ctx: Context, volume: Volume, deed: str, text: str, operation: str = "") -> Volume:
    """Store a volume's row together with the event that changed it."""
    volume = volume.with_(fetched=ctx.clock.now())
    ctx.catalog.put("volume", {volume.key: volume.to_document()}, events=[event(ctx, deed, volume, text, operation)])
    return volume


def _forget(ctx: Context, volume: Volume, deed: str, text: str, operation: str = "") -> None:
    ctx.catalog.delete("volume", [volume.key], events=[event(ctx, deed, volume, text, operation)])
    release(ctx, volume.name, volume.token, kind="volume")


@verb("volume", "attach", changes=True, columns=Volume.columns, example="cms volume attach data1 web1")
def attach(ctx: Context, name: VolumeName, vm: OneVm, *, cloud: CloudName = None) -> Plan:
    """Attach a volume to a VM; the result says as which device."""
    volume = _one(ctx, name, cloud)
    holder = select.vm(ctx, vm, cloud=cloud or "")
    if holder.cloud != volume.cloud:
        raise Invalid(
            f"{volume.name} is on {volume.cloud} and {holder.name} on {holder.cloud}",
            hint=f"cms volume create --cloud {holder.cloud}",
        )
    require(ctx.cloud(volume.cloud), Volumes, holder)
    if volume.vm not in ("", holder.name):
        volume = _current(ctx, volume)
    if volume.vm not in ("", holder.name):
        raise Conflict(f"{volume.name} is attached to {volume.vm}", hint=f"cms volume detach {volume.name}")
    return Plan(
        verb="volume attach",
        summary=f"attach {volume.name} to {holder.name}",
        steps=_steps("volume.attach", [volume], vm=holder.key),
    )


@action("volume.attach")
def _attach(work: Work) -> Noun:
    stored = work.ctx.catalog.get("vm", work.step.params["vm"])
    if stored is None:
        raise NotFound("the VM is gone", hint="cms vm list")
    holder = Vm.from_document(stored.document)
    cloud, volume = _load(work)
    attached: Volume = cloud.attach_volume(volume, holder)
    return _changed(work, volume, attached, f"attached to {holder.name} as {attached.device or 'a disk'}")


@verb("volume", "detach", changes=True, columns=Volume.columns, example="cms volume detach data1")
def detach(
    ctx: Context,
    names: VolumeNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Detach volumes from their VMs; unmount them there first. Already detached is success."""
    volumes = _chosen(ctx, names, cloud, label)
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(verb="volume detach", summary=f"detach {shown}", steps=_steps("volume.detach", volumes))


@action("volume.detach")
def _detach(work: Work) -> Noun:
    cloud, volume = _load(work)
    return _changed(work, volume, cloud.detach_volume(volume), "detached")


@verb("volume", "delete", changes=True, columns=("name", "cloud", "state"), example="cms volume delete data1 --yes")
def delete(
    ctx: Context,
    names: VolumeNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    missing_ok: Annotated[bool, Doc("succeed when a volume of that name does not exist")] = False,
) -> Plan:
    """Delete volumes with what is on them; one that is attached is refused."""
    wanted = [name for name in expanded(names) if not missing_ok or _exists(ctx, name, cloud)]
    try:
        found = _chosen(ctx, wanted, cloud, label) if wanted or not names else []
    except NotFound:
        if not missing_ok:
            raise
        found = []
    volumes = [_current(ctx, volume) if volume.vm or not volume.id else volume for volume in found]
    for volume in volumes:
        if volume.vm:
            raise Conflict(f"{volume.name} is attached to {volume.vm}", hint=f"cms volume detach {volume.name}")
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(
        verb="volume delete",
        summary=f"delete {shown}" if volumes else "nothing to delete",
        question=f"Delete {shown} with all that is on it, for good?" if volumes else "",
        steps=_steps("volume.delete", volumes),
    )


@action("volume.delete")
def _delete(work: Work) -> Noun:
    stored = work.ctx.catalog.get("volume", work.step.params["key"])
    if stored is None:
        return Volume(name=work.step.target, cloud=work.step.cloud, state="deleted")
    volume = Volume.from_document(stored.document)
    cloud: Any = work.ctx.cloud(volume.cloud)
    if volume.id:
        cloud.delete_volume(volume)
    _forget(work.ctx, volume, "volume.delete", "deleted", work.operation)
    return volume.with_(state="deleted")


@verb("volume", "label", changes=True, columns=("name", "cloud", "labels"), example="cms volume label data1 --set a=b")
def label_(
    ctx: Context,
    names: VolumeNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of volumes."""
    params = changes(set, remove)
    volumes = _chosen(ctx, names, cloud, label)
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(verb="volume label", summary=f"label {shown}", steps=_steps("volume.label", volumes, **params))


@action("volume.label")
def _label(work: Work) -> Noun:
    cloud, volume = _load(work)
    wanted = volume.with_(labels=changed(volume.labels, work.step.params))
    return _changed(work, volume, cloud.tag_volume(wanted), "labelled")


def _chosen(ctx: Context, names: Sequence[str], cloud: str | None, label: Mapping[str, str] | None) -> list[Volume]:
    """Return the volumes of these names or labels. Raises: Invalid, NotFound, Conflict, Unsupported."""
    found = chosen(ctx, "volume", names, label, _volumes_of, cloud=cloud or "", role=Volumes)
    volumes = [Volume.from_document(noun.to_document()) for noun in found]
    for volume in volumes:
        require(ctx.cloud(volume.cloud), Volumes)
    return volumes


def _one(ctx: Context, name: str, cloud: str | None) -> Volume:
    """Return the one volume of that name or id. Raises: NotFound, Conflict, Unsupported."""
    found = one(ctx, "volume", name, _volumes_of, cloud=cloud or "", role=Volumes)
    return Volume.from_document(found.to_document())


def _exists(ctx: Context, name: str, cloud: str | None) -> bool:
    try:
        return bool(_one(ctx, name, cloud))
    except NotFound:
        return False


def _current(ctx: Context, volume: Volume) -> Volume:
    """Return what its cloud says of a volume now, or the record when it does not answer."""
    list_nouns(ctx, "volume", [volume.cloud], _volumes_of, fresh=True)
    stored = ctx.catalog.get("volume", volume.key)
    return Volume.from_document(stored.document) if stored else volume.with_(vm="")


def _steps(name: str, volumes: Sequence[Volume], **params: Any) -> tuple[Step, ...]:
    return tuple(
        Step(action=name, cloud=volume.cloud, target=volume.name, params={"key": volume.key, **params})
        for volume in volumes
    )


def _load(work: Work) -> tuple[Any, Volume]:
    """Return the cloud and the volume of a step. Raises: NotFound."""
    stored = work.ctx.catalog.get("volume", work.step.params["key"])
    if stored is None:
        raise NotFound(f"{work.step.target} is gone", hint="cms volume list")
    return work.ctx.cloud(work.step.cloud), Volume.from_document(stored.document)


def _changed(work: Work, before: Volume, after: Volume, text: str) -> Volume:
    """Store what the cloud says of a volume that was changed, under the key it has."""
    return _save(work.ctx, after.with_(token=before.token), work.step.action, text, work.operation)
