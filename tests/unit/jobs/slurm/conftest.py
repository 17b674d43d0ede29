"""A house in memory, an experiment in it, and a Slurm that does what a test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloudms.cluster import store as clusters
from cloudms.cluster.control import Control, Job
from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.jobs import parameters, store
from cloudms.jobs.slurm import results
from cloudms.jobs.slurm.engine import SlurmEngine
from cloudms.jobs.spec import Spec
from cloudms.model import Cluster, Experiment, Task
from tests.unit.engine.conftest import call, ctx

__all__ = ["call", "ctx"]


class Slurm:
    """An imagined Slurm: its queue, what was submitted and cancelled, what lies on nodes."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.queue: dict[int, Job] = {}
        self.scripts: list[bytes] = []
        self.names: list[str] = []
        self.cancelled: list[str] = []
        self.nodes: dict[str, dict[str, str]] = {}
        self.silent: set[str] = set()
        self.lose_answer = False

    def run(self, *words: str, given: bytes = b"", limit: float = 60.0) -> str:
        """Answer a command."""
        if words[0] == "scancel":
            self.cancelled += words[1:]
        if words[0] != "sbatch":
            return ""
        self.scripts.append(given)
        options = dict(word.removeprefix("--").split("=", 1) for word in words[1:] if "=" in word)
        self.names.append(options["job-name"])
        job = 100 * len(self.scripts)
        self.queue[job] = Job(id=job, array=job, tasks=options["array"], state="PENDING", name=options["job-name"])
        if self.lose_answer:
            self.lose_answer = False
            raise NotReady("lab: connection lost")
        return f"{job}\n"

    def runs(self, job: int, task: int, node: str, **facts: object) -> None:
        """Let a task of an array run on a node; the others of the array wait on."""
        name = self.names[job // 100 - 1]
        own = {"state": "RUNNING", "started": 1000.0, "node": node, "name": name}
        self.queue[job + task] = Job(**{"id": job + task, "array": job, "task": task, **own, **facts})  # type: ignore[arg-type]
        waiting = self.queue.get(job)
        if waiting and waiting.tasks:
            left = [n for n in _numbers(waiting.tasks) if n != task]
            self.queue[job] = waiting.with_(tasks=",".join(map(str, left)))
            if not left:
                del self.queue[job]

    def ends(
        self, job: int, task: int, node: str, *, state: str = "COMPLETED", end: str = "0 1000 250 -", **out: str
    ) -> None:
        """Let a task end with results that lie on its node; without `end` it left none."""
        self.runs(job, task, node, state=state, ended=1002.0)
        restarts = self.queue[job + task].restarts
        if end:
            self.nodes.setdefault(node, {})
            folder = f"{task:04d}.{job // 100}.{restarts}"
            self.nodes[node] |= {f"{folder}/{name.replace('__', '/')}": text for name, text in out.items()}
            self.nodes[node][f"{folder}/end"] = f"{end}\n"

    def bring(self, ctx: Context, cluster: Cluster, experiment: Experiment, node: str, names: list[str]) -> bool:
        """Bring what lies on a node to the files of the cluster."""
        if node in self.silent:
            raise NotReady(f"{node}: its files could not be fetched")
        for path, text in self.nodes.get(node, {}).items():
            if path.split("/")[0] in names:
                target = self.files / ".cms" / "results" / experiment.id / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        return node in self.nodes


def _numbers(tasks: str) -> list[int]:
    from cloudms.jobs.slurm.arrays import expanded

    return expanded(tasks)


@pytest.fixture
def cluster(ctx: Context) -> Cluster:
    """Return a cluster that is described only."""
    folder = clusters.folder_of("lab")
    made = Cluster(name="lab", cloud="one", max=2, folder=str(folder), config=str(folder / "slurm.conf"))
    return clusters.save(ctx, made, "cluster.create", "made")


@pytest.fixture
def slurm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Return the Slurm of the cluster."""
    made = Slurm(clusters.files_of(cluster))
    monkeypatch.setattr(Control, "run", lambda self, *words, **options: made.run(*words, **options))
    monkeypatch.setattr(Control, "call", lambda self, words, **options: made.run(*words, **options))
    monkeypatch.setattr(Control, "jobs", lambda self: list(made.queue.values()))
    monkeypatch.setattr(results, "bring", made.bring)
    return made


Begin = Callable[..., Experiment]


@pytest.fixture
def begin(ctx: Context, cluster: Cluster) -> Begin:
    """Return a function that writes an experiment of some tasks, and makes its first pass."""

    def do(tasks: int = 2, **facts: object) -> Experiment:
        given = {"name": "fit", "commands": ("true",), "grid": {"a": tuple(range(tasks))}, "group": "lab"} | facts
        spec = Spec(**given, engine="slurm")  # type: ignore[arg-type]
        made = [
            Task(name=store.task_name("fit", case.number), experiment="fit", number=case.number, params=case.params)
            for case in parameters.tasks_of(spec)
        ]
        experiment = Experiment(
            name="fit", id="abcdef0123456789", spec=spec.to_document(), group="lab", engine="slurm", tasks=len(made)
        )
        assert store.create(ctx, experiment, made)
        return experiment

    return do


@pytest.fixture
def engine() -> SlurmEngine:
    """Return the engine."""
    return SlurmEngine()
