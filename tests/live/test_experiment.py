"""Experiments on real VMs: set up, run, moved when a VM is destroyed, looked at, cancelled, and nothing left."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.libvirt import host
from tests.images import provide

from .test_cms import Cms, virsh

pytestmark = pytest.mark.live

BASE = f"exp-{os.getpid()}"
LIMIT = 600.0
"""Seconds that a machine with much else to do may take for what is due at once."""
SPEC = """\
commands:
  - cat "$CMS_SETUP/given" word.txt
  - echo "value=$number on $(hostname)"
  - echo {letter} >result.txt
  - sleep {pause}
setup:
  commands: ["echo ready >given; date >>/root/set-up-here || date >>$HOME/set-up-here"]
inputs: [word.txt]
outputs: [result.txt]
parameters:
  letter: [a, b]
  pause: [2]
repeats: 6
slots: 2
values:
  value: 'value=([0-9]+)'
"""


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with a home that has the micro image."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    yield runner
    for name in (f"{BASE}-moved", f"{BASE}-long"):
        runner("vm", "delete", "--label", f"experiment={name}", "--yes", "--missing-ok")
    runner("sweep", "--cloud", "local", "--apply", "--yes")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """Return the file of an experiment."""
    (tmp_path / "word.txt").write_text("word\n")
    (tmp_path / "exp.yaml").write_text(SPEC)
    return str(tmp_path / "exp.yaml")


def until(check: Callable[[], Any], what: Callable[[], object]) -> Any:
    """Wait until `check` returns something that is true, and return it."""
    end = time.monotonic() + LIMIT
    while not (found := check()):
        assert time.monotonic() < end, what()
        time.sleep(2.0)
    return found


def domains(name: str) -> list[str]:
    """Return the domains of an experiment."""
    return [each for each in virsh("list", "--all", "--name").split() if each.startswith(name)]


def destroy(name: str) -> None:
    """End a VM behind the back of cloudms."""
    for words in (["destroy", name], ["undefine", name]):
        subprocess.run(["virsh", "-c", host.default_uri(), *words], capture_output=True, timeout=60, check=False)


def test_the_tasks_of_a_vm_that_is_destroyed_end_elsewhere_and_say_why(cms: Cms, spec: str) -> None:
    name = f"{BASE}-moved"
    cms("experiment", "run", spec, "--name", name, "--cloud", "local", "--image", "micro", "--size", "2", "--detach")

    def tasks(**wanted: str) -> list[dict[str, Any]]:
        found = cms.rows("experiment", "tasks", name)
        return [each for each in found if all(each[key] == value for key, value in wanted.items())]

    victim = until(lambda: tasks(status="running"), lambda: cms("experiment", "status", name).stdout)[0]["node"]
    destroy(victim)
    cms("experiment", "watch", name, limit=LIMIT)
    found = tasks(status="done")
    assert len(found) == 12
    moved = [task for task in found if any(record["node"] == victim for record in task["history"][:-1])]
    assert moved
    assert {task["node"] for task in moved} == {node for node in _nodes(found) if node != victim}
    lost = [record for task in moved for record in task["history"] if record["status"] == "lost"]
    assert lost
    assert {record["node"] for record in lost} == {victim}
    assert {record["reason"].split()[2] for record in lost} <= {"gone", "stopped"}, lost  # seen before it was undefined
    rows = cms.rows("experiment", "results", name)
    assert sorted(row["value"] for row in rows) == list(range(1, 13))
    assert cms("experiment", "logs", f"{name}/1").stdout.startswith("ready\nword\nvalue=1 on ")
    assert not domains(name)
    assert not cms.rows("vm", "list", "--cloud", "local", "--label", f"experiment={name}")


def _nodes(tasks: list[dict[str, Any]]) -> set[str]:
    return {task["node"] for task in tasks}


def test_what_runs_is_looked_at_and_cancelled_and_its_node_is_gone(cms: Cms, spec: str) -> None:
    name = f"{BASE}-long"
    words = ("--cloud", "local", "--image", "micro", "--size", "1", "--set", "pause=3000", "--detach")
    cms("experiment", "run", spec, "--name", name, *words)
    running = until(
        lambda: [each for each in cms.rows("experiment", "tasks", name) if each["status"] == "running"],
        lambda: cms("experiment", "status", name).stdout,
    )
    number = running[0]["number"]
    until(
        lambda: f"value={number} on" in cms("experiment", "logs", f"{name}/{number}").stdout,
        lambda: cms("experiment", "tasks", name).stdout,
    )
    node = cms.rows("node", "list", "--experiment", name)[0]
    assert node["status"] == "ready"
    assert node["currentJob"]
    cms("experiment", "cancel", name, limit=LIMIT)
    until(
        lambda: cms.rows("experiment", "info", name)[0]["status"] == "cancelled",
        lambda: cms("experiment", "status", name).stdout,
    )
    assert {each["status"] for each in cms.rows("experiment", "tasks", name)} == {"cancelled"}
    assert not domains(name)
