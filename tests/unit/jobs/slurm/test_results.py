"""Where results are looked for: on nodes of our own, and in the home of a Slurm elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.cluster import files
from cloudms.cluster import store as clusters
from cloudms.context import Context
from cloudms.jobs.slurm import results
from cloudms.model import Cluster, Experiment, Vm

EXPERIMENT = Experiment(name="fit", id="abcdef")
HERE = Cluster(name="lab", folder="clusters/lab")
THERE = Cluster(name="hpc", ssh="ada@login", folder="clusters/hpc")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what was fetched, and from where."""
    heard: list[Any] = []
    monkeypatch.setattr(files, "fetch_from", lambda vm, target, within: heard.append((vm.name, target, within)))
    monkeypatch.setattr(
        files, "fetch", lambda name, argv, target, within, *, root: heard.append((argv[-1], target, within, root))
    )
    return heard


def test_results_of_our_own_nodes_come_from_the_vm_that_joined(ctx: Context, fetched: list[Any]) -> None:
    vm = Vm(name="lab-1", cloud="one", token="t1", labels={"cluster": "lab"})
    assert not results.bring(ctx, HERE, EXPERIMENT, "lab-1", ["0001.1.0"])
    ctx.catalog.put("vm", {vm.key: vm.to_document()})
    assert not results.bring(ctx, HERE, EXPERIMENT, "lab-1", ["0001.1.0"])
    clusters.joined(ctx, HERE, vm)
    assert results.bring(ctx, HERE, EXPERIMENT, "lab-1", ["0001.1.0"])
    assert fetched == [("lab-1", Path("clusters/lab/files"), [".cms/results/abcdef/0001.1.0"])]


def test_results_elsewhere_come_from_the_home_there(ctx: Context, fetched: list[Any]) -> None:
    assert results.bring(ctx, THERE, EXPERIMENT, "n7", ["0001.1.0"])
    assert fetched == [("ada@login", Path("clusters/hpc/files"), [".cms/results/abcdef/0001.1.0"], '"$HOME"')]
