"""`cms group create`: a group, and the VMs it begins with, side by side on its clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups, userdata
from cloudms.engine.process import alive, this_process
from cloudms.engine.refresh import event
from cloudms.engine.reserve import new_token
from cloudms.errors import Exists, Invalid
from cloudms.model import Group, Step, Vm
from cloudms.verb import Doc, File, Names, Short, verb
from cloudms.verbs.labels import PutLabels
from cloudms.verbs.vm.order import Order, ordered, readable

COLUMNS = ("name", "cloud", "state", "desired", "image", "flavor", "public_ips", "login", "expires")

Selector = Annotated[dict[str, str] | None, Doc("whatever has this label is a member, now and later")]
Least = Annotated[int | None, Doc("members it never has fewer of")]
Most = Annotated[int | None, Doc("members it never has more of")]
Wait = Annotated[Literal["ready", "running", "none"] | None, Doc("what to wait for")]
Seconds = Annotated[float | None, Doc("seconds to wait at most")]


@verb("group", "create", changes=True, columns=COLUMNS, example="cms group create web --size 4 --cloud local,aws")
def create(
    ctx: Context,
    name: Annotated[str, Doc("name of the group")],
    *,
    size: Annotated[int | None, Doc("how many VMs to boot, over all its clouds"), Short("s")] = None,
    min: Least = None,  # noqa: A002 (the option's name)
    max: Most = None,  # noqa: A002 (the option's name)
    cloud: Annotated[
        str | None, Doc("cloud its VMs are booted on, or several: a,b; the default cloud otherwise"), Names("cloud")
    ] = None,
    image: Annotated[str | None, Doc("image they boot from; each cloud's own otherwise"), Names("image")] = None,
    flavor: Annotated[str | None, Doc("size of the VMs (cms flavor list)"), Names("flavor")] = None,
    base: Annotated[str | None, Doc("what their names begin with, such as web01; NAME-1 otherwise")] = None,
    selector: Selector = None,
    key: Annotated[str | None, Doc("key that is let in"), Names("key")] = None,
    label: PutLabels = None,
    disk: Annotated[int | None, Doc("size of their disks in GiB, at least the image's")] = None,
    network: Annotated[str | None, Doc("network they join (cloud-specific; 'private' on libvirt)")] = None,
    user_data: Annotated[
        Path | None, Doc("file with cloud-init user data or a script for the first boot"), File()
    ] = None,
    region: Annotated[str | None, Doc("region or zone they stand in (cms location list)"), Names("location")] = None,
    spot: Annotated[bool, Doc("cheaper, but the cloud may take them back")] = False,
    open: Annotated[  # noqa: A002 (the option's name)
        str | None, Doc("ports beside SSH that are opened to everybody, such as 80,443")
    ] = None,
    secgroup: Annotated[
        list[str] | None, Doc("security group they are in beside their own; several with commas"), Names("secgroup")
    ] = None,
    spread: Annotated[bool, Doc("on different hosts, where the cloud lets one ask for it")] = False,
    ttl: Annotated[str | None, Doc("lease after which they end themselves, such as 8h or 2d, or never")] = None,
    wait: Wait = None,
    timeout: Seconds = None,
) -> Plan:
    """Make a group, and boot its VMs side by side, spread evenly over its clouds.

    What is told here is kept: `group scale` boots more VMs like these. Those that could be booted stay in the group
    when others could not, and `group scale NAME` boots what is missing. A group may also begin empty (`group add`),
    or have every VM with a label as its member (`--selector`). Labels stand on the group and on the VMs it boots.
    """
    clouds = ctx.new_clouds(cloud or "")
    wanted = bounded(name, size if size is not None else min or 0, min, max)
    _check_free(ctx, naming.valid(name))
    order = Order(
        image=image or "",
        flavor=flavor or "",
        cloud=",".join(clouds),
        name=naming.valid(base or f"{name}-1"),
        key=key or "",
        labels=naming.labels(label),
        group=name,
        disk=disk,
        network=network or "",
        user_data=readable(user_data),
        region=region or "",
        spot=spot,
        ports=open or "",
        secgroups=tuple(secgroup or ()),
        spread=spread,
        ttl=ttl or "",
        wait=wait or "",
        timeout=timeout,
    )
    group = Group(
        name=name,
        cloud=order.cloud,
        desired=None if size is None and min is None else wanted,
        min=min,
        max=max,
        image=order.image,
        flavor=order.flavor,
        labels=order.labels,
        selector=naming.labels(selector),
        template=kept(order),
        owner=ctx.owner,
        token=new_token(ctx),
    )
    boot = ordered(ctx, order, shares(clouds, {}, wanted)) if wanted else Plan(verb="", summary="", steps=())
    what = f"make the group {name}"
    return boot.with_(
        verb="group create",
        summary=f"{what} and {boot.summary}" if wanted else what,
        steps=(Step(action="group.create", cloud="", target=name, params=group_params(group)), *boot.steps),
    )


def bounded(name: str, size: int, least: int | None, most: int | None) -> int:
    """Return the size of a group when it is one and within its bounds. Raises: Invalid."""
    for option, value in (("size", size), ("min", least), ("max", most)):
        if value is not None and value < 0:
            raise Invalid(f"{value} is not a number of VMs", hint=f"the {option} is 0 or more")
    if least is not None and most is not None and least > most:
        raise Invalid(f"--min {least} is more than --max {most}", hint="the first is the smaller one")
    if least is not None and size < least:
        raise Invalid(f"the group '{name}' has never fewer than {least} members", hint=f"--min {size} allows {size}")
    if most is not None and size > most:
        raise Invalid(f"the group '{name}' has never more than {most} members", hint=f"--max {size} allows {size}")
    return size


def shares(clouds: Sequence[str], have: Mapping[str, int], more: int) -> dict[str, int]:
    """Return how many of so many new members each cloud gets, so that all have about as many; none of them 0.

    Parameters: `have`, the members that clouds have; of clouds with equally many the first named comes first.
    """
    counts = dict.fromkeys(clouds, 0)
    for _ in range(more):
        least = min(clouds, key=lambda cloud: have.get(cloud, 0) + counts[cloud])
        counts[least] += 1
    return {cloud: count for cloud, count in counts.items() if count}


def kept(order: Order) -> dict[str, Any]:
    """Return what of an order a group keeps: what was told, and not what the group itself tells."""
    told = order.to_document()
    return {key: value for key, value in told.items() if value not in ("", None, False, [], {}) and key not in _OWN}


_OWN = ("group", "labels", "image", "flavor", "cloud", "timeout")


def group_params(group: Group) -> dict[str, Any]:
    """Return a new group as the parameters of a step."""
    return {key: value for key, value in group.to_document().items() if value not in ("", None, {}, [])}


def _check_free(ctx: Context, name: str) -> None:
    """Refuse a name that a group has. Raises: Exists."""
    group = groups.described(ctx, name)
    known = groups.all_vms(ctx, fresh=False)
    found = groups.members_of(Group(name=name), known)
    if (group and not _abandoned(ctx, group)) or found:
        raise Exists(f"the group '{name}' is there already", hint=f"cms group scale {name} N, or cms group info {name}")


def _abandoned(ctx: Context, group: Group) -> bool:
    """Whether a group is an intent whose process was killed before its operation was written down."""
    if group.created is not None or alive(str(group.raw.get("process", ""))):
        return False
    rows = (Vm.from_document(row.document) for row in ctx.catalog.find("vm"))
    begun = any(
        step.get("action") == "group.create" and step.get("target") == group.name
        for row in ctx.catalog.find("operation", text="group create")
        for step in row.document["steps"]
    )
    return not begun and not groups.members_of(Group(name=group.name), rows)


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Write the group down before any VM is asked for. Raises: Exists."""
    for step in steps:
        group = Group.from_document({**step.params, "raw": {"process": this_process()}})
        if group.template.get("user_data"):
            userdata.keep(group.token, Path(group.template["user_data"]))  # the file may change, or be an upload
        told = event(ctx, "group.create", group, f"asked for, of {group.desired or 0}")
        while not ctx.catalog.insert("group", group.name, group.to_document(), event=told):
            stored = ctx.catalog.get("group", group.name)
            if stored is None:
                continue
            there = Group.from_document(stored.document)
            if there.token == group.token:
                break
            if not _abandoned(ctx, there):
                raise Exists(f"the group '{group.name}' is there already", hint=f"cms group info {group.name}")
            if ctx.catalog.replace("group", group.name, group.to_document(), version=stored.version, event=told):
                break
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    """Forget a group that was cancelled before it began, unless it has members."""
    group = groups.described(ctx, step.target)
    if group and group.token == step.params["token"]:
        ctx.catalog.delete("group", [group.name], events=[event(ctx, "group.create", group, "not begun")])
        userdata.drop(group.token)


@action("group.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Group:
    """Say that the group is there; its VMs are booted beside."""
    done = groups.change(work.ctx, work.step.target, lambda group: group.with_(raw={}), "made", work.operation)
    return groups.shown(done, (Vm.from_document(row.document) for row in work.ctx.catalog.find("vm")))
