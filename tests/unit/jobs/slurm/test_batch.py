"""The batch script of an array: run here by sh as a node would, with everything that comes back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cloudms.errors import Unsupported
from cloudms.jobs.slurm import arrays, batch
from cloudms.jobs.spec import Spec, Transfer
from cloudms.model import Experiment, Task

EXPERIMENT = Experiment(name="fit", id="abcdef0123456789")


def task(number: int, **params: object) -> Task:
    """Return a task."""
    return Task(name=f"fit/{number:04d}", experiment="fit", number=number, params=params)


@pytest.mark.parametrize(
    ("numbers", "text"), [([1], "1"), ([3, 1, 2], "1-3"), ([1, 2, 5, 7, 8], "1-2,5,7-8"), (range(1, 1001), "1-1000")]
)
def test_numbers_are_said_as_slurm_takes_them(numbers: list[int], text: str) -> None:
    assert batch.ranges(numbers) == text
    assert arrays.expanded(text) == sorted(numbers)


def test_a_task_runs_with_its_parameters_inputs_and_outputs(tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("input\n")
    spec = Spec(
        name="fit",
        commands=('echo "{word} $SECRET $HOME $SLURM_RESTART_COUNT"', "cat given.txt >kept/a.txt", "exit {code}"),
        inputs=tuple(Transfer(source=str(tmp_path / name), target=name) for name in ("given.txt", "kept")),
        outputs=("kept/*.txt", "absent"), environment={"SECRET": "s3"}, grid={"word": ("it's",), "code": (4,)},
    )  # fmt: skip
    (tmp_path / "kept").mkdir()
    root = tmp_path / "root"
    script = batch.text(EXPERIMENT, spec, [task(7, word="it's", code=4)], 2, root=str(root), most=batch.OWN_LIMIT)
    environment = {
        "SLURM_ARRAY_TASK_ID": "7", "SLURM_RESTART_COUNT": "1", "CMS_NODE_FOLDER": str(tmp_path), "HOME": "/home/ada",
        "PATH": os.environ["PATH"],
    }  # fmt: skip
    done = subprocess.run(["sh"], input=script, env=environment, cwd="/", capture_output=True, timeout=120, check=False)
    assert done.returncode == 4, done.stderr
    results = root / ".cms" / "results" / EXPERIMENT.id / "0007.2.1"
    assert (results / "stdout").read_text() == "it's s3 /home/ada 1\n"
    assert (results / "outputs" / "kept" / "a.txt").read_text() == "input\n"
    assert (results / "missing").read_text() == "absent\n"
    assert (results / "end").read_text().split()[0] == "4"
    assert [path.name for path in results.parent.iterdir()] == ["0007.2.1"]
    left = tmp_path / f"cms-{os.getuid()}" / ".cms" / "experiments"
    assert not list(left.glob("*")) and not list(left.parents[1].glob("box.*"))


def test_what_is_too_large_for_slurm_is_refused(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(100_000))
    spec = Spec(name="fit", commands=("true",), inputs=(Transfer(source=str(big), target="big"),))
    with pytest.raises(Unsupported, match="too large for Slurm"):
        batch.text(EXPERIMENT, spec, [task(1)], 1, root="/cluster", most=50_000)


def test_jobs_that_wait_together_are_taken_apart() -> None:
    from cloudms.cluster.control import Job

    jobs = [
        Job(id=5, array=5, tasks="3-4%2", state="PENDING"), Job(id=6, array=5, task=1, state="RUNNING"),
        Job(id=9, array=9, task=1, state="RUNNING"),
    ]  # fmt: skip
    assert {number: job.state for number, job in arrays.by_task(jobs, 5).items()} == {
        1: "RUNNING", 3: "PENDING", 4: "PENDING",
    }  # fmt: skip
