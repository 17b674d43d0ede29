"""`cms cluster add`: a Slurm that is there already, on a machine that SSH reaches."""

from __future__ import annotations

from typing import Annotated

from cloudms.cluster import store
from cloudms.cluster.control import Control
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, keys
from cloudms.errors import Invalid
from cloudms.model import Cluster, Noun, Step
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.cluster.make import check_name


@verb(
    "cluster", "add", changes=True, columns=("name", "state", "ssh", "created"),
    example="cms cluster add hpc --ssh ada@login.example.org",
)  # fmt: skip
def add(
    ctx: Context,
    name: Annotated[str, Doc("what to call it here")],
    *,
    ssh: Annotated[str, Doc("user@host where Slurm's commands are, or a host of ~/.ssh/config")],
    key: Annotated[str | None, Doc("key that lets you in there (cms key list)"), Names("key")] = None,
) -> Plan:
    """Make a Slurm known that is there already, for experiments with `--engine slurm`.

    It is reached by your own SSH, which must ask nothing, with your own keys unless `--key` names one. Your home there
    has to be the same on all its nodes, since results pass through it. Nothing of it is changed, and `cluster delete`
    only forgets it.
    """
    check_name(ctx, name)
    if not ssh or ssh.startswith("-") or any(c.isspace() for c in ssh):
        raise Invalid(f"'{ssh}' is not a place that ssh reaches", hint="for instance --ssh ada@login.example.org")
    params = {"ssh": ssh, "ssh_key": _private(ctx, key) if key else ""}
    step = Step(action="cluster.add", cloud="", target=name, params=params)
    return Plan(verb="cluster add", summary=f"make the Slurm at {ssh} known as {name}", steps=(step,))


def _private(ctx: Context, name: str) -> str:
    """Return the private file of a key of the catalog. Raises: NotFound, Invalid (only its public half is here)."""
    key = keys.ensure_own(ctx) if name == keys.OWN else keys.find(ctx, name)
    if not key.private_path:
        hint = "a key of cms key create, or an import with its private file, has it"
        raise Invalid(f"the private half of the key '{name}' is not known here", hint=hint)
    return key.private_path


@action("cluster.add")
def _add(work: Work) -> Noun:
    """Ask it for its queue, so that one which does not answer is not taken in."""
    ctx, step = work.ctx, work.step
    cluster = Cluster(
        name=step.target, ssh=step.params["ssh"], ssh_key=step.params.get("ssh_key", ""), owner=ctx.owner,
        created=ctx.clock.now(), folder=str(store.folder_of(step.target)),
    )  # fmt: skip
    work.report(f"asking {cluster.ssh}")
    Control(cluster).jobs()
    return store.save(ctx, cluster.with_(state="running"), "cluster.add", "added", work.operation)
