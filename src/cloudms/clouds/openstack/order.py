"""What is asked for when VMs are made, and `POST /servers` in its words.

https://docs.openstack.org/api-ref/compute/#create-server (and …/#create-multiple-servers: nova calls them NAME-1 …).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.firstboot import FirstBoot
from cloudms.clouds.openstack import tags
from cloudms.clouds.openstack.core import TAGGED
from cloudms.clouds.openstack.settings import Settings
from cloudms.errors import Invalid
from cloudms.lease import packed
from cloudms.model import Flavor, VmSpec
from cloudms.record import Record

LIMIT = 49_151
"""Bytes that nova takes as user data, before base64."""
HOSTNAMES = (2, 90)
"""The microversion since which a host name can be given."""
_VOLUME_TYPES = (2, 67)
_GIB = 1 << 30


class Order(Record):
    """A request for the VMs of `specs`: one, or a batch.

    `image` is a row of glance; `networks` are in nova's words; `version` is the microversion spoken with nova;
    `server_group` the id of the group by which hosts are chosen, `spread` the token of those that are in it; `opened`
    whether the request has a group of its own ports; `on_volume` whether there is storage for a root disk on a volume.
    """

    specs: tuple[VmSpec, ...]
    region: str
    image: Mapping[str, Any]
    flavor: Flavor
    settings: Settings
    first_boot: FirstBoot
    owner: str
    version: tuple[int, int]
    networks: Any = "auto"
    zone: str = ""
    groups: tuple[str, ...] = ()
    key_pair: str = ""
    login: str = ""
    server_group: str = ""
    opened: bool = False
    spread: str = ""
    on_volume: bool = True

    @property
    def name(self) -> str:
        """Return the name that the request gives to nova."""
        names = [spec.name for spec in self.specs]
        return names[0] if len(names) == 1 else tags.base_name(names, self.specs[0].token)


def request(order: Order) -> dict[str, Any]:
    """Return the body of the request. Raises: Invalid (labels, user data or disk that nova does not take)."""
    spec, count = order.specs[0], len(order.specs)
    server: dict[str, Any] = {
        "name": order.name, "flavorRef": order.flavor.id, "imageRef": str(order.image["id"]),
        "metadata": marks(order), "networks": order.networks,
    }  # fmt: skip
    disks = disk(order)
    text = order.first_boot.text
    packet = packed(text, LIMIT) if text else b""
    optional: dict[str, Any] = {
        "key_name": order.key_pair, "availability_zone": order.zone, "config_drive": order.settings.config_drive,
        "security_groups": [{"name": group} for group in order.groups],
        "user_data": b64encode(packet if isinstance(packet, bytes) else packet.encode()).decode(),
        "block_device_mapping_v2": disks,
        "tags": [tags.tag(spec.token)] if order.version >= TAGGED else None,
        "hostname": hostname(spec) if order.version >= HOSTNAMES and count == 1 else "",
    }  # fmt: skip
    server |= {name: value for name, value in optional.items() if value}
    if order.version < (2, 37) and order.networks == "auto":
        del server["networks"]
    if disks:
        del server["imageRef"]
    if count > 1:
        server |= {"min_count": count, "max_count": count}
    hints = {"os:scheduler_hints": {"group": order.server_group}} if order.server_group else {}
    return {"server": server, **hints}


def marks(order: Order) -> dict[str, str]:
    """Return the metadata of the VMs. Raises: Invalid."""
    spec, batch = order.specs[0], len(order.specs) > 1
    common = tags.Tags(
        token=notes.base_token(spec.token)[0] if batch else spec.token, owner=order.owner, expires=spec.expires,
        group=spec.group, image=spec.image, login=order.login, key=spec.key_name, timer=order.first_boot.timer,
        opened=order.opened, spread=order.spread, labels=spec.labels,
    ).pairs()  # fmt: skip
    return tags.checked({**common, **tags.batch_pairs([each.name for each in order.specs])}) if batch else common


def hostname(spec: VmSpec) -> str:
    """Return the host name in the form that nova takes: one label."""
    return spec.hostname.partition(".")[0][:63]


def disk(order: Order) -> list[dict[str, Any]]:
    """Return the root disk when it is to be a volume; nothing when it is the flavor's own.

    It is one when it is to be larger than the flavor's, when the flavor has none, or when the setting says so. It goes
    with its VM. Raises: Invalid (too small for the image, or there is no storage for it).
    """
    asked, own, least = order.specs[0].disk_gib, order.flavor.disk_gib, image_gib(order.image)
    if not (asked > own or order.settings.boot_from_volume or not own):
        if least > own:
            raise Invalid(
                f"the image needs {least} GiB, and flavor {order.flavor.name} has {own}", hint=f"--disk {least}"
            )
        return []
    if not order.on_volume:
        if asked > own > 0:
            raise Invalid(f"the flavor's disk of {own} GiB is the largest here", hint="this cloud has no volumes")
        return []  # flavors of bare metal say 0
    if asked and asked < least:
        raise Invalid(f"a disk of {asked} GiB is too small for the image", hint=f"ask for {least} GiB or more")
    mapping: dict[str, Any] = {
        "boot_index": 0, "uuid": str(order.image["id"]), "source_type": "image", "destination_type": "volume",
        "volume_size": asked or max(own, least, 1), "delete_on_termination": True,
    }  # fmt: skip
    if order.settings.volume_type and order.version >= _VOLUME_TYPES:
        mapping["volume_type"] = order.settings.volume_type
    return [mapping]


def image_gib(image: Mapping[str, Any]) -> int:
    """Return the GiB that an image needs, as far as glance tells."""
    told = max(int(image.get("virtual_size") or 0), int(image.get("size") or 0))
    return max(int(image.get("min_disk") or 0), -(-told // _GIB))
