"""What Slurm's commands print, as it was recorded, and how they are called."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudms.cluster import control
from cloudms.cluster.control import Control, Job, SlurmNode
from cloudms.errors import NotReady, Timeout, Unsupported
from cloudms.model import Cluster

CASES = Path(__file__).parents[2] / "cases" / "slurm"
HERE = Cluster(name="lab", config="/home/ada/.cloudmesh/clusters/lab/slurm.conf")
THERE = Cluster(name="hpc", ssh="ada@login.example.org")

Said = Callable[..., list[list[str]]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """Return a function that decides how commands end, and gives the list of those that were called."""

    def end(code: int = 0, stdout: str = "", stderr: str = "", error: Exception | None = None) -> list[list[str]]:
        called: list[list[str]] = []

        def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
            called.append([*argv, options["env"].get("SLURM_CONF", "")])
            if error:
                raise error
            return subprocess.CompletedProcess(argv, code, stdout.encode(), stderr.encode())

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(control, "find", lambda program: f"/usr/bin/{program}")
        return called

    return end


def test_a_queue_of_22_05_is_read() -> None:
    done, again, waiting, held = control.jobs_of((CASES / "squeue-22.05.json").read_text())
    assert done == Job(
        id=3, array=1, task=1, state="COMPLETED", reason="None", node="lab-1", name="wrap", exit=0,
        started=1796076197, ended=1796076201,
    )  # fmt: skip
    assert (again.task, again.state, again.restarts, again.node) == (2, "CONFIGURING", 1, "lab-2")
    assert (waiting.array, waiting.task, waiting.tasks, waiting.state) == (1, -1, "3-5", "PENDING")
    assert (held.id, held.array, held.task, held.reason, held.started) == (2, 2, -1, "JobHeldUser", None)


def test_a_queue_of_newer_ones_is_read() -> None:
    failed, waiting = control.jobs_of((CASES / "squeue-24.05.json").read_text())
    assert (failed.id, failed.array, failed.task, failed.state, failed.exit) == (41, 40, 2, "FAILED", 3)
    assert (waiting.task, waiting.tasks, waiting.state, waiting.started) == (-1, "3-5,9%2", "PENDING", None)


def test_nodes_are_read_with_reasons_that_have_spaces() -> None:
    idle, booting, ending = control.nodes_of((CASES / "nodes-22.05.txt").read_text())
    assert idle == SlurmNode(name="lab-1", state="idle", flags=("CLOUD",), address="127.77.108.225")
    assert (idle.word, booting.word, ending.word) == ("idle", "booting", "ending")
    assert ending.reason == "cms: boot failed: no capacity [root@2026-11-30T21:46:50]"
    assert control.nodes_of("No nodes in the system\n") == []


def test_words_that_cannot_be_read_are_an_error_of_ours() -> None:
    for text in ("", "Invalid option --json", "{}", "[]"):
        with pytest.raises(NotReady):
            control.jobs_of(text)


@pytest.mark.parametrize(("tasks", "count"), [("", 0), ("3", 1), ("3-5", 3), ("7-9,12%4", 4), ("1-1000%10", 1000)])
def test_waiting_tasks_of_an_array_are_counted(tasks: str, count: int) -> None:
    assert control.width(tasks) == count


@pytest.mark.parametrize(("status", "ended"), [(0, (0, 0)), (768, (3, 0)), (9, (0, 9)), (None, (None, 0))])
def test_a_wait_status_is_exit_code_and_signal(status: int | None, ended: tuple[int | None, int]) -> None:
    assert control._exit(status) == ended


def test_commands_of_a_cluster_here_know_its_configuration_alone(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/other.conf")
    called = said(stdout="ok")
    assert Control(HERE).run("scontrol", "ping") == "ok"
    assert called == [["/usr/bin/scontrol", "ping", HERE.config]]


def test_commands_of_one_elsewhere_are_quoted_for_its_shell(said: Said) -> None:
    called = said()
    Control(THERE).run("scancel", "--name", "a'b; rm")
    assert called[0][:-2] == ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "--", "ada@login.example.org"]
    assert called[0][-2] == """scancel --name 'a'"'"'b; rm'"""


def test_failures_are_told_in_one_line(said: Said) -> None:
    said(code=1, stderr="slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    with pytest.raises(NotReady, match=r"^lab: slurm_load_jobs error: Unable to contact") as caught:
        Control(HERE).jobs()
    assert caught.value.hint == "cms cluster start lab"
    said(error=subprocess.TimeoutExpired("squeue", 60))
    with pytest.raises(Timeout, match="hpc: squeue did not end"):
        Control(THERE).jobs()
    said(error=FileNotFoundError())
    with pytest.raises(Unsupported, match="ssh"):
        Control(THERE).jobs()


def test_a_node_that_failed_is_down_with_its_reason_and_then_off(said: Said) -> None:
    called = said()
    Control(HERE).failed("lab-2", 'no "capacity"\nhere')
    assert [words[1:-1] for words in called] == [
        ["update", "NodeName=lab-2", "State=DOWN", "Reason=cms: no  capacity  here"],
        ["update", "NodeName=lab-2", "State=POWER_DOWN_FORCE"],
    ]
