"""Results of tasks: on the node that ran them, then among the files of the cluster, then in the experiment's folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from cloudms import paths, ssh
from cloudms.cluster import files
from cloudms.cluster import store as clusters
from cloudms.cluster.conf import SHARED
from cloudms.cluster.control import Control, over
from cloudms.context import Context
from cloudms.jobs import store
from cloudms.jobs.node import parse_ending
from cloudms.jobs.task import Ending
from cloudms.model import Cluster, Experiment, Vm, VmState

_BELOW = ".cms/results"


def root_of(cluster: Cluster) -> str:
    """Return, for the shell on a node, the folder whose files outlive it: one elsewhere has the home on all nodes."""
    return '"$HOME"' if cluster.ssh else SHARED


def name_of(number: int, array: int, restarts: int) -> str:
    """Return the folder of an attempt."""
    return f"{number:04d}.{array}.{restarts}"


def found(cluster: Cluster, experiment: Experiment, number: int, array: int, restarts: int | None) -> Path | None:
    """Return the results of an attempt that are on this machine; without `restarts` those of the last one."""
    place = _place(cluster, experiment)
    if restarts is not None:
        folder = place / name_of(number, array, restarts)
        return folder if (folder / "end").is_file() else None
    ends = [end.parent for end in place.glob(f"{number:04d}.{array}.*/end")]
    return max(ends, key=lambda folder: int(folder.name.rpartition(".")[2]), default=None)


def bring(ctx: Context, cluster: Cluster, experiment: Experiment, node: str, names: Sequence[str]) -> bool:
    """Bring attempts from their node here; return whether it could be asked: False when its VM is gone.

    Raises: NotReady, Timeout.
    """
    within = [f"{_BELOW}/{experiment.id}/{name}" for name in names]
    if cluster.ssh:
        files.fetch(cluster.name, over(cluster), clusters.files_of(cluster), within, root=root_of(cluster))
        return True
    vm = next((vm for vm in _vms(ctx, node) if vm.labels.get(clusters.LABEL) == cluster.name), None)
    if vm is None or not clusters.has_joined(ctx, vm):
        return False
    files.fetch_from(vm, clusters.files_of(cluster), within)
    return True


def _vms(ctx: Context, name: str) -> list[Vm]:
    return [vm for row in ctx.catalog.find("vm", name=name) if (vm := Vm.from_document(row.document)).name == name]


def kept(experiment: Experiment, number: int, folder: Path) -> tuple[Ending, Path]:
    """Put results into the folder of their task, beside and renamed; return how it ended and that folder."""
    target = store.folder_of(experiment.name, number)
    paths.private(target.parent)
    fresh, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    for each in (fresh, old):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(folder, fresh, symlinks=True)
    ending = parse_ending(*(fresh / "end").read_text().split())
    problem = _text(fresh / "problem").strip()
    missing = ", ".join(_text(fresh / "missing").split("\n")).strip(", ")
    (fresh / "end").unlink()
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return ending.with_(problem=problem or (f"there is no output {missing}" if missing else "")), target


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def clear(ctx: Context, cluster: Cluster, experiment: Experiment) -> None:
    """Remove what nodes have of an experiment, and what was brought here beside its own folder.

    A node that does not answer is passed over: what it has goes with it.
    """
    line = f"rm -rf {root_of(cluster)}/{_BELOW}/{experiment.id} /var/tmp/cms-*/.cms/experiments/{experiment.id}.*"
    if cluster.ssh:
        Control(cluster).call(["sh", "-c", line])
    for vm in _nodes(ctx, cluster) if not cluster.ssh else ():
        ssh.run(vm, [files.of_root(line)], timeout=60.0)
    shutil.rmtree(_place(cluster, experiment), ignore_errors=True)


def _nodes(ctx: Context, cluster: Cluster) -> list[Vm]:
    rows = ctx.catalog.find("vm", labels={clusters.LABEL: cluster.name})
    found = [Vm.from_document(row.document) for row in rows]
    return [vm for vm in found if vm.state is VmState.RUNNING and vm.ssh_host and clusters.has_joined(ctx, vm)]


def _place(cluster: Cluster, experiment: Experiment) -> Path:
    return clusters.files_of(cluster) / _BELOW / experiment.id
