"""Experiments in an imagined Slurm: submitted once, followed, collected once, lost and tried again, cancelled."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from cloudms.context import Context
from cloudms.errors import NotFound, NotReady, Unsupported
from cloudms.jobs import store
from cloudms.jobs.base import Progress
from cloudms.jobs.slurm.engine import SlurmEngine
from cloudms.model import Cluster, Experiment
from tests.unit.jobs.slurm.conftest import Begin, Slurm


def statuses(ctx: Context) -> list[str]:
    """Return the statuses of the tasks in their order."""
    return [task.status for task in store.tasks(ctx, "fit")]


def test_an_array_is_submitted_once_and_its_results_are_kept(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(3, values=({"name": "loss", "source": "stdout", "regex": r"loss (\d+)"},))
    for _ in range(3):
        assert engine.step(ctx, experiment).tasks == {"waiting": 3}
    assert slurm.names == ["cms-fit-abcdef01-1"]
    slurm.runs(100, 1, "lab-1")
    slurm.runs(100, 2, "lab-2", state="CONFIGURING")
    assert engine.step(ctx, experiment).tasks == {"running": 1, "starting": 1, "waiting": 1}
    slurm.ends(100, 1, "lab-1", stdout="loss 7\n", stderr="", outputs__a="x")
    slurm.ends(100, 2, "lab-2", state="FAILED", end="3 1000 250 -", stdout="", stderr="no\n")
    slurm.ends(100, 3, "lab-1", stdout="loss 9\n", stderr="")
    last = engine.step(ctx, experiment)
    assert last.ended and (last.experiment.status, last.experiment.done, last.experiment.failed) == ("failed", 2, 1)
    assert statuses(ctx) == ["done", "failed", "done"]
    one, two, _ = store.tasks(ctx, "fit")
    assert (one.node, one.exit, one.seconds, one.values) == ("lab-1", 0, 2.5, {"loss": 7})
    assert (two.exit, two.reason, two.attempt) == (3, "exit code 3", 1)
    folder = store.folder_of("fit", 1)
    assert (folder / "outputs" / "a").read_text() == "x" and not (folder / "end").exists()
    assert json.loads((folder / "task.json").read_text())["status"] == "done"
    assert not list(slurm.files.rglob("end"))


def test_a_submission_whose_answer_was_lost_is_found_again(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin()
    slurm.lose_answer = True
    with pytest.raises(NotReady):
        engine.step(ctx, experiment)
    engine.step(ctx, experiment)
    slurm.runs(100, 1, "lab-1")
    assert engine.step(ctx, experiment).tasks == {"running": 1, "waiting": 1}
    assert len(slurm.scripts) == 1


def test_one_that_never_reached_slurm_is_submitted_again(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin()
    slurm.lose_answer = True
    with pytest.raises(NotReady):
        engine.step(ctx, experiment)
    slurm.queue.clear()
    engine.step(ctx, experiment)
    assert slurm.names == ["cms-fit-abcdef01-1"] * 2


def test_a_failed_task_is_tried_again_as_another_array(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(2, retries=1)
    engine.step(ctx, experiment)
    slurm.ends(100, 1, "lab-1", stdout="")
    slurm.ends(100, 2, "lab-1", state="FAILED", end="1 1000 50 -", stdout="")
    assert engine.step(ctx, experiment).tasks == {"done": 1, "waiting": 1}
    assert slurm.queue[200].tasks == "2"
    slurm.ends(200, 2, "lab-2", stdout="")
    assert engine.step(ctx, experiment).experiment.status == "done"
    assert [record["status"] for record in store.task(ctx, "fit", 2).history] == ["failed", "done"]


def test_what_slurm_begins_again_elsewhere_is_a_lost_node_in_the_record(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    slurm.runs(100, 1, "lab-1")
    engine.step(ctx, experiment)
    slurm.queue[101] = slurm.queue[101].with_(state="PENDING", node="", restarts=1, started=None)
    noted = engine.step(ctx, experiment)
    assert statuses(ctx) == ["waiting"] and "lab-1 was lost" in noted.notes[0]
    slurm.runs(100, 1, "lab-2", restarts=1)
    engine.step(ctx, experiment)
    slurm.queue[101] = slurm.queue[101].with_(restarts=1, state="COMPLETED")
    slurm.nodes["lab-2"] = {"0001.1.1/end": "0 1000 100 -\n", "0001.1.1/stdout": "x"}
    assert engine.step(ctx, experiment).experiment.status == "done"
    assert [(record["node"], record["status"]) for record in store.task(ctx, "fit", 1).history] == [
        ("lab-1", "lost"), ("lab-2", "done"),
    ]  # fmt: skip


def test_results_wait_for_a_node_that_does_not_answer_while_it_is_there(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    ctx.catalog.put("vm", {"t1": {"name": "lab-1", "cloud": "one", "token": "t1", "labels": {"cluster": "lab"}}})
    slurm.ends(100, 1, "lab-1", stdout="kept")
    slurm.silent = {"lab-1"}
    assert not engine.step(ctx, experiment).ended
    slurm.silent.clear()
    assert engine.step(ctx, experiment).experiment.status == "done"
    assert (store.folder_of("fit", 1) / "stdout").read_text() == "kept"


def test_results_that_went_with_their_node_are_made_anew(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    slurm.runs(100, 1, "lab-1")
    engine.step(ctx, experiment)
    slurm.runs(100, 1, "lab-1", state="NODE_FAIL")
    engine.step(ctx, experiment)
    assert store.task(ctx, "fit", 1).history[0]["status"] == "lost"
    assert slurm.queue[200].tasks == "1"


def test_results_that_a_suspend_has_brought_are_found_when_slurm_has_forgotten(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    slurm.queue.clear()
    folder = slurm.files / ".cms" / "results" / experiment.id / "0001.1.2"
    folder.mkdir(parents=True)
    (folder / "end").write_text("0 1000 100 -\n")
    (folder / "stdout").write_text("brought")
    assert engine.step(ctx, experiment).experiment.status == "done"
    assert (store.folder_of("fit", 1) / "stdout").read_text() == "brought"


def test_a_job_that_left_nothing_failed_with_what_slurm_says(
    ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine
) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    slurm.nodes["lab-1"] = {}
    slurm.ends(100, 1, "lab-1", state="FAILED", end="")
    slurm.queue[101] = slurm.queue[101].with_(exit=73)
    assert engine.step(ctx, experiment).experiment.status == "failed"
    assert store.task(ctx, "fit", 1).exit == 73


def test_a_set_up_that_failed_says_why(ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine) -> None:
    experiment = begin(1)
    engine.step(ctx, experiment)
    problem = "its set-up failed: no such package\n"
    slurm.ends(100, 1, "lab-1", state="FAILED", end="- 1000 0 -", problem=problem, stdout="", stderr="")
    assert engine.step(ctx, experiment).experiment.status == "failed"
    assert store.task(ctx, "fit", 1).reason == problem.strip()


def test_cancel_ends_what_runs_and_what_waits(ctx: Context, slurm: Slurm, begin: Begin, engine: SlurmEngine) -> None:
    experiment = begin(3)
    engine.step(ctx, experiment)
    slurm.ends(100, 1, "lab-1", stdout="")
    slurm.runs(100, 2, "lab-1")
    engine.step(ctx, experiment)
    engine.cancel(ctx, experiment)
    engine.step(ctx, experiment)
    assert "100" in slurm.cancelled
    slurm.queue = {key: job.with_(state="CANCELLED") if job.task != 1 else job for key, job in slurm.queue.items()}
    last: Progress = engine.step(ctx, experiment)
    assert last.experiment.status == "cancelled"
    assert Counter(statuses(ctx)) == {"done": 1, "cancelled": 2}


def test_an_experiment_without_a_cluster_or_with_nodes_of_its_own_is_refused(
    ctx: Context, begin: Begin, engine: SlurmEngine
) -> None:
    nowhere = begin(1, group="nowhere")
    with pytest.raises(NotFound, match="no cluster named 'nowhere'"):
        engine.plan(ctx, nowhere)
    spec = {**nowhere.spec, "group": "", "boot": {"size": 3}}
    with pytest.raises(Unsupported, match="boots none"):
        engine.plan(ctx, Experiment(name="own", spec=spec))


def test_plan_names_the_cluster_and_its_nodes(
    ctx: Context, cluster: Cluster, begin: Begin, engine: SlurmEngine
) -> None:
    (step,) = engine.plan(ctx, begin(2))
    assert (step.action, step.target, step.params) == ("slurm.submit", "lab", {"tasks": 2, "nodes": "at most 2"})
