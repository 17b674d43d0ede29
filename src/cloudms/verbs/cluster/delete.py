"""`cms cluster delete`: the controller with its queue, and every node."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cloudms.cluster import daemons, store
from cloudms.cluster.control import ENDED, Control, width
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine import vms as change
from cloudms.errors import CloudmsError, Conflict, NotReady, Timeout
from cloudms.model import Cluster, Noun, Step, Vm
from cloudms.verb import Doc, verb
from cloudms.verbs.cluster.make import ClusterName
from cloudms.verbs.cluster.nodes import emptied


@verb("cluster", "delete", changes=True, columns=("name", "state"), example="cms cluster delete lab --yes")
def delete(
    ctx: Context,
    name: ClusterName,
    *,
    force: Annotated[bool, Doc("also while jobs wait or run, which are lost")] = False,
) -> Plan:
    """Stop a cluster's controller and delete its nodes and its queue; one that is elsewhere is only forgotten.

    What jobs wrote to /cluster on their nodes is kept in the folder `files` of the cluster.
    """
    cluster = store.find(ctx, name)
    if cluster.ssh:
        step = Step(action="cluster.delete", cloud="", target=name)
        return Plan(verb="cluster delete", summary=f"forget {name}, which stays as it is", steps=(step,))
    busy = _busy(cluster)
    if busy and not force:
        raise Conflict(
            f"{name} has {busy} jobs that wait or run", hint=f"scancel them, or: cms cluster delete {name} --force"
        )
    nodes = _nodes(ctx, cluster)
    what = f"{name} and its {len(nodes)} nodes" if nodes else name
    return Plan(
        verb="cluster delete",
        summary=f"delete {what}",
        question=f"Delete {what} with its queue for good?",
        steps=(Step(action="cluster.delete", cloud="", target=name),),
    )


def _busy(cluster: Cluster) -> int:
    """Return how many jobs wait or run; a controller that does not answer has none that could go on."""
    if not daemons.runs(store.place_of(cluster)):
        return 0
    try:
        jobs = Control(cluster).jobs()
    except CloudmsError:
        return 0
    return sum(max(1, width(job.tasks)) for job in jobs if job.state not in ENDED)


def _nodes(ctx: Context, cluster: Cluster) -> list[Vm]:
    rows = ctx.catalog.find("vm", labels={store.LABEL: cluster.name})
    return [vm for row in rows if (vm := Vm.from_document(row.document)).group == cluster.name]


@action("cluster.delete")
def _delete(work: Work) -> Noun:
    """Stop the daemons first, so that no node is booted any more; the row goes last, so that a resume ends the rest."""
    ctx, name = work.ctx, work.step.target
    stored = ctx.catalog.get("cluster", name)
    if stored is None:
        return Cluster(name=name, state="deleted")
    cluster = Cluster.from_document(stored.document)
    if not cluster.ssh:
        daemons.stop(store.place_of(cluster), ctx.clock)
        for vm in _nodes(ctx, cluster):
            try:
                emptied(work, cluster, vm)
            except (NotReady, Timeout) as error:
                ctx.warn(f"{vm.name} is deleted with the files of its jobs: {error.message}")
            work.report(f"deleting {vm.name}")
            step = Step(action="vm.delete", cloud=vm.cloud, target=vm.name, params={"key": vm.key})
            change.delete(Work(ctx, step, work.operation))
        _clear(Path(cluster.folder))
    store.forget(ctx, cluster, "cluster.delete", "deleted", work.operation)
    return cluster.with_(state="deleted")


def _clear(folder: Path) -> None:
    """Remove all of a cluster's folder but the files of jobs."""
    if not folder.is_dir():
        return
    for part in folder.iterdir():
        if part.name != "files":
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    with suppress(OSError):
        folder.rmdir()
