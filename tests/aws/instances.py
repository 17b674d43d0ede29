"""Instances: what may be launched, which state allows what, and how long a change takes.

https://docs.aws.amazon.com/ec2/latest/userguide/ec2-instance-lifecycle.html
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tests.aws.rules import after, before
from tests.aws.wire import Call, Refused, Reply, answer, below, text_of
from tests.aws.world import World

ROOT_GIB = 8
_USER_DATA_BYTES = 16 << 10
_AMI = re.compile(r"ami-[0-9a-f]{8,17}$")
_TAG_KEY, _TAG_VALUE, _TAGS = 127, 256, 50


def types() -> dict[str, Any]:
    """Return moto's table of instance types."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    found: dict[str, Any] = INSTANCE_TYPES
    return found


@before("RunInstances", "CreateTags", "CreateVolume", "ImportKeyPair", "CreateSecurityGroup", "AllocateAddress")
def tags_are_in_bounds(world: World, call: Call) -> Reply | None:
    """Refuse tags that EC2 does not take."""
    for tags in call.tag_sets():
        keys = [key for key, _ in tags]
        if len(keys) != len(set(keys)):
            raise Refused("InvalidParameterValue", "Duplicate tag key specified.")
        if len(keys) > _TAGS:
            raise Refused("TagLimitExceeded", "More than 50 tags specified")
        for key, value in tags:
            if not key or len(key) > _TAG_KEY or key.startswith("aws:"):
                raise Refused("InvalidParameterValue", f"Tag key '{key}' is empty, reserved or exceeds 127 characters")
            if len(value) > _TAG_VALUE:
                raise Refused("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
    return None


@before("CreateTags", "DeleteTags")
def tagged_things_are_there(world: World, call: Call) -> Reply | None:
    """Refuse to tag an instance or volume that does not exist."""
    backend = world.backend(call.region)
    for name in call.rows("ResourceId"):
        if name.startswith("i-"):
            world.instance(call, name)
        if name.startswith("vol-") and name not in backend.volumes:
            raise Refused("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")
    return None


@before("RunInstances")
def launch_is_possible(world: World, call: Call) -> Reply | None:
    """Refuse an image, type, key or amount that cannot be, and let moto make the most of it that can."""
    image = _image(world, call, call.params.get("ImageId", ""))
    flavor = call.params.get("InstanceType", "m1.small")
    if flavor not in types():
        raise Refused("InvalidParameterValue", f"Invalid value '{flavor}' for InstanceType.")
    made_for = types()[flavor]["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in made_for:
        raise Refused(
            "InvalidParameterValue",
            f"The architecture '{','.join(made_for)}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again.",
        )
    key = call.params.get("KeyName")
    if key and key not in world.backend(call.region).key_pairs:
        raise Refused("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    _user_data(call)
    _hibernation(call, flavor)
    call.notes["count"] = _count(world, call)
    call.params["MinCount"] = str(call.notes["count"])
    _disks(call, image)
    return None


def _image(world: World, call: Call, ami: str) -> Any:
    if not _AMI.match(ami):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{ami}" (expecting "ami-...")')
    image = world.backend(call.region).amis.get(ami)
    if image is None:
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{ami}]' does not exist")
    if image.state != "available":
        raise Refused("InvalidAMIID.Unavailable", f"The image ID '{ami}' is not available")
    return image


def _user_data(call: Call, name: str = "UserData") -> None:
    data = call.params.get(name)
    if data is None:
        return
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise Refused("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if size > _USER_DATA_BYTES:
        raise Refused("InvalidParameterValue", "User data is limited to 16384 bytes")


def _hibernation(call: Call, flavor: str) -> None:
    if call.params.get("HibernationOptions.Configured", "false").lower() != "true":
        return
    if not types()[flavor].get("HibernationSupported"):
        raise Refused("UnsupportedHibernationConfiguration", f"Hibernation is not supported for {flavor}")
    encrypted = [value for name, value in call.params.items() if name.endswith("Ebs.Encrypted")]
    if "true" not in [value.lower() for value in encrypted]:
        raise Refused("UnsupportedHibernationConfiguration", "The root volume must be encrypted for hibernation")


def _count(world: World, call: Call) -> int:
    least, most = int(call.params["MinCount"]), int(call.params["MaxCount"])
    if least < 1 or most < least:
        raise Refused("InvalidParameterValue", "MaxCount must be at least MinCount, which must be at least 1")
    if most > 1000:
        raise Refused("InstanceLimitExceeded", f"You have requested more instances ({most}) than your limit allows")
    room = most if world.settings.capacity is None else world.settings.capacity
    if room < least:
        message = "We currently do not have sufficient capacity in the Availability Zone you requested."
        raise Refused("InsufficientInstanceCapacity", message, 500)
    return min(most, room)


def _disks(call: Call, image: Any) -> None:
    """Take from the image what a mapping of its root disk leaves open; without one, its root disk is as it says."""
    number = 1
    while (device := call.params.get(f"BlockDeviceMapping.{number}.DeviceName")) not in (None, image.root_device_name):
        number += 1
    ebs = f"BlockDeviceMapping.{number}.Ebs"
    if device is None:
        call.params[f"BlockDeviceMapping.{number}.DeviceName"] = image.root_device_name
    call.params.setdefault(f"{ebs}.DeleteOnTermination", "true")
    call.params.setdefault(f"{ebs}.VolumeType", "gp3")
    if f"{ebs}.SnapshotId" not in call.params:
        call.params.setdefault(f"{ebs}.VolumeSize", str(ROOT_GIB))


@after("RunInstances")
def launch_takes_time(world: World, call: Call, reply: Reply) -> Reply:
    """Leave the new instances pending for a while."""
    made = [world.instance(call, text_of(item, "instanceId")) for item in below(reply.tree(), "instancesSet/item")]
    call.notes["made"] = made
    if world.settings.capacity is not None:
        world.settings.capacity -= len(made)
    for instance in made:
        world.transit(instance, "pending", "running", world.settings.boot_seconds)
    world.hide(world.backend(call.region), made)
    return reply


def _states(world: World, call: Call) -> dict[str, Any]:
    """Return the instances that a call names, which must be there."""
    found = {each: world.instance(call, each) for each in call.rows("InstanceId")}
    call.notes["before"] = {each: (instance.state, instance.state_code) for each, instance in found.items()}
    return found


def _only(found: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    for name, instance in found.items():
        if instance.state not in allowed:
            text = f"The instance '{name}' is not in a state from which it can be {what}."
            raise Refused("IncorrectInstanceState", text)


@before("StopInstances")
def stop_needs_a_running_one(world: World, call: Call) -> Reply | None:
    """Refuse to stop what is starting or gone, or to hibernate what was not made for it."""
    found = _states(world, call)
    _only(found, ("running", "stopping", "stopped"), "stopped")
    for name, instance in found.items():
        if instance.lifecycle == "spot":
            text = f"You can't stop the Spot Instance '{name}' because it belongs to a one-time Spot Instance request."
            raise Refused("UnsupportedOperation", text)
        configured = str((instance.hibernation_options or {}).get("Configured", "")).lower() == "true"
        if call.params.get("Hibernate", "").lower() == "true" and not configured:
            raise Refused("UnsupportedOperation", f"The instance '{name}' is not configured for hibernation.")
    return None


@before("StartInstances")
def start_needs_a_stopped_one(world: World, call: Call) -> Reply | None:
    """Refuse to start what is stopping or gone."""
    _only(_states(world, call), ("running", "pending", "stopped"), "started")
    return None


@before("RebootInstances")
def reboot_needs_a_running_one(world: World, call: Call) -> Reply | None:
    """Refuse to reboot what is off, and ignore what is terminated."""
    found = {name: each for name, each in _states(world, call).items() if each.state_code not in (32, 48)}
    _only(found, ("running", "pending"), "rebooted")
    call.replace("InstanceId", list(found))
    return None


@before("TerminateInstances")
def terminate_once(world: World, call: Call) -> Reply | None:
    """Note how each one is now."""
    _states(world, call)
    return None


@after("StopInstances")
def stop_takes_time(world: World, call: Call, reply: Reply) -> Reply:
    """Leave instances stopping for a while, and say why they stop."""
    hibernate = call.params.get("Hibernate", "").lower() == "true"
    for name, (state, _code) in call.notes["before"].items():
        instance = world.instance(call, name)
        if state == "running":
            world.transit(instance, "stopping", "stopped", world.settings.stop_seconds)
            if hibernate:
                instance.state_reason.code = "Client.UserInitiatedHibernate"
                instance.state_reason.message = "Client.UserInitiatedHibernate: User initiated hibernate"
        else:
            instance._state.name, instance._state.code = call.notes["before"][name]
        _keep_addresses(instance)
    return reply


@after("StartInstances")
def start_takes_time(world: World, call: Call, reply: Reply) -> Reply:
    """Leave instances pending for a while."""
    for name, (state, _code) in call.notes["before"].items():
        instance = world.instance(call, name)
        if state == "stopped":
            world.transit(instance, "pending", "running", world.settings.boot_seconds)
        _keep_addresses(instance)
    return reply


def _elastic(instance: Any) -> list[Any]:
    return [each for each in instance.ec2_backend.addresses if each.instance is instance]


def _keep_addresses(instance: Any) -> None:
    """Let elastic addresses stay over stop and start."""
    for each in _elastic(instance):
        each.eni.public_ip = each.public_ip


def _part_from_addresses(instance: Any) -> None:
    """Let elastic addresses lead nowhere when their instance ends."""
    for each in _elastic(instance):
        instance.ec2_backend.disassociate_address(association_id=each.association_id)


@after("TerminateInstances")
def terminate_takes_time(world: World, call: Call, reply: Reply) -> Reply:
    """Leave instances shutting down for a while, and forget them later."""
    for name, (state, _code) in call.notes["before"].items():
        instance = world.instance(call, name)
        if state not in ("shutting-down", "terminated"):
            _part_from_addresses(instance)
            world.transit(instance, "shutting-down", "terminated", world.settings.delete_seconds)
        else:
            instance._state.name, instance._state.code = call.notes["before"][name]
    return reply


_SHUTDOWN = "InstanceInitiatedShutdownBehavior.Value"


@before("ModifyInstanceAttribute")
def attributes_need_the_right_state(world: World, call: Call) -> Reply | None:
    """Refuse another type or user data for what is not stopped, and set what moto cannot."""
    name = call.params.get("InstanceId", "")
    instance = world.instance(call, name)
    flavor = call.params.get("InstanceType.Value")
    if instance.state in ("shutting-down", "terminated"):
        raise Refused("IncorrectInstanceState", f"The instance '{name}' is terminated.")
    if (flavor or "UserData.Value" in call.params) and instance.state != "stopped":
        raise Refused("IncorrectInstanceState", f"The instance '{name}' is not in the 'stopped' state.")
    if flavor:
        _fits(instance, flavor)
    if "UserData.Value" in call.params:
        _user_data(call, "UserData.Value")
        instance.user_data = _encoded(call.params["UserData.Value"])
        return answer(call.action, "<return>true</return>")
    if _SHUTDOWN in call.params:
        if call.params[_SHUTDOWN] not in ("stop", "terminate"):
            raise Refused("InvalidParameterValue", f"Value ({call.params[_SHUTDOWN]}) is neither stop nor terminate")
        instance.instance_initiated_shutdown_behavior = call.params[_SHUTDOWN]
        return answer(call.action, "<return>true</return>")
    return None


def _encoded(text: str) -> Any:
    """Return user data as moto keeps it."""
    from moto.ec2.utils import parse_user_data

    return parse_user_data(text)


def _fits(instance: Any, flavor: str) -> None:
    if flavor not in types():
        raise Refused("InvalidInstanceAttributeValue", f"Invalid value '{flavor}' for InstanceType.")
    if instance.architecture not in types()[flavor]["ProcessorInfo"]["SupportedArchitectures"]:
        raise Refused("InvalidParameterCombination", f"{flavor} cannot run the architecture of the instance")


def power_off_inside(world: World, region: str, name: str) -> str:
    """Let the guest switch itself off: the instance stops or ends, as its shutdown behaviour says."""
    instance = world.backend(region).get_instance_by_id(name)
    if instance is None or instance.state != "running":
        raise Refused("IncorrectInstanceState", f"'{name}' does not run")
    ends = instance.instance_initiated_shutdown_behavior == "terminate"
    if ends:
        instance.terminate()
        _part_from_addresses(instance)
        world.transit(instance, "shutting-down", "terminated", world.settings.delete_seconds)
    else:
        instance.stop()
        world.transit(instance, "stopping", "stopped", world.settings.stop_seconds)
    text = "Instance initiated shutdown"
    instance.state_reason.code = "Client.InstanceInitiatedShutdown"
    instance.state_reason.message = f"Client.InstanceInitiatedShutdown: {text}"
    return "terminated" if ends else "stopped"
