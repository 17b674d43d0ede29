"""`cms volume label`: labels of volumes, which stand on the cloud beside them."""

from __future__ import annotations

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, things
from cloudms.engine.labels import changed, changes
from cloudms.model import Noun, Volume
from cloudms.verb import verb
from cloudms.verbs.labels import Labels, RemoveLabels, SetLabels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.volume.look import VolumeNames, chosen_volumes


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
    volumes = chosen_volumes(ctx, names, cloud, label)
    shown = naming.compress(volume.name for volume in volumes)
    return Plan(verb="volume label", summary=f"label {shown}", steps=things.steps("volume.label", volumes, **params))


@action("volume.label")
def _label(work: Work) -> Noun:
    cloud, volume = things.load(work, Volume)
    wanted = volume.with_(labels=changed(volume.labels, work.step.params))
    tagged: Volume = cloud.tag_volume(wanted)
    return things.changed(work, volume, tagged, "labelled")
