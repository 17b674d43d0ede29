"""`cms volume snapshot create|list|delete`: what is on a volume at a time, kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from cloudms import names as naming
from cloudms.clouds.base import VolumeSnapshots
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action, things
from cloudms.engine.browse import browse, chosen, one, warn
from cloudms.engine.labels import expanded
from cloudms.engine.rates import priced
from cloudms.engine.reserve import new_token
from cloudms.errors import Exists, NotFound, NotReady
from cloudms.model import Noun, Step, Volume, VolumeSnapshot
from cloudms.verb import Doc, Names, Short, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh
from cloudms.verbs.volume.look import VolumeName, costs, one_volume

_KIND = "volume_snapshot"
SnapshotNames = Annotated[list[str], Doc("names, ids or host lists such as data1-snap-[1-3]"), Names(_KIND)]


@verb("volume", "snapshot", "create", changes=True, columns=VolumeSnapshot.columns,
      example="cms volume snapshot create data1 --name before")  # fmt: skip
def create(
    ctx: Context,
    volume: VolumeName,
    *,
    name: Annotated[str | None, Doc("name of the snapshot; VOLUME-snap-N otherwise"), Short("n")] = None,
    cloud: CloudName = None,
) -> Plan:
    """Keep what is on a volume now; volumes are made of it with `volume create --snapshot`.

    What a running guest has not written yet is not kept: unmount the volume there first, or let it be synchronized.
    """
    found = one_volume(ctx, volume, cloud)
    things.able(ctx, found.cloud, VolumeSnapshots)
    if not found.id:
        raise NotReady(f"volume '{found.name}' is still being made", hint="cms volume list --refresh")
    free = _free(ctx, found, name)
    params = {"token": new_token(ctx), "volume": found.key}
    return Plan(
        verb="volume snapshot create",
        summary=f"keep what is on {found.name} as {free}",
        notes=costs(ctx, found.cloud, "volume_snapshot", found.size_gib, found.region),
        steps=(Step(action="volume.snapshot.create", cloud=found.cloud, target=free, params=params),),
    )


def _free(ctx: Context, volume: Volume, name: str | None) -> str:
    """Return `name` when it is free on every cloud, or the next free one. Raises: Exists."""
    warn(ctx, browse(ctx, _KIND, snapshots_of, cloud=volume.cloud, role=VolumeSnapshots, refresh=True))
    taken = {str(row.document["name"]) for row in ctx.catalog.find(_KIND)}
    if not name:
        return naming.series(f"{volume.name}-snap-1", 1, taken.__contains__)[0]
    if naming.valid(name) in taken:
        free = naming.series(name, 1, taken.__contains__)[0]
        raise Exists(f"the name '{name}' is taken by a snapshot", hint=f"--name {free} is free")
    return name


@verb("volume", "snapshot", "list", columns=VolumeSnapshot.columns, example="cms volume snapshot list data1")
def list_(
    ctx: Context,
    volume: Annotated[str | None, Doc("only of this volume, which may be deleted"), Names("volume")] = None,
    *,
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List what was kept of one volume, or of all."""
    listing = browse(ctx, _KIND, snapshots_of, cloud=cloud or "", role=VolumeSnapshots, cached=cached, refresh=refresh)
    listing = priced(ctx, listing)
    if not volume:
        return listing
    row = next((row.document for row in ctx.catalog.find("volume") if row.document["id"] == volume), {})
    wanted = {volume, str(row.get("name", ""))}
    return listing.with_(items=tuple(item for item in listing.items if getattr(item, "volume", "") in wanted))


@verb("volume", "snapshot", "delete", changes=True, columns=("name", "cloud", "state"),
      example="cms volume snapshot delete before --yes")  # fmt: skip
def delete(
    ctx: Context,
    names: SnapshotNames,
    *,
    cloud: CloudName = None,
    missing_ok: Annotated[bool, Doc("succeed when a snapshot of that name does not exist")] = False,
) -> Plan:
    """Forget what was kept; volumes made of it stay."""
    wanted = [name for name in expanded(names) if not missing_ok or _exists(ctx, name, cloud)]
    found = chosen(ctx, _KIND, wanted, None, snapshots_of, cloud=cloud or "", role=VolumeSnapshots) if wanted else []
    shown = naming.compress(snapshot.name for snapshot in found)
    return Plan(
        verb="volume snapshot delete",
        summary=f"delete {shown}" if found else "nothing to delete",
        question=f"Delete {shown} for good?" if found else "",
        steps=things.steps("volume.snapshot.delete", found),
    )


def snapshots_of(opened: VolumeSnapshots) -> Iterable[VolumeSnapshot]:
    """Ask one cloud."""
    return opened.list_volume_snapshots()


def one_snapshot(ctx: Context, name: str, cloud: str | None) -> VolumeSnapshot:
    """Return the one snapshot of that name or id. Raises: NotFound, Conflict, Unsupported."""
    found = one(ctx, _KIND, name, snapshots_of, cloud=cloud or "", role=VolumeSnapshots)
    return VolumeSnapshot.from_document(found.to_document())


def _exists(ctx: Context, name: str, cloud: str | None) -> bool:
    try:
        return bool(one_snapshot(ctx, name, cloud))
    except NotFound:
        return False


def _asked(ctx: Context, step: Step, volume: Volume) -> VolumeSnapshot:
    """Return the row of a snapshot that is being asked for."""
    now = ctx.clock.now()
    return VolumeSnapshot(
        name=step.target, cloud=step.cloud, token=step.params["token"], volume=volume.name, size_gib=volume.size_gib,
        state="creating", owner=ctx.owner, created=now, fetched=now,
    )  # fmt: skip


def _volume(ctx: Context, step: Step) -> Volume:
    """Return the volume that a step keeps; where it is gone, one with its key alone."""
    stored = ctx.catalog.get("volume", step.params["volume"])
    return Volume.from_document(stored.document) if stored else Volume(name="", cloud=step.cloud)


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    for step in steps:
        volume = _volume(ctx, step)
        things.ask(ctx, _asked(ctx, step, volume), step.action, f"asked for, of {volume.name}")
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    things.forget(ctx, _asked(ctx, step, _volume(ctx, step)), step.action, "not begun")


@action("volume.snapshot.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Noun:
    """Create the snapshot of a step, or find the one an earlier attempt created."""
    volume, params = _volume(work.ctx, work.step), work.step.params
    asked = _asked(work.ctx, work.step, volume)
    if not volume.id:
        things.forget(work.ctx, asked, work.step.action, "its volume is gone", work.operation)
        raise NotFound("the volume is gone", hint="cms volume list")
    work.report(f"keeping what is on {volume.name}")
    return things.made(
        work,
        asked,
        lambda cloud: cloud.create_volume_snapshot(volume, work.step.target, params["token"]),
        lambda made: f"{volume.name} kept, {made.state}",
    )


@action("volume.snapshot.delete")
def _delete(work: Work) -> Noun:
    gone = things.gone(work, VolumeSnapshot, lambda cloud, snapshot: cloud.delete_volume_snapshot(snapshot))
    return gone.with_(state="deleted")
