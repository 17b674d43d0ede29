"""`cms cluster create`, `start` and `stop`: a Slurm controller on this machine, whose nodes are VMs to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms.cluster import daemons, store
from cloudms.cluster.control import Control
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.errors import Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Cluster, Flavor, Noun, Step
from cloudms.units import duration
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.vm.places import Place, places

ClusterName = Annotated[str, Doc("name of the cluster"), Names("cluster")]
_LONGEST = 20
"""Letters of a name: it begins the names of nodes and stands in the path of a socket."""
_MOST = 1000
_LEAST_MIB = 256
"""Memory of the smallest node that is chosen when no flavor is given."""
_IMAGE = "micro-slurm"
"""What nodes on this machine are booted from when nobody says otherwise."""


@verb(
    "cluster", "create", changes=True, columns=Cluster.columns,
    example="cms cluster create lab --flavor small --max 4",
)  # fmt: skip
def create(
    ctx: Context,
    name: Annotated[str, Doc("name of the cluster; its nodes are NAME-1, NAME-2 …")],
    *,
    image: Annotated[str | None, Doc("image of the nodes; micro-slurm on this machine"), Names("image")] = None,
    flavor: Annotated[str | None, Doc("size of the nodes (cms flavor list)"), Names("flavor")] = None,
    max: Annotated[int, Doc("most nodes at a time, on each cloud")] = 4,  # noqa: A002 (the option's name)
    cloud: Annotated[
        str | None, Doc("cloud of the nodes, or several (a,b): the first is filled first"), Names("cloud")
    ] = None,
    group: Annotated[str | None, Doc("group whose image, flavor and cloud the nodes get"), Names("group")] = None,
    idle: Annotated[str, Doc("how long a node without work is kept, such as 90s or 10m")] = "5m",
    boot_timeout: Annotated[str, Doc("how long a node has to come up; then its jobs wait for another one")] = "10m",
    ttl: Annotated[str | None, Doc("lease of each node, such as 8h, or never; that of its cloud otherwise")] = None,
    address: Annotated[str | None, Doc("address at which nodes on other clouds reach this machine")] = None,
) -> Plan:
    """Set up a Slurm on this machine whose nodes are VMs that come and go with its queue.

    No node is booted now: Slurm asks for one when a job waits, and has it deleted when it was idle for a while. Jobs
    are given to it by Slurm's own commands; `cluster info` tells what SLURM_CONF is for them.
    """
    _check(ctx, name, max)
    daemons.check()
    image, flavor, cloud = _template(ctx, group, image, flavor, cloud)
    found = places(ctx, cloud or "", image or _own_image(ctx, cloud or ""), flavor or "", "")
    pools = [pool(place, number * max, max, address or "") for number, place in enumerate(found)]
    cluster = Cluster(
        name=name, cloud=",".join(place.name for place in found), image=_once(pools, "image"),
        flavor=_once(pools, "flavor"), max=max * len(found), pools=tuple(pools), idle=_seconds(idle, "idle", 5.0),
        boot_timeout=_seconds(boot_timeout, "boot-timeout", 30.0), ttl=ttl or "", address=address or "",
        folder=str(store.folder_of(name)), config=str(store.folder_of(name) / "slurm.conf"), owner=ctx.owner,
    )  # fmt: skip
    daemons.check_place(store.place_of(cluster))
    if ttl:
        duration(ttl)
    return Plan(
        verb="cluster create",
        summary=f"set up the Slurm {name}: at most {cluster.max} nodes of {cluster.image} on {cluster.cloud}",
        steps=(Step(action="cluster.create", cloud="", target=name, params={"cluster": cluster.to_document()}),),
        notes=("nodes that cost money are booted by jobs, without a question",) if _costs(found) else (),
    )


def check_name(ctx: Context, name: str) -> None:
    """Refuse names that a cluster cannot have, or that are taken. Raises: Invalid, Exists."""
    if len(name) > _LONGEST or not name.isascii() or not name.islower() or not name.isalnum():
        hint = f"small letters and digits, at most {_LONGEST}"
        raise Invalid(f"'{name}' cannot be the name of a cluster", hint=hint)
    if ctx.catalog.get("cluster", name) is not None:
        raise Exists(f"there is a cluster '{name}' already", hint=f"cms cluster info {name}")
    if groups.described(ctx, name):
        raise Exists(f"there is a group '{name}', and nodes are in the group of their cluster", hint="another name")


def _check(ctx: Context, name: str, most: int) -> None:
    """Refuse names and numbers that cannot be. Raises: Invalid, Exists."""
    check_name(ctx, name)
    if not 1 <= most <= _MOST:
        raise Invalid(f"--max {most} is not between 1 and {_MOST}", hint="for instance --max 4")


def _template(
    ctx: Context, group: str | None, image: str | None, flavor: str | None, cloud: str | None
) -> tuple[str | None, str | None, str | None]:
    """Return image, flavor and cloud, those that are not given from a group. Raises: NotFound."""
    if not group:
        return image, flavor, cloud
    found = groups.described(ctx, group)
    if found is None:
        raise NotFound(f"no group named '{group}' was described", hint="cms group list")
    return image or found.image or None, flavor or found.flavor or None, cloud or found.cloud or None


def _own_image(ctx: Context, cloud: str) -> str:
    """Return the image of nodes when all clouds are hypervisors; others have images of their own."""
    kinds = {ctx.config.cloud(name).kind for name in ctx.new_clouds(cloud)}
    return _IMAGE if kinds == {"libvirt"} else ""


def pool(place: Place, before: int, most: int, address: str) -> dict[str, Any]:
    """Return the nodes of one cloud: `most` of them after `before` others. Raises: Unsupported, Invalid, NotFound."""
    cloud, settings = place.cloud, place.settings
    if cloud.simulated:
        raise Unsupported(f"the VMs of '{place.name}' are pretended and run no job", hint="--cloud local")
    network = str(settings.default.get("network") or "user")
    behind = settings.kind == "libvirt" and network in ("user", "private")
    if not behind and not address:
        raise Invalid(
            f"nodes on '{place.name}' have to reach this machine", hint="--address, the one under which they see it"
        )
    flavor = cloud.find_flavor(place.flavor) if place.flavor else _smallest(place)
    return {
        "cloud": place.name, "image": place.image, "flavor": flavor.name, "cpus": flavor.vcpus,
        "memory_mib": flavor.memory_mib, "first": before + 1, "last": before + most, "together": not behind,
    }  # fmt: skip


def _smallest(place: Place) -> Flavor:
    """Return the smallest flavor in which a node has room. Raises: NotFound."""
    found = [flavor for flavor in place.cloud.list_flavors() if flavor.memory_mib >= _LEAST_MIB]
    if not found:
        raise NotFound(
            f"'{place.name}' has no flavor that a node fits in", hint=f"cms flavor list --cloud {place.name}"
        )
    return min(found, key=lambda flavor: (flavor.memory_mib, flavor.vcpus))


def _once(pools: Sequence[Mapping[str, Any]], key: str) -> str:
    return ",".join(dict.fromkeys(str(each[key]) for each in pools))


def _costs(found: Sequence[Place]) -> bool:
    return any(place.cloud.costs_money for place in found)


def _seconds(text: str, option: str, least: float) -> float:
    seconds = duration(text)
    if seconds < least:
        raise Invalid(f"--{option} {text} is less than {least:g} s", hint=f"for instance --{option} 5m")
    return seconds


@action("cluster.create")
def _create(work: Work) -> Noun:
    """Write the row, then the files, then start the daemons; an interrupted attempt is gone on with."""
    ctx, step = work.ctx, work.step
    stored = ctx.catalog.get("cluster", step.target)
    if stored:
        cluster = Cluster.from_document(stored.document)
    else:
        port = daemons.free_port(_taken(ctx))
        ports = {"port": port, "node_port": daemons.free_port([*_taken(ctx), port])}
        cluster = Cluster.from_document(step.params["cluster"]).with_(created=ctx.clock.now(), **ports)
        store.save(ctx, cluster, "cluster.create", "asked for", work.operation)
    place = store.place_of(cluster)
    work.report("starting munged and slurmctld")
    daemons.write(cluster, place)
    daemons.start(place, work.ctx.clock)
    _answers(work, cluster)
    return store.save(ctx, cluster.with_(state="running"), "cluster.create", "running", work.operation)


def _taken(ctx: Context) -> list[int]:
    return [port for each in store.every(ctx) for port in (each.port, each.node_port)]


def _answers(work: Work, cluster: Cluster) -> None:
    """Wait until the controller answers. Raises: NotReady, Interrupted."""
    end = work.ctx.clock.monotonic() + 60.0
    while True:
        try:
            Control(cluster).run("scontrol", "ping", limit=10.0)
            return
        except NotReady:
            if work.ctx.clock.monotonic() > end:
                raise
        work.report("waiting until slurmctld answers")
        work.ctx.pause(0.25)


def own(cluster: Cluster) -> Cluster:
    """Return a cluster whose controller is on this machine. Raises: Unsupported."""
    if cluster.ssh:
        raise Unsupported(
            f"{cluster.name} is elsewhere ({cluster.ssh}) and not ours to start or stop", hint="cms cluster info"
        )
    return cluster


@verb("cluster", "start", changes=True, columns=Cluster.columns, example="cms cluster start lab")
def start(ctx: Context, name: ClusterName) -> Plan:
    """Start the controller again, after a stop or after this machine was; its queue is as it was."""
    cluster = own(store.find(ctx, name))
    daemons.check()
    return _on_off("start", cluster)


@verb("cluster", "stop", changes=True, columns=Cluster.columns, example="cms cluster stop lab")
def stop(ctx: Context, name: ClusterName) -> Plan:
    """Stop the controller; jobs on nodes run on, and nodes stay until it runs again or the cluster is deleted."""
    return _on_off("stop", own(store.find(ctx, name)))


def _on_off(word: str, cluster: Cluster) -> Plan:
    step = Step(action=f"cluster.{word}", cloud="", target=cluster.name)
    return Plan(verb=f"cluster {word}", summary=f"{word} the controller of {cluster.name}", steps=(step,))


@action("cluster.start")
def _start(work: Work) -> Noun:
    cluster = store.find(work.ctx, work.step.target)
    place = store.place_of(cluster)
    daemons.write(cluster, place)
    daemons.start(place, work.ctx.clock)
    _answers(work, cluster)
    return store.save(work.ctx, cluster.with_(state="running"), "cluster.start", "running", work.operation)


@action("cluster.stop")
def _stop(work: Work) -> Noun:
    cluster = store.find(work.ctx, work.step.target)
    daemons.stop(store.place_of(cluster), work.ctx.clock)
    return store.save(work.ctx, cluster.with_(state="stopped"), "cluster.stop", "stopped", work.operation)
