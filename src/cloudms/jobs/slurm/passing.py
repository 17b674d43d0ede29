"""One pass over an experiment in Slurm: submit what waits, look at the queue, take what has ended."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from cloudms.cluster.conf import SHARED
from cloudms.cluster.control import ENDED as OVER
from cloudms.cluster.control import Control, Job
from cloudms.context import Context
from cloudms.errors import NotReady, Timeout
from cloudms.jobs import store
from cloudms.jobs import task as change
from cloudms.jobs.base import Progress
from cloudms.jobs.exchange import note
from cloudms.jobs.slurm import arrays, batch, results
from cloudms.jobs.slurm.arrays import Array
from cloudms.jobs.spec import Spec
from cloudms.jobs.task import OPEN, PLACED, Ending
from cloudms.jobs.values import collected
from cloudms.model import Cluster, Experiment, Task

_SHORT, _LONG = 2.0, 5.0
"""Seconds between passes: when something has happened, and when nothing has."""
_WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")


def seen(ctx: Context, experiment: Experiment, *, mine: bool) -> Progress:
    """Return how far an experiment is without doing anything."""
    counts = Counter(task.status for task in store.tasks(ctx, experiment.name))
    return Progress(experiment=experiment, tasks=dict(counts), pause=_SHORT, mine=mine)


class Pass:
    """One pass over an experiment whose turn this process has."""

    def __init__(self, ctx: Context, experiment: Experiment, cluster: Cluster) -> None:
        self.ctx = ctx
        self.experiment = experiment
        self.cluster = cluster
        self.control = Control(cluster)
        self.spec = Spec.from_document(experiment.spec)
        self.now = ctx.clock.now()
        self.tasks = store.tasks(ctx, experiment.name)
        self.arrays = arrays.load(ctx, experiment)
        self.changed: dict[str, Task] = {}
        self.notes: list[str] = []

    def make(self) -> Progress:
        """Make it."""
        jobs = self.control.jobs()
        fresh = self._adopt(jobs)
        if self.experiment.cancel:
            self._cancel()
        ended: dict[str, list[tuple[Array, int, Job | None]]] = {}
        for array in self.arrays:
            if array.number in fresh or not array.job:  # the queue was asked before it was submitted
                continue
            found = arrays.by_task(jobs, array.job)
            for number in array.tasks:
                job = found.get(number)
                if job is None or job.state in OVER:
                    node = job.node if job and job.node else self.tasks[number - 1].node
                    ended.setdefault(node, []).append((array, number, job))
                else:
                    self._follow(array, number, job)
        for node, those in ended.items():
            self._collect(node, those)
        if not self.experiment.cancel:
            self._submit()
        return self._told()

    # submitting

    def _adopt(self, jobs: list[Job]) -> set[int]:
        """Find the job of a submission that a killed process did not write down; submit it when there is none.

        Return the numbers of those that were submitted now.
        """
        fresh = set()
        for array in self.arrays:
            if array.job:
                continue
            name = arrays.name_of(self.experiment, array.number)
            job = next((job.array for job in jobs if job.name == name), 0)
            if job or not self.experiment.cancel:
                fresh |= set() if job else {array.number}
                self._put(array.with_(job=job or self._sbatch(array)))
        return fresh

    def _submit(self) -> None:
        """Submit what waits and Slurm does not have, as one array; the submission is written down before."""
        has = {number for array in self.arrays for number in array.tasks}
        numbers = tuple(task.number for task in self.tasks if task.status == "waiting" and task.number not in has)
        if not numbers:
            return
        array = Array(number=len(self.arrays) + 1, tasks=numbers)
        self._put(array)
        self._put(array.with_(job=self._sbatch(array)))

    def _sbatch(self, array: Array) -> int:
        tasks = [self.tasks[number - 1] for number in array.tasks]
        most = batch.LIMIT_ELSEWHERE if self.cluster.ssh else batch.OWN_LIMIT
        root = "" if self.cluster.ssh else SHARED
        script = batch.text(self.experiment, self.spec, tasks, array.number, root=root, most=most)
        printed = self.control.run(
            "sbatch", "--parsable", f"--array={batch.ranges(array.tasks)}", "--requeue", "--nodes=1", "--ntasks=1",
            f"--job-name={arrays.name_of(self.experiment, array.number)}", "--output=/dev/null", "--chdir=/tmp",
            "--export=LANG=C.UTF-8", given=script, limit=300.0,
        )  # fmt: skip
        number = printed.strip().partition(";")[0]
        if not number.isdecimal():
            raise NotReady(f"{self.cluster.name}: sbatch printed '{printed.strip()[:80]}'", hint="try again")
        return int(number)

    def _put(self, array: Array) -> None:
        """Keep a submission as it is now."""
        others = [each for each in self.arrays if each.number != array.number]
        self.arrays = sorted([*others, array], key=lambda each: each.number)
        arrays.save(self.ctx, self.experiment, self.arrays)

    def _settle(self, array: Array, number: int) -> None:
        """Note that nothing more is expected of a task of a submission."""
        now = next(each for each in self.arrays if each.number == array.number)
        self._put(now.without(number))

    # following

    def _follow(self, array: Array, number: int, job: Job) -> None:
        """Take over what the queue says of a task that has not ended."""
        task = self.tasks[number - 1]
        again = job.restarts > array.restarts.get(str(number), 0)
        if again:
            now = next(each for each in self.arrays if each.number == array.number)
            self._put(now.with_(restarts={**now.restarts, str(number): job.restarts}))
        if task.status in PLACED and (again or job.state in _WAITS or (job.node and job.node != task.node)):
            reason = f"its node {task.node} was lost, Slurm begins it again"
            self.notes.append(f"{task.name}: {reason}")
            task = self._change(task, lambda each: change.lost(each, reason, self.now, self.spec.moves))
            if task.status == "failed":  # lost too often
                self.control.call(["scancel", f"{array.job}_{number}"])
                self._settle(array, number)
                return
        if job.state in _WAITS or not job.node:
            return
        self._placed(task, job)

    def _placed(self, task: Task, job: Job) -> Task:
        """Say where a task is, and that it runs."""
        if task.status == "waiting":
            given = partial(change.given, node=job.node, cloud=self._cloud, now=self.now)
            task = self._change(task, given)
        if task.status == "starting" and job.state not in ("CONFIGURING", *_WAITS) and job.started:
            began = job.started
            task = self._change(task, lambda each: change.begun(each, began))
        return task

    @property
    def _cloud(self) -> str:
        return self.cluster.cloud.partition(",")[0]

    # collecting

    def _collect(self, node: str, those: list[tuple[Array, int, Job | None]]) -> None:
        """Take the results of tasks that have ended on a node, which are brought here first where they are not."""
        absent = [
            results.name_of(number, array.number, job.restarts if job else array.restarts.get(str(number), 0))
            for array, number, job in those
            if not results.found(self.cluster, self.experiment, number, array.number, job.restarts if job else None)
        ]
        answered = True
        if absent and (node or self.cluster.ssh):
            try:
                results.bring(self.ctx, self.cluster, self.experiment, node, absent)
            except (NotReady, Timeout) as error:
                answered = False
                self.notes.append(error.message)
        for array, number, job in those:
            restarts = job.restarts if job else None
            folder = results.found(self.cluster, self.experiment, number, array.number, restarts)
            task = self.tasks[number - 1]
            if task.status not in OPEN:
                self._settle(array, number)
            elif folder is not None:
                self._take(array, self._there(task, job, node), folder)
            elif answered or self._is_gone(node):
                self._without(array, task, job, node)

    def _is_gone(self, node: str) -> bool:
        """Whether a node that does not answer has no VM any more: then nothing will come of it."""
        if self.cluster.ssh:
            return False
        rows = self.ctx.catalog.find("vm", name=node)
        return not any(row.document["name"] == node for row in rows)

    def _there(self, task: Task, job: Job | None, node: str) -> Task:
        """Return a task that has ended before anybody saw it run as one that runs."""
        job = job or Job(id=0)
        began = job.started or self.now
        return self._placed(task, job.with_(state="RUNNING", node=job.node or node or "?", started=began))

    def _take(self, array: Array, task: Task, folder: Path) -> None:
        """Keep the results of an attempt, then store how it ended."""
        ending, target = results.kept(self.experiment, task.number, folder)
        values = collected(self.spec.values, target)

        def to(now: Task) -> Task:
            return change.ended(now, ending, self.spec.retries, self.spec.moves).with_(values=values)

        note(target, to(task))
        after = self._change(task, to)
        if after.reason:
            again = ", is tried again" if after.status == "waiting" else ""
            self.notes.append(f"{after.name} on {task.node}: {after.reason}{again}")
        self._settle(array, task.number)
        shutil.rmtree(folder, ignore_errors=True)

    def _without(self, array: Array, task: Task, job: Job | None, node: str) -> None:
        """See to a task that Slurm has ended and that left no results."""
        state = job.state if job else ""
        if self.experiment.cancel or state == "CANCELLED":
            self._change(task, lambda now: change.cancelled(now, self.now))
        elif state in ("COMPLETED", "FAILED", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE") and job:
            task = self._there(task, job, node)
            problem = f"it left no results; Slurm says {state} with exit code {job.exit}"
            cause = "timeout" if state in ("TIMEOUT", "DEADLINE") else ""
            ending = Ending(exit=job.exit or None, started=job.started, ended=job.ended, cause=cause, problem=problem)
            self._change(task, lambda now: change.ended(now, ending, self.spec.retries, self.spec.moves))
        elif task.status in PLACED:
            reason = f"its node {task.node} was lost with its results"
            self._change(task, lambda now: change.lost(now, reason, self.now, self.spec.moves))
        self._settle(array, task.number)

    # cancelling and the end

    def _cancel(self) -> None:
        live = [str(array.job) for array in self.arrays if array.job and array.tasks]
        if live:
            self.control.call(["scancel", *live])
        has = {number for array in self.arrays if array.job for number in array.tasks}
        for task in self.tasks:
            if task.status in OPEN and task.number not in has:
                self._change(task, lambda now: change.cancelled(now, self.now))

    def _change(self, task: Task, to: change.Change) -> Task:
        """Store what becomes of a task, unless it has gone on meanwhile; return it as it is then."""

        def checked(now: Task) -> Task:
            return to(now) if (now.attempt, now.status) == (task.attempt, task.status) else now

        after = store.change(self.ctx, task, checked)
        self.changed[after.name] = after
        self.tasks[after.number - 1] = after
        return after

    def _told(self) -> Progress:
        counts = Counter(task.status for task in self.tasks)
        changes: dict[str, object] = {key: counts[key] for key in ("done", "failed", "cancelled")}
        if not any(counts[status] for status in OPEN):
            changes |= self._ended(counts)
        experiment = self.experiment
        if any(getattr(experiment, key) != value for key, value in changes.items()):
            action = {"action": "experiment.end", "text": str(changes["status"])} if "status" in changes else {}
            experiment = store.change(self.ctx, experiment, lambda now: now.with_(**changes), **action)
        busy = bool(self.changed or self.notes)
        nodes = Counter("busy" for _ in {task.node for task in self.tasks if task.status in PLACED})
        return Progress(
            experiment=experiment, tasks=dict(counts), nodes=dict(nodes), changed=tuple(self.changed.values()),
            notes=tuple(dict.fromkeys(self.notes)), pause=_SHORT if busy else _LONG,
        )  # fmt: skip

    def _ended(self, counts: Mapping[str, int]) -> dict[str, object]:
        """Return how the experiment has ended."""
        status = "cancelled" if counts["cancelled"] else "failed" if counts["failed"] else "done"
        reasons = Counter(task.reason for task in self.tasks if task.status == "failed")
        why = "; ".join(f"{text} ({count})" for text, count in reasons.most_common(3)) if status == "failed" else ""
        results.clear(self.ctx, self.cluster, self.experiment)
        return {"status": status, "ended": self.ctx.clock.now(), "reason": why}
