"""Clusters in the catalog."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from cloudms import paths
from cloudms.clock import backoff, iso
from cloudms.cluster.conf import Place
from cloudms.context import Context, not_found
from cloudms.engine.refresh import event, natural
from cloudms.model import Cluster, Vm

_VAIN = "cluster-vain"
"""The kind of what is kept of a node that does not come up."""
LABEL = "cluster"
"""The label of a node's VM, which names its cluster."""


def find(ctx: Context, name: str) -> Cluster:
    """Return a cluster. Raises: NotFound."""
    stored = ctx.catalog.get("cluster", name)
    if stored is None:
        raise not_found("cluster", name, (each.name for each in every(ctx)), f"cms cluster create {name}")
    return Cluster.from_document(stored.document)


def every(ctx: Context) -> list[Cluster]:
    """Return all clusters in the order of their names."""
    found = [Cluster.from_document(row.document) for row in ctx.catalog.find("cluster")]
    return sorted(found, key=lambda cluster: natural(cluster.name))


def save(ctx: Context, cluster: Cluster, action: str, text: str, operation: str = "") -> Cluster:
    """Store a cluster together with the event that changed it."""
    kept = cluster.with_(nodes={}, jobs={}, vain={}, state="")
    events = [event(ctx, action, cluster, text, operation)]
    ctx.catalog.put("cluster", {cluster.key: kept.to_document()}, events=events)
    return cluster


def forget(ctx: Context, cluster: Cluster, action: str, text: str, operation: str = "") -> None:
    """Remove a cluster's row, and what is kept of its nodes."""
    ctx.catalog.delete(_VAIN, [f"{cluster.name}/{name}" for name in vain(ctx, cluster)])
    ctx.catalog.delete("cluster", [cluster.key], events=[event(ctx, action, cluster, text, operation)])


def in_vain(ctx: Context, cluster: Cluster, name: str, vm: str, reason: str, operation: str = "") -> int:
    """Count that a node was booted in vain, tell it as an event, and return after how many minutes it is tried again.

    Parameters: `vm`, the catalog key of its VM, empty when there was none.
    """
    stored = ctx.catalog.get(_VAIN, f"{cluster.name}/{name}")
    count = int(stored.document["count"]) + 1 if stored else 1
    minutes = round(backoff(count) / 60)
    again = iso(ctx.clock.now() + 60 * minutes)
    text = f"{name} was booted in vain, {count} times in a row; tried again at {again}: {reason}"
    document = {"name": name, "cluster": cluster.name, "vm": vm, "count": count, "text": text}
    told = event(ctx, "cluster.resume", cluster, text, operation)
    ctx.catalog.put(_VAIN, {f"{cluster.name}/{name}": document}, events=[told])
    return minutes


def is_told(ctx: Context, cluster: Cluster, name: str, vm: str) -> bool:
    """Whether it was counted already that this VM of a node came in vain."""
    stored = ctx.catalog.get(_VAIN, f"{cluster.name}/{name}")
    return stored is not None and stored.document["vm"] == vm


def came_up(ctx: Context, cluster: Cluster, name: str) -> bool:
    """Note that a node has come up, and return whether it did not before."""
    stored = ctx.catalog.get(_VAIN, f"{cluster.name}/{name}")
    if stored:
        ctx.catalog.delete(_VAIN, [stored.key])
    return stored is not None


def vain(ctx: Context, cluster: Cluster) -> dict[str, str]:
    """Return what is told of nodes that did not come up lately, by their names."""
    rows = [row.document for row in ctx.catalog.find(_VAIN) if row.document["cluster"] == cluster.name]
    return {str(row["name"]): str(row["text"]) for row in sorted(rows, key=lambda row: natural(row["name"]))}


def joined(ctx: Context, cluster: Cluster, vm: Vm) -> None:
    """Note that a VM has become a node: there may be files of jobs on it from now on."""
    ctx.catalog.put("cluster-node", {vm.key: {"name": vm.name, "cloud": vm.cloud, "cluster": cluster.name}})


def has_joined(ctx: Context, vm: Vm) -> bool:
    """Whether a VM ever became a node."""
    return ctx.catalog.get("cluster-node", vm.key) is not None


def left(ctx: Context, vm: Vm) -> None:
    """Note that the VM of a node is gone."""
    ctx.catalog.delete("cluster-node", [vm.key])


def files_of(cluster: Cluster) -> Path:
    """Return where the files of its jobs are kept on this machine."""
    return Path(cluster.folder) / "files"


def folder_of(name: str) -> Path:
    """Return the folder of a cluster's files."""
    return paths.home() / "clusters" / name


def place_of(cluster: Cluster) -> Place:
    """Return where a cluster's files are on this machine, whose short name Slurm wants to know."""
    return Place(folder=Path(cluster.folder), host=socket.gethostname().split(".")[0], uid=os.getuid())
