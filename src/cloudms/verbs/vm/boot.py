"""`cms vm boot`: from an image to a VM that lets you in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cloudms import names
from cloudms.context import Context
from cloudms.engine import Plan
from cloudms.verb import Doc, File, Names, Short, verb
from cloudms.verbs.labels import PutLabels
from cloudms.verbs.vm.order import Order, ordered, readable


@verb(
    "vm",
    "boot",
    changes=True,
    aliases=["create"],
    example="cms vm boot micro --name web --count 3",
    columns=["name", "cloud", "state", "image", "flavor", "public_ips", "login", "expires"],
)
def boot(
    ctx: Context,
    image: Annotated[str | None, Doc("image to boot from; the cloud's default image otherwise"), Names("image")] = None,
    *,
    name: Annotated[str | None, Doc("name, or base of the names when --count is given"), Short("n")] = None,
    count: Annotated[int, Doc("how many VMs, on each cloud")] = 1,
    cloud: Annotated[
        str | None, Doc("cloud to boot on, or several: a,b; the default cloud otherwise"), Names("cloud")
    ] = None,
    flavor: Annotated[str | None, Doc("size of the VM (cms flavor list)"), Names("flavor")] = None,
    key: Annotated[
        str | None, Doc("key that is let in; cloudms' own and your usual ones otherwise"), Names("key")
    ] = None,
    label: PutLabels = None,
    group: Annotated[str | None, Doc("group it is booted for (cms group list)"), Names("group")] = None,
    disk: Annotated[int | None, Doc("size of its disk in GiB, at least the image's")] = None,
    network: Annotated[str | None, Doc("network it joins (cloud-specific; 'private' on libvirt)")] = None,
    user_data: Annotated[
        Path | None, Doc("file with cloud-init user data or a script for the first boot"), File()
    ] = None,
    region: Annotated[str | None, Doc("region or zone it stands in (cms location list)"), Names("location")] = None,
    spot: Annotated[bool, Doc("cheaper, but the cloud may take it back")] = False,
    open: Annotated[  # noqa: A002 (the option's name)
        str | None, Doc("ports beside SSH that are opened to everybody, such as 80,443")
    ] = None,
    secgroup: Annotated[
        list[str] | None, Doc("security group it is in beside its own; several with commas"), Names("secgroup")
    ] = None,
    spread: Annotated[bool, Doc("on different hosts, where the cloud lets one ask for it")] = False,
    hibernate: Annotated[bool, Doc("make it so that vm stop --save works, where that is decided at boot")] = False,
    ttl: Annotated[str | None, Doc("lease after which it ends itself, such as 8h or 2d, or never")] = None,
    wait: Annotated[Literal["ready", "running", "none"] | None, Doc("what to wait for")] = None,
    timeout: Annotated[float | None, Doc("seconds to wait at most")] = None,
) -> Plan:
    """Boot one or more VMs, on one cloud or on each of several.

    A base name that is taken is incremented (web, web-1 …); a single `--name` that is taken is refused. By default the
    command waits until SSH lets you in and the first boot has finished (`ready`) on libvirt, until `running` elsewhere.
    Several VMs are asked for with one request where the cloud can. The price is told before, where it is known.

    Several clouds (`--cloud local,aws`) boot at the same time, `--count` VMs on each. What one of them does not have
    (image, flavor, region) is refused before anything; where these are left out, each cloud takes its own.
    """
    order = Order(
        image=image or "",
        flavor=flavor or "",
        cloud=cloud or "",
        name=name or "",
        exact=True,
        key=key or "",
        labels=names.labels(label),
        group=names.valid(group) if group else "",
        disk=disk,
        network=network or "",
        user_data=readable(user_data),
        region=region or "",
        spot=spot,
        ports=open or "",
        secgroups=tuple(secgroup or ()),
        spread=spread,
        hibernate=hibernate,
        ttl=ttl or "",
        wait=wait or "",
        timeout=timeout,
    )
    return ordered(ctx, order, dict.fromkeys(ctx.new_clouds(order.cloud), count)).with_(verb="vm boot")
