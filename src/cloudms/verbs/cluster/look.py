"""`cms cluster list` and `info`."""

from __future__ import annotations

from cloudms.cluster import daemons, store
from cloudms.cluster.control import ENDED, Control, counted, width
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.errors import CloudmsError
from cloudms.model import Cluster
from cloudms.verb import verb
from cloudms.verbs.cluster.make import ClusterName


@verb("cluster", "list", columns=Cluster.columns, example="cms cluster list")
def list_(ctx: Context) -> Listing:
    """List the clusters, whether they run, their nodes and jobs by state."""
    return Listing(items=tuple(seen(ctx, cluster) for cluster in store.every(ctx)))


@verb("cluster", "info", example="cms cluster info lab")
def info(ctx: Context, name: ClusterName) -> Cluster:
    """Show everything that is known of one cluster; `config` is what SLURM_CONF has to name for Slurm's commands."""
    cluster = seen(ctx, store.find(ctx, name))
    if not cluster.ssh and cluster.state == "running":
        ctx.note(f"export SLURM_CONF={cluster.config}   then sbatch, squeue, sinfo, scancel")
    return cluster


def seen(ctx: Context, cluster: Cluster) -> Cluster:
    """Return a cluster with what its controller says now; one that does not answer says so as its state."""
    cluster = cluster.with_(vain=store.vain(ctx, cluster))
    if not cluster.ssh and not daemons.runs(store.place_of(cluster)):
        return cluster.with_(state="stopped")
    control = Control(cluster)
    try:
        nodes, jobs = control.nodes(), control.jobs()
    except CloudmsError as error:
        return cluster.with_(state=error.message)
    words = [word for job in jobs if job.state not in ENDED for word in [job.state.lower()] * max(1, width(job.tasks))]
    return cluster.with_(state="running", nodes=counted(node.word for node in nodes), jobs=counted(words))
