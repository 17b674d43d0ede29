"""What is asked for when VMs are made, and RunInstances in its words.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html. Nothing in a request may depend on the
time or on chance: a client token holds for one request only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.describe import GONE, seconds
from cloudms.clouds.aws.firstboot import FirstBoot
from cloudms.clouds.aws.settings import Settings
from cloudms.errors import Invalid
from cloudms.lease import packed
from cloudms.model import VmSpec
from cloudms.record import Record

_TAGGED = ("instance", "volume", "network-interface")
_MIB = 1024


class Order(Record):
    """A request for the VMs of `specs`: one, or a batch; `hibernate` is the memory in MiB to be kept on disk, or 0."""

    specs: tuple[VmSpec, ...]
    region: str
    image: Mapping[str, Any]
    flavor: str
    settings: Settings
    first_boot: FirstBoot
    owner: str
    zone: str = ""
    subnet: str = ""
    groups: tuple[str, ...] = ()
    key_pair: str = ""
    login: str = ""
    hibernate: int = 0
    spot: bool = False

    @property
    def token(self) -> str:
        """Return the token of the request."""
        return notes.base_token(self.specs[0].token)[0] if len(self.specs) > 1 else self.specs[0].token

    @property
    def opened(self) -> bool:
        """Whether the request has a group of its own ports."""
        spec = self.specs[0]
        return bool(spec.options.get("open"))


def request(order: Order) -> dict[str, Any]:
    """Return the parameters of RunInstances. Raises: Invalid (tags, user data or disk that AWS does not take)."""
    count, settings = len(order.specs), order.settings
    pairs = marks(order)
    found: dict[str, Any] = {
        "ImageId": str(order.image["ImageId"]), "InstanceType": order.flavor, "MinCount": count, "MaxCount": count,
        "ClientToken": client_token(order.token), "TagSpecifications": tags.specification(_tagged(order), pairs),
        "MetadataOptions": {
            "HttpTokens": settings.imds, "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled",
        },
    }  # fmt: skip
    disks = _disks(order)
    optional = {
        "KeyName": order.key_pair, "SecurityGroupIds": list(order.groups), "SubnetId": order.subnet,
        "UserData": packed(order.first_boot.text) if order.first_boot.text else "",
        "BlockDeviceMappings": disks,
        "Placement": {"AvailabilityZone": order.zone} if order.zone else None,
        "IamInstanceProfile": _profile(settings.instance_profile),
        "HibernationOptions": {"Configured": True} if order.hibernate else None,
        "InstanceMarketOptions": _SPOT if order.spot else None,
        "InstanceInitiatedShutdownBehavior": "terminate" if order.first_boot.timer and not order.spot else "",
    }  # fmt: skip
    return found | {name: value for name, value in optional.items() if value}


def marks(order: Order) -> dict[str, str]:
    """Return the tags of everything that the request makes. Raises: Invalid."""
    spec, batch = order.specs[0], len(order.specs) > 1
    asked = "" if re.fullmatch(r"ami-[0-9a-zA-Z]+", spec.image) else spec.image
    common = tags.Tags(
        token=order.token, owner=order.owner, name="" if batch else spec.name, expires=spec.expires, group=spec.group,
        image=asked, login=order.login, key=spec.key_name, timer=order.first_boot.timer, labels=spec.labels,
    ).pairs()  # fmt: skip
    return tags.checked({**common, **tags.batch_pairs([each.name for each in order.specs])}) if batch else common


def client_token(token: str) -> str:
    """Return a token as EC2 takes it: at most 64 characters of ASCII."""
    if len(token) <= 64 and token.isascii() and token.isprintable():
        return token
    return hashlib.sha256(token.encode()).hexdigest()


def is_gone(row: Mapping[str, Any]) -> bool:
    """Whether an instance is deleted or on the way to it."""
    return str((row.get("State") or {}).get("Name") or "") in GONE


def launched(row: Mapping[str, Any]) -> float | None:
    """Return when an instance was last started, in epoch seconds."""
    return seconds(row.get("LaunchTime"))


_SPOT = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
}


def _tagged(order: Order) -> tuple[str, ...]:
    return (*_TAGGED, "spot-instances-request") if order.spot else _TAGGED


def _profile(name: str) -> dict[str, str]:
    """Return an instance profile by its name or ARN."""
    return {} if not name else {"Arn": name} if name.startswith("arn:") else {"Name": name}


def _disks(order: Order) -> list[dict[str, Any]]:
    """Return the root disk: gone with its VM, encrypted, and as large as asked for. Raises: Invalid (too small)."""
    root = str(order.image.get("RootDeviceName") or "")
    if not root or str(order.image.get("RootDeviceType") or "ebs") != "ebs":
        return []
    least = _image_gib(order.image, root)
    asked = order.specs[0].disk_gib
    if asked and asked < least:
        raise Invalid(f"a disk of {asked} GiB is too small for the image", hint=f"ask for {least} GiB or more")
    ebs: dict[str, Any] = {"DeleteOnTermination": True}
    size = asked or least  # said even where it is the image's own: what speaks like EC2 may ask for it
    if order.hibernate:  # the memory is written to the root disk, which must be encrypted
        size = max(asked, (least or 8) + -(-order.hibernate // _MIB))
    if size:
        ebs["VolumeSize"] = size
    if order.settings.encrypted or order.hibernate:
        ebs["Encrypted"] = True
    return [{"DeviceName": root, "Ebs": ebs}]


def _image_gib(image: Mapping[str, Any], root: str) -> int:
    """Return the GiB of an image's root disk, 0 when it is not told."""
    for each in image.get("BlockDeviceMappings") or ():
        if each.get("DeviceName") == root:
            return int((each.get("Ebs") or {}).get("VolumeSize") or 0)
    return 0
