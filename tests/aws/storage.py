"""Disks, keys, groups and images: who may be attached where, and what is in use.

https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html
"""

from __future__ import annotations

import base64
import binascii
import time
import xml.etree.ElementTree as ET
from typing import Any

from tests.aws.rules import after, before
from tests.aws.wire import Call, Refused, Reply, answer, text_of
from tests.aws.world import World

_LARGEST_GIB = 16384
_KEY_TYPES = (b"ssh-rsa ", b"ssh-ed25519 ")


def _volume(world: World, call: Call, name: str) -> Any:
    if not name.startswith("vol-"):
        raise Refused("InvalidParameterValue", f"Value ({name}) for parameter volumeId is invalid.")
    found = world.backend(call.region).volumes.get(name)
    if found is None:
        raise Refused("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")
    return found


@before("CreateVolume")
def volume_is_possible(world: World, call: Call) -> Reply | None:
    """Refuse a size or zone that cannot be."""
    if not (1 <= int(call.params.get("Size", "1")) <= _LARGEST_GIB):
        raise Refused("InvalidParameterValue", f"Volume of {call.params['Size']}GiB is too large or too small")
    zone = call.params.get("AvailabilityZone", "")
    if zone not in {each.name for each in world.backend(call.region).describe_availability_zones()}:
        raise Refused("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    return None


@before("AttachVolume")
def attach_needs_the_same_zone(world: World, call: Call) -> Reply | None:
    """Refuse a volume in another zone or in use, a device in use, and an instance in another state."""
    volume = _volume(world, call, call.params.get("VolumeId", ""))
    instance = world.instance(call, call.params.get("InstanceId", ""))
    device = call.params.get("Device", "")
    if instance.state not in ("running", "stopped"):
        raise Refused("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.attachment:
        raise Refused("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.zone.name != instance.placement.zone:
        text = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise Refused("InvalidVolume.ZoneMismatch", text)
    if device in instance.block_device_mapping:
        text = f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        raise Refused("InvalidParameterValue", text)
    return None


@before("DetachVolume")
def detach_finds_the_instance(world: World, call: Call) -> Reply | None:
    """Know where a volume is attached when the call does not say it."""
    volume = _volume(world, call, call.params.get("VolumeId", ""))
    if not volume.attachment:
        raise Refused("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    holder = volume.attachment.instance
    call.params.setdefault("InstanceId", holder.id)
    if call.params["InstanceId"] != holder.id:
        raise Refused("InvalidAttachment.NotFound", f"'{volume.id}' is not attached to {call.params['InstanceId']}")
    if volume.attachment.device == holder.root_device_name and holder.state != "stopped":
        raise Refused("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from '{holder.id}'")
    return None


@before("ImportKeyPair")
def key_is_a_key(_world: World, call: Call) -> Reply | None:
    """Refuse what is no public key."""
    try:
        text = base64.b64decode(call.params.get("PublicKeyMaterial", ""), validate=True)
        kind, _, rest = text.strip().partition(b" ")
        base64.b64decode(rest.split()[0], validate=True)
    except (binascii.Error, ValueError, IndexError):
        kind = b""
    if kind + b" " not in _KEY_TYPES:
        raise Refused("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    return None


@before("DeleteSecurityGroup")
def group_is_not_in_use(world: World, call: Call) -> Reply | None:
    """Refuse a group that an instance has which is not terminated."""
    wanted = {call.params.get("GroupId"), call.params.get("GroupName")} - {None}
    for instance in world.backend(call.region).all_instances():
        groups = {group.id for group in instance.security_groups} | {group.name for group in instance.security_groups}
        groups |= {group.id for nic in instance.nics.values() for group in nic.group_set}
        if instance.state != "terminated" and groups & wanted:
            raise Refused("DependencyViolation", f"resource {next(iter(wanted))} has a dependent object")
    return None


@before("CreateImage", "RegisterImage")
def image_name_is_free(world: World, call: Call) -> Reply | None:
    """Refuse a name that another image of the account has; note the tags of the snapshots, which moto cannot."""
    backend = world.backend(call.region)
    name = call.params.get("Name", "")
    if any(each.name == name and each.owner_id == backend.account_id for each in backend.amis.values()):
        raise Refused("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by another AMI")
    for number in (1, 2):
        if call.params.get(f"TagSpecification.{number}.ResourceType") == "snapshot":
            call.notes["snapshot"] = dict(_tags(call, number))
            call.drop(f"TagSpecification.{number}")
    return None


def _tags(call: Call, number: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    prefix = f"TagSpecification.{number}.Tag"
    while (key := call.params.get(f"{prefix}.{len(found) + 1}.Key")) is not None:
        found.append((key, call.params.get(f"{prefix}.{len(found) + 1}.Value", "")))
    return found


@after("CreateImage", "RegisterImage")
def image_is_as_asked(world: World, call: Call, reply: Reply) -> Reply:
    """Put on the image what moto leaves out."""
    image = world.backend(call.region).amis[text_of(reply.tree(), "imageId")]
    image.ebs_snapshot.add_tags(call.notes.get("snapshot", {}))
    for name, attribute in _IMAGE_FIELDS.items():
        if name in call.params:
            setattr(image, attribute, call.params[name])
    return reply


@after("CreateSnapshots")
def disks_that_are_left_out_are_not_kept(world: World, call: Call, reply: Reply) -> Reply:
    """Take back the snapshots of disks that were to be left out."""
    excluded = set(call.rows("InstanceSpecification.ExcludeDataVolumeId"))
    snapshots, tree = world.backend(call.region).snapshots, reply.tree()
    for rows in tree.iter():
        for row in [each for each in rows if (_child(each, "snapshotId"), _child(each, "volumeId")) != ("", "")]:
            if _child(row, "volumeId") in excluded:
                snapshots.pop(_child(row, "snapshotId"), None)
                rows.remove(row)
    return Reply(reply.status, ET.tostring(tree), reply.type)


def _child(row: ET.Element, name: str) -> str:
    """Return the text of a direct child, whatever its namespace."""
    return next((each.text or "" for each in row if each.tag.rpartition("}")[2] == name), "")


_IMAGE_FIELDS = {
    "Architecture": "architecture",
    "RootDeviceName": "root_device_name",
    "BootMode": "boot_mode",
    "VirtualizationType": "virtualization_type",
}


@before("CreateReplaceRootVolumeTask")
def root_is_replaced(world: World, call: Call) -> Reply | None:
    """Put a fresh volume in place of the root disk of a running instance, or refuse as the settings say."""
    instance = world.instance(call, call.params.get("InstanceId", ""))
    backend = world.backend(call.region)
    if world.settings.replace_root != "done":
        raise Refused("UnsupportedOperation", "Replacing the root volume is not supported for this instance.")
    if instance.state != "running":
        raise Refused("IncorrectInstanceState", f"The instance '{instance.id}' is not running.")
    image = call.params.get("ImageId", instance.image_id)
    if image not in backend.amis:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
    old = backend.get_volume(instance.block_device_mapping[instance.root_device_name].volume_id)
    fresh = backend.create_volume(size=old.size, zone_name=old.zone.name, volume_type=old.volume_type)
    fresh.add_tags({tag["key"]: tag["value"] for tag in old.get_tags()})
    backend.detach_volume(old.id, instance.id, instance.root_device_name)
    backend.attach_volume(fresh.id, instance.id, instance.root_device_name, True)
    if call.params.get("DeleteReplacedRootVolume", "").lower() == "true":
        backend.delete_volume(old.id)
    instance.image_id = image
    task = {"id": f"replacevol-{len(world.tasks):017x}", "instance": instance.id, "region": call.region}
    world.tasks.append(task)
    return answer(call.action, f"<replaceRootVolumeTask>{_task(task, 'pending')}</replaceRootVolumeTask>")


def _task(task: dict[str, str], state: str) -> str:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return (
        f"<replaceRootVolumeTaskId>{task['id']}</replaceRootVolumeTaskId><instanceId>{task['instance']}</instanceId>"
        f"<taskState>{state}</taskState><startTime>{started}</startTime>"
    )


@before("DescribeReplaceRootVolumeTasks")
def tasks_are_listed(world: World, call: Call) -> Reply | None:
    """List the tasks, all of which have succeeded meanwhile."""
    wanted, filters = call.rows("ReplaceRootVolumeTaskId"), call.filters().get("instance-id")
    items = "".join(
        f"<item>{_task(task, 'succeeded')}</item>"
        for task in world.tasks
        if task["region"] == call.region
        and (not wanted or task["id"] in wanted)
        and (not filters or task["instance"] in filters)
    )
    return answer(call.action, f"<replaceRootVolumeTaskSet>{items}</replaceRootVolumeTaskSet>")
