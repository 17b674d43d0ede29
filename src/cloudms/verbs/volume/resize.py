"""`cms volume resize`: more room on a volume."""

from __future__ import annotations

from typing import Annotated

from cloudms.clouds.base import ResizeVolume
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, things
from cloudms.errors import Invalid
from cloudms.model import Noun, Volume
from cloudms.verb import Doc, verb
from cloudms.verbs.lists import CloudName
from cloudms.verbs.volume.look import VolumeName, costs, one_volume
from cloudms.verbs.volume.make import LARGEST


@verb("volume", "resize", changes=True, columns=Volume.columns, example="cms volume resize data1 20")
def resize(
    ctx: Context,
    name: VolumeName,
    size: Annotated[int, Doc("its new size in GiB, larger than it is")],
    *,
    cloud: CloudName = None,
) -> Plan:
    """Make a volume larger, where the cloud can also while it is attached. As large already is success.

    What is on it stays; the file system is made larger in the guest, which sees the new size.
    """
    volume = one_volume(ctx, name, cloud)
    if not 1 <= size <= LARGEST:
        raise Invalid(f"{size} is not a size from 1 to {LARGEST} GiB", hint=f"cms volume resize {volume.name} 20")
    if size < volume.size_gib:
        raise Invalid(
            f"{volume.name} has {volume.size_gib} GiB and cannot shrink to {size}",
            hint="make a smaller volume, attach both to a VM and copy",
        )
    things.able(ctx, volume.cloud, ResizeVolume)
    held = (f"it is attached to {volume.vm}: make the file system larger there afterwards",) if volume.vm else ()
    return Plan(
        verb="volume resize",
        summary=f"resize {volume.name} from {volume.size_gib} to {size} GiB",
        notes=(*costs(ctx, volume.cloud, "volume", size, volume.region), *held),
        steps=things.steps("volume.resize", [volume], size_gib=size),
    )


@action("volume.resize")
def _resize(work: Work) -> Noun:
    cloud, volume = things.load(work, Volume)
    size = work.step.params["size_gib"]
    resized: Volume = cloud.resize_volume(volume, size)
    return things.changed(work, volume, resized, f"now of {size} GiB")
