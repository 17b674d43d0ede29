"""`cms volume create`: an empty volume, or one with what a snapshot has kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Locations, Volumes, VolumeSnapshots, require
from cloudms.context import Context, user
from cloudms.engine import Plan, Work, action, things
from cloudms.engine.refresh import list_nouns
from cloudms.engine.reserve import new_token
from cloudms.errors import Exists, Invalid, NotFound
from cloudms.model import Noun, Step, Volume, VolumeSnapshot
from cloudms.verb import Doc, Names, Short, verb
from cloudms.verbs.labels import PutLabels
from cloudms.verbs.volume.look import costs, volumes_of
from cloudms.verbs.volume.snapshot import one_snapshot

LARGEST = 64 * 1024
"""GiB of the largest volume; more is more likely a slip of the finger."""


@verb("volume", "create", changes=True, columns=Volume.columns, example="cms volume create data1 --size 10")
def create(
    ctx: Context,
    name: Annotated[str | None, Doc("name of the volume; yours with the next free number otherwise")] = None,
    *,
    size: Annotated[int | None, Doc("its size in GiB; 1 otherwise"), Short("s")] = None,
    snapshot: Annotated[
        str | None, Doc("snapshot whose contents and size it gets (cms volume snapshot list)"), Names("volume_snapshot")
    ] = None,
    cloud: Annotated[str | None, Doc("cloud to make it on; the default cloud otherwise"), Names("cloud")] = None,
    region: Annotated[
        str | None, Doc("region or zone to make it in, that of the VM it is for (cms location list)"), Names("location")
    ] = None,
    label: PutLabels = None,
) -> Plan:
    """Make an empty volume, or one with what a snapshot has kept."""
    kept = one_snapshot(ctx, snapshot, cloud) if snapshot else None
    gib = checked(size, kept)
    where = kept.cloud if kept else ctx.default_cloud(cloud or "")
    things.able(ctx, where, VolumeSnapshots if kept else Volumes)
    if region:
        require(ctx.cloud(where), Locations)
    free = _free(ctx, where, name)
    params: dict[str, Any] = {"size_gib": gib, "labels": naming.labels(label), "token": new_token(ctx)}
    params |= {"region": region or "", "snapshot": kept.key if kept else ""}
    what = f"of {kept.name}" if kept else f"of {gib} GiB"
    return Plan(
        verb="volume create",
        summary=f"make the volume {free} {what} on {where}",
        notes=costs(ctx, where, "volume", gib, region or ""),
        steps=(Step(action="volume.create", cloud=where, target=free, params=params),),
    )


def checked(size: int | None, kept: VolumeSnapshot | None) -> int:
    """Return the GiB of a new volume. Raises: Invalid."""
    if kept is not None:
        if size not in (None, kept.size_gib):
            raise Invalid(
                f"a volume made of {kept.name} has its {kept.size_gib} GiB", hint="cms volume resize makes it larger"
            )
        return kept.size_gib
    if size is not None and not 1 <= size <= LARGEST:
        raise Invalid(f"--size {size} is not a size from 1 to {LARGEST} GiB", hint="for instance --size 10")
    return size or 1


def _free(ctx: Context, cloud: str, name: str | None) -> str:
    """Return `name` when it is free, or the next free one. Raises: Exists, and the error of a cloud that is silent."""
    listing = list_nouns(ctx, "volume", [cloud], volumes_of, fresh=True)
    for error in listing.failed.values():
        ctx.warn(f"cloud '{cloud}' did not list its volumes: {error['message']}")
    taken = {str(row.document["name"]) for row in ctx.catalog.find("volume")}
    if not name:
        return naming.series(f"{naming.hostname(user())}-volume-1", 1, taken.__contains__)[0]
    if naming.valid(name) in taken:
        free = naming.series(name, 1, taken.__contains__)[0]
        raise Exists(f"the name '{name}' is taken by a volume", hint=f"{free} is free; cms volume list shows them")
    return name


def _asked(ctx: Context, step: Step) -> Volume:
    """Return the row of a volume that is being asked for."""
    now = ctx.clock.now()
    return Volume(
        name=step.target, cloud=step.cloud, token=step.params["token"], labels=step.params["labels"],
        size_gib=step.params["size_gib"], state="creating", owner=ctx.owner, created=now, fetched=now,
    )  # fmt: skip


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    for step in steps:
        things.ask(ctx, _asked(ctx, step), "volume.create", f"asked for, {step.params['size_gib']} GiB")
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    things.forget(ctx, _asked(ctx, step), "volume.create", "not begun")


@action("volume.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Noun:
    """Create the volume of a step, or find the one an earlier attempt created."""
    name, params = work.step.target, work.step.params
    token, labels, region = params["token"], params["labels"], params.get("region", "")

    def call(cloud: Any) -> Volume:
        work.report("creating")
        if not params.get("snapshot"):
            made: Volume = cloud.create_volume(name, params["size_gib"], token, labels, region)
            return made
        stored = work.ctx.catalog.get("volume_snapshot", params["snapshot"])
        if stored is None:
            raise NotFound("the snapshot is gone", hint="cms volume snapshot list")
        kept = VolumeSnapshot.from_document(stored.document)
        restored: Volume = cloud.restore_volume(kept, name, token, labels, region)
        return restored

    return things.made(work, _asked(work.ctx, work.step), call, lambda made: f"created, {made.state}")
