"""`cms volume attach` and `detach`."""

from __future__ import annotations

from cloudms import names as naming
from cloudms.clouds.base import Volumes, require
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, select, things
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import Noun, Vm, Volume
from cloudms.verb import verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import OneVm
from cloudms.verbs.volume.look import VolumeName, VolumeNames, as_it_is, chosen_volumes, one_volume


@verb("volume", "attach", changes=True, columns=Volume.columns, example="cms volume attach data1 web1")
def attach(ctx: Context, name: VolumeName, vm: OneVm, *, cloud: CloudName = None) -> Plan:
    """Attach a volume to a VM; the result says as which device."""
    volume = one_volume(ctx, name, cloud)
    holder = select.vm(ctx, vm, cloud=cloud or "")
    if holder.cloud != volume.cloud:
        raise Invalid(
            f"{volume.name} is on {volume.cloud} and {holder.name} on {holder.cloud}",
            hint=f"cms volume create --cloud {holder.cloud}",
        )
    require(ctx.cloud(volume.cloud), Volumes, holder)
    if volume.vm not in ("", holder.name):
        volume = as_it_is(ctx, volume)
    if volume.vm not in ("", holder.name):
        raise Conflict(f"{volume.name} is attached to {volume.vm}", hint=f"cms volume detach {volume.name}")
    return Plan(
        verb="volume attach",
        summary=f"attach {volume.name} to {holder.name}",
        steps=things.steps("volume.attach", [volume], vm=holder.key),
    )


@action("volume.attach")
def _attach(work: Work) -> Noun:
    stored = work.ctx.catalog.get("vm", work.step.params["vm"])
    if stored is None:
        raise NotFound("the VM is gone", hint="cms vm list")
    holder = Vm.from_document(stored.document)
    cloud, volume = things.load(work, Volume)
    attached: Volume = cloud.attach_volume(volume, holder)
    return things.changed(work, volume, attached, f"attached to {holder.name} as {attached.device or 'a disk'}")


@verb("volume", "detach", changes=True, columns=Volume.columns, example="cms volume detach data1")
def detach(
    ctx: Context,
    names: VolumeNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Detach volumes from their VMs; unmount them there first. Already detached is success."""
    volumes = chosen_volumes(ctx, names, cloud, label)
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(verb="volume detach", summary=f"detach {shown}", steps=things.steps("volume.detach", volumes))


@action("volume.detach")
def _detach(work: Work) -> Noun:
    cloud, volume = things.load(work, Volume)
    detached: Volume = cloud.detach_volume(volume)
    return things.changed(work, volume, detached, "detached")
