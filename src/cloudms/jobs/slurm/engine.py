"""The engine that gives tasks to Slurm: an array of jobs, of which each is one task; Slurm chooses nodes and has them
booted.

The group of the experiment is the cluster. What spans nodes, or wants nodes of its own, is not for this engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from cloudms.cluster import store as clusters
from cloudms.cluster.control import Control
from cloudms.context import Context
from cloudms.errors import CloudmsError, NotFound, Unsupported
from cloudms.jobs import store
from cloudms.jobs.base import ENDED, Progress
from cloudms.jobs.slurm import arrays, printed, results
from cloudms.jobs.slurm.passing import Pass, seen
from cloudms.jobs.spec import Spec
from cloudms.model import Cluster, Experiment, Step, Task

_DRIVERS = itertools.count(1)


class SlurmEngine:
    """Runs tasks as jobs of a Slurm."""

    name = "slurm"

    def __init__(self) -> None:
        self._holder = f"slurm{next(_DRIVERS)}"

    def plan(self, ctx: Context, experiment: Experiment) -> list[Step]:
        """Return what would be done. Raises: NotFound (the cluster), Unsupported (nodes of its own)."""
        cluster = self._cluster(ctx, experiment)
        params = {"tasks": experiment.tasks, "nodes": f"at most {cluster.max}" if cluster.max else cluster.ssh}
        return [Step(action="slurm.submit", cloud=cluster.cloud, target=cluster.name, params=params)]

    def start(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Make the experiment run. Raises: as `plan`, NotReady (the controller does not answer)."""
        Control(self._cluster(ctx, experiment)).run("scontrol", "ping")

        def to(now: Experiment) -> Experiment:
            if now.status != "waiting":
                return now
            return now.with_(status="running", started=now.started or ctx.clock.now(), reason="")

        return store.change(ctx, experiment, to, action="experiment.start", text="begun")

    def step(self, ctx: Context, experiment: Experiment) -> Progress:
        """Make one pass, unless another process has the turn. Raises: NotFound, NotReady, Timeout, Unsupported."""
        with store.turn(ctx, experiment, self._holder) as mine:
            experiment = store.find(ctx, experiment.name)
            if not mine or experiment.status in ENDED:
                return seen(ctx, experiment, mine=mine)
            if experiment.status == "waiting":
                experiment = self.start(ctx, experiment)
            return Pass(ctx, experiment, self._cluster(ctx, experiment)).make()

    def cancel(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Ask it to end; the next passes cancel its jobs."""

        def to(now: Experiment) -> Experiment:
            return now if now.status in ENDED else now.with_(cancel=True)

        return store.change(ctx, experiment, to, action="experiment.cancel", text="asked to end")

    def logs(self, ctx: Context, task: Task, *, follow: bool = False, stderr: bool = False) -> Iterator[str]:
        """Yield what a task has printed. Raises: NotReady (it has not begun, or its node cannot be asked)."""
        return printed.printed(ctx, task, follow=follow, stderr=stderr)

    def delete(self, ctx: Context, experiment: Experiment) -> None:
        """Cancel what Slurm still has of it and remove what was brought here beside its folder."""
        try:
            cluster = self._cluster(ctx, experiment)
            jobs = [str(array.job) for array in arrays.load(ctx, experiment) if array.job and array.tasks]
            if jobs:
                Control(cluster).run("scancel", *jobs)
            results.clear(ctx, cluster, experiment)
        except CloudmsError as error:
            ctx.warn(f"Slurm may still have jobs of {experiment.name}: {error.message}")
        arrays.forget(ctx, experiment)

    def _cluster(self, ctx: Context, experiment: Experiment) -> Cluster:
        spec = Spec.from_document(experiment.spec)
        if spec.boot is not None:
            hint = "cms cluster create NAME --max 4, then --group NAME"
            raise Unsupported("Slurm has its nodes booted by itself: an experiment boots none for it", hint=hint)
        try:
            return clusters.find(ctx, spec.group)
        except NotFound as error:
            raise NotFound(f"no cluster named '{spec.group}' to run on", hint=error.hint) from None
