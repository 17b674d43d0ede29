"""What a boot asks for that only some clouds can, refused before any call by those that cannot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudms.clouds.base import Cloud, Locations, OpenPorts, Role, Save, SecGroups, Spot, Spread
from cloudms.context import Context
from cloudms.engine import things
from cloudms.engine.browse import named
from cloudms.engine.reserve import new_token
from cloudms.errors import Invalid, NotFound
from cloudms.model import SecGroup
from cloudms.record import Record
from cloudms.verbs.secgroup.look import groups_of


class Wishes(Record):
    """What is asked of every cloud of a boot: `ports` that are opened, `secgroups` by name or id, `spread` a token."""

    region: str = ""
    spot: bool = False
    ports: tuple[int, ...] = ()
    hibernate: bool = False
    secgroups: tuple[str, ...] = ()
    spread: str = ""


def wishes(
    ctx: Context,
    *,
    region: str | None,
    spot: bool,
    ports: str | None,
    hibernate: bool,
    secgroups: Iterable[str] | None,
    spread: bool,
) -> Wishes:
    """Return the options of a command as wishes. Raises: Invalid (ports, a group without a name)."""
    words = [word.strip() for text in secgroups or () for word in text.split(",")]
    if not all(words):
        raise Invalid("--secgroup names no security group", hint="cms secgroup list shows them")
    return Wishes(
        region=region or "",
        spot=spot,
        ports=tuple(_ports(ports)),
        hibernate=hibernate,
        secgroups=tuple(dict.fromkeys(words)),
        spread=new_token(ctx) if spread else "",
    )


def options(ctx: Context, cloud: Cloud, wanted: Wishes) -> dict[str, Any]:
    """Return the options of the VMs of one cloud. Raises: Unsupported, NotFound (a security group)."""
    roles: dict[type[Role], bool] = {
        Locations: bool(wanted.region),
        Spot: wanted.spot,
        OpenPorts: bool(wanted.ports),
        Save: wanted.hibernate,
        SecGroups: bool(wanted.secgroups),
        Spread: bool(wanted.spread),
    }
    for role, asked in roles.items():
        if asked:
            things.able(ctx, cloud.name, role)
    found = {
        "spot": wanted.spot,
        "open": list(wanted.ports),
        "hibernate": wanted.hibernate,
        "secgroups": [_group(ctx, cloud, name, wanted.region) for name in wanted.secgroups],
        "spread": wanted.spread,
    }
    return {name: value for name, value in found.items() if value}


def _group(ctx: Context, cloud: Cloud, name: str, region: str) -> str:
    """Return the name or id of a security group that the cloud has. Raises: NotFound."""
    found = named(ctx, "secgroup", name, groups_of, cloud=cloud.name, role=SecGroups)
    if region and not any(isinstance(group, SecGroup) and _near(group.region, region) for group in found):
        raise NotFound(
            f"the security group '{name}' is in {', '.join(group.region for group in found)} and not in {region}",
            hint=f"cms secgroup create {name} --cloud {cloud.name} --region {region}",
        )
    return name


def _near(place: str, region: str) -> bool:
    """Whether a group of a place can be given to VMs of a region or zone, which clouds call by longer names."""
    return not place or place.startswith(region) or region.startswith(place)


def _ports(text: str | None) -> list[int]:
    """Return the ports of `80,443`. Raises: Invalid."""
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    for word in words:
        if not (word.isascii() and word.isdecimal() and 0 < int(word) < 65536):
            raise Invalid(f"--open {word!a} is not a port", hint="numbers from 1 to 65535, such as --open 80,443")
    return sorted({int(word) for word in words})
