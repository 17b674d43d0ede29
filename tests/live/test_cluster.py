"""A real Slurm on this machine whose nodes are real VMs: none is up, jobs have them booted, and they go again."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from cloudms.cluster.conf import REASON

from . import qemu, slurm

pytestmark = [pytest.mark.live, pytest.mark.skipif(not qemu.can_run(), reason="QEMU or ssh is not installed")]

WORK = """\
hostname; id -u
echo "value $SLURM_ARRAY_TASK_ID" >result-$SLURM_ARRAY_TASK_ID
exit $((SLURM_ARRAY_TASK_ID == 3 ? 7 : 0))
"""


FIT = """\
name: fit
commands:
  - echo "loss = $((alpha * 10))"
  - test {alpha} != 3
parameters: {alpha: [1, 2, 3]}
values:
  loss: {regex: 'loss = (\\d+)'}
"""


def test_an_array_boots_nodes_that_go_again_and_its_files_stay() -> None:
    with slurm.lab("micro-slurm", idle="15s", boot_timeout="10m") as lab:
        assert lab.vms() == []
        refused = lab.slurm("sbatch", "--nodes=2", "--wrap=hostname", code=1)
        assert REASON in refused.stderr
        lab.slurm("sbatch", "--array=1-4", "--output=%A_%a.out", f"--wrap={WORK}")
        lab.until(lambda: bool(lab.vms()))
        lab.until(lambda: {job["job_state"] for job in lab.jobs()} <= {"COMPLETED", "FAILED"})
        assert {job["array_task_id"]: job["exit_code"] >> 8 for job in lab.jobs()} == {1: 0, 2: 0, 3: 7, 4: 0}
        _experiment(lab)
        lab.until(lambda: not lab.vms())
        lab.until(lambda: not lab.rows("vm", "list", "--cached"))
        files = lab.folder / "files"
        assert not list(files.rglob("end"))
        assert sorted(path.name for path in files.iterdir() if path.name != ".cms") == [
            *(f"1_{number}.out" for number in range(1, 5)), *(f"result-{number}" for number in range(1, 5)),
        ]  # fmt: skip
        for number in range(1, 5):
            host, uid = (files / f"1_{number}.out").read_text().split()
            assert host in (f"{lab.name}-1", f"{lab.name}-2") and uid == str(os.getuid())
            assert (files / f"result-{number}").read_text() == f"value {number}\n"
        assert (lab.folder / "munge.key").stat().st_mode & 0o777 == 0o400
        place = lab.folder / "run"
        pids = [int((place / f"{daemon}.pid").read_text()) for daemon in ("munged", "slurmctld")]
        lab.cms("cluster", "delete", lab.name, "--yes")
        lab.until(lambda: not any(_lives(pid) for pid in pids), 60.0)
        assert [path.name for path in lab.folder.iterdir()] == ["files"]


def _experiment(lab: slurm.Lab) -> None:
    """Run an experiment of three tasks, of which one fails, on the nodes that there are."""
    (lab.home / "fit.yaml").write_text(FIT)
    lab.cms("experiment", "run", str(lab.home / "fit.yaml"), "--group", lab.name, "--engine", "slurm", "--yes", code=12)
    tasks = lab.rows("experiment", "tasks", "fit")
    assert [(task["status"], task["exit"], task["values"]) for task in tasks] == [
        ("done", 0, {"loss": 10}), ("done", 0, {"loss": 20}), ("failed", 1, {"loss": 30}),
    ]  # fmt: skip


def _lives(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_a_node_that_does_not_come_up_has_its_job_queued_again_and_leaves_nothing() -> None:
    """The image has no slurmd; the first boot is killed besides, so that only Slurm's own timeout can notice."""
    with slurm.lab("micro", idle="10s", boot_timeout="30s", most=1) as lab:
        lab.slurm("sbatch", "--wrap=hostname")
        lab.until(lambda: bool(lab.vms()))
        for pid in lab.resuming():
            os.kill(pid, signal.SIGKILL)
        lab.until(lambda: lab.jobs()[0]["restart_cnt"] >= 1)
        lab.until(lambda: f"{lab.name}-1" in lab.slurm("scontrol", "show", "reservation").stdout)
        (told,) = lab.rows("cluster", "info", lab.name)[0]["vain"].values()
        assert "was booted in vain, " in told
        lab.until(lambda: not lab.vms())
        lab.slurm("scancel", "1")
        lab.until(lambda: not lab.vms() and not lab.resuming() and not lab.rows("vm", "list", "--cached"))
        lab.cms("sweep", "--cloud", "local", "--apply", "--yes")
        assert lab.rows("sweep", "--cloud", "local") == []
