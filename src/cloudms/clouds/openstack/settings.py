"""What a cloud of kind `openstack` is told beside its credentials: region, zone, networks and habits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cloudms.clouds import words
from cloudms.clouds.base import Setup
from cloudms.clouds.openstack import signin
from cloudms.clouds.openstack.signin import Login
from cloudms.errors import Invalid
from cloudms.record import Record

ALL = "all"
"""The setting `regions` that stands for every region of the catalog."""
POLICIES = ("soft-anti-affinity", "anti-affinity", "soft-affinity", "affinity")
SERVICES = ("compute", "image", "network", "volume", "identity")


class Settings(Record):
    """The settings of one cloud.

    `region` is empty when only the catalog can say it; `regions` those that are listed (`all`: every one); `zone` the
    availability zone of new VMs; `endpoints` URLs by service instead of those of the catalog; `network` that of new
    VMs and `floating_network` that of public addresses (the setting `floating_pool`), by name or id; `security_groups`
    of new VMs instead of our own (`none` alone: not any); `server_group` the policy of VMs that are to be spread;
    `flavors` names and patterns that are listed; `connect_timeout` and `read_timeout` in seconds.
    """

    login: Login
    region: str = ""
    regions: tuple[str, ...] = ()
    zone: str = ""
    endpoints: Mapping[str, str] = {}
    network: str = ""
    floating_network: str = ""
    security_groups: tuple[str, ...] = ()
    boot_from_volume: bool = False
    volume_type: str = ""
    config_drive: bool = False
    server_group: str = POLICIES[0]
    flavors: tuple[str, ...] = ()
    connect_timeout: float = 10.0
    read_timeout: float = 60.0


def read(setup: Setup, credentials: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a cloud. Raises: Invalid (an option has a value that it cannot have), Denied, NotFound."""
    options, default = setup.options, setup.default
    login = signin.find(setup.name, options, credentials, environ)
    policy = str(options.get("server_group") or POLICIES[0])
    if policy not in POLICIES:
        raise Invalid(f"server_group cannot be {policy!r}", hint=", ".join(POLICIES))
    said = str(default.get("location") or default.get("region") or options.get("region") or login.region)
    region, zone = place(said)
    return Settings(
        login=login, region=region, regions=words.listed(options.get("regions")) or login.regions,
        zone=zone or str(options.get("zone") or ""),
        endpoints={**login.endpoints, **_endpoints(options.get("endpoint"))},
        network=str(options.get("network") or default.get("network") or ""),
        floating_network=str(options.get("floating_pool") or ""),
        security_groups=words.listed(
            options.get("security_group") or default.get("security_group") or default.get("secgroup")
        ),
        boot_from_volume=words.flag("boot_from_volume", options.get("boot_from_volume")),
        volume_type=str(options.get("volume_type") or ""),
        config_drive=words.flag("config_drive", options.get("config_drive")), server_group=policy,
        flavors=words.listed(options.get("flavors")),
        connect_timeout=words.number("connect_timeout", options.get("connect_timeout"), 10.0),
        read_timeout=words.number("read_timeout", options.get("read_timeout"), 60.0),
    )  # fmt: skip


def place(name: str) -> tuple[str, str]:
    """Return region and zone of a location as it is written: `RegionOne` or `RegionOne/nova`."""
    region, _slash, zone = name.strip().partition("/")
    return region.strip(), zone.strip()


def _endpoints(value: Any) -> dict[str, str]:
    """Return URLs by service. Raises: Invalid."""
    if not value:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("endpoint says which URL is whose", hint="{compute: https://…, network: https://…}")
    given = {str(service): str(url) for service, url in value.items()}
    for service, url in given.items():
        parts = urlsplit(url)
        if service not in SERVICES:
            raise Invalid(f"there is no service {service!r}", hint=f"endpoint knows {', '.join(SERVICES)}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"the endpoint of {service} is not a URL", hint="for instance https://host:8774/v2.1")
    return given
