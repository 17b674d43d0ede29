"""`cms volume delete`: volumes with what is on them."""

from __future__ import annotations

from typing import Annotated

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, things
from cloudms.engine.labels import expanded
from cloudms.errors import Conflict, NotFound
from cloudms.model import Noun, Volume
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.volume.look import VolumeNames, as_it_is, chosen_volumes, one_volume


@verb("volume", "delete", changes=True, columns=("name", "cloud", "state"), example="cms volume delete data1 --yes")
def delete(
    ctx: Context,
    names: VolumeNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    missing_ok: Annotated[bool, Doc("succeed when a volume of that name does not exist")] = False,
) -> Plan:
    """Delete volumes with what is on them; one that is attached is refused. Their snapshots stay."""
    wanted = [name for name in expanded(names) if not missing_ok or _exists(ctx, name, cloud)]
    try:
        found = chosen_volumes(ctx, wanted, cloud, label) if wanted or not names else []
    except NotFound:
        if not missing_ok:
            raise
        found = []
    volumes = [as_it_is(ctx, volume) if volume.vm or not volume.id else volume for volume in found]
    for volume in volumes:
        if volume.vm:
            raise Conflict(f"{volume.name} is attached to {volume.vm}", hint=f"cms volume detach {volume.name}")
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(
        verb="volume delete",
        summary=f"delete {shown}" if volumes else "nothing to delete",
        question=f"Delete {shown} with all that is on it, for good?" if volumes else "",
        steps=things.steps("volume.delete", volumes),
    )


def _exists(ctx: Context, name: str, cloud: str | None) -> bool:
    try:
        return bool(one_volume(ctx, name, cloud))
    except NotFound:
        return False


@action("volume.delete")
def _delete(work: Work) -> Noun:
    gone = things.gone(work, Volume, lambda cloud, volume: cloud.delete_volume(volume))
    return gone.with_(state="deleted")
