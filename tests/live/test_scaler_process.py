"""`cms scaler run` as a process on a pretended cloud: what ends it, who acts when there are two, and what it costs.

Of the eight defects of the script that this began with, five are the controller's: it was stuck at its ceiling, started
machines that nobody named, never ended, waited busily, and knew nothing after a restart. Each has its test, here and in
tests/unit/verbs/test_scaler.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

CMS = [sys.executable, "-m", "cloudms"]
CONFIG = """\
cloudmesh:
  default: {cloud: near}
  cloud:
    local: {cm: {active: false}}
    near: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 0.05}
"""
POLICY = """\
policies: [{kind: threshold, metric: cpu, above: 80, window: 2s}]
min: 2
max: 3
interval: 0.5s
on_in: suspend
"""
LONG_S = 300.0


def cms(*words: str) -> str:
    done = subprocess.run([*CMS, *words], capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cms(*words, "-o", "json"))
    return found


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not check():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.3)


def serving() -> bool:
    (row,) = rows("scaler", "list")
    return row["members"] == {"in_service": 2} and not row["action"]


@pytest.fixture
def begin(own_home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Make a group with a policy, and return what starts controllers of it; none is left behind."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    for name, text in (("cloudmesh.yaml", CONFIG), ("web.yaml", POLICY)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    cms("group", "create", "web", "--size", "1")
    cms("group", "policy", "set", "web", str(folder / "web.yaml"))
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        line = [*CMS, "scaler", "run", "--group", "web", *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        begun.append(subprocess.Popen(line, text=True, start_new_session=True, **pipes))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


Begin = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize(
    ("way", "left"), [("keep", ["running", "running"]), ("stop", ["stopped", "stopped"]), ("delete", [])]
)
def test_terminate_ends_it_and_does_with_the_vms_what_was_asked(begin: Begin, way: str, left: list[str]) -> None:
    process = begin("--at-end", way)
    until(serving)
    told, _ = process.communicate("not a word\nterminate\n", timeout=LONG_S)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert [row["state"] for row in rows("vm", "list")] == left
    (row,) = rows("scaler", "list")
    assert row["process"] == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(begin: Begin, number: int) -> None:
    process = begin()
    until(serving)
    os.killpg(process.pid, number)
    told, _ = process.communicate(timeout=LONG_S)
    assert process.returncode in (0, 130), told
    assert "Traceback" not in told
    assert [row["state"] for row in rows("vm", "list")] == ["running", "running"]


def test_what_was_stopped_at_the_end_is_started_by_the_next(begin: Begin) -> None:
    process = begin("--at-end", "stop")
    until(serving)
    process.communicate("terminate\n", timeout=LONG_S)
    begin()
    until(serving)
    assert [row["name"] for row in rows("vm", "list")] == ["web-1", "web-2"]


def test_of_two_one_acts_and_the_other_goes_on_when_it_is_killed(begin: Begin) -> None:
    first = begin()
    until(serving)
    second = begin()
    assert second.stdout
    assert "this one stands by" in second.stdout.readline()
    assert rows("scaler", "list")[0]["process"].split("/")[1] == str(first.pid)
    os.killpg(first.pid, signal.SIGKILL)
    until(lambda: rows("scaler", "list")[0]["process"].split("/")[1:2] == [str(second.pid)])
    until(serving)
    assert [row["name"] for row in rows("vm", "list")] == ["web-1", "web-2"]


def test_waiting_costs_next_to_nothing(begin: Begin) -> None:
    process = begin()
    until(serving)

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    looks = len(rows("group", "history", "web", "--all", "--limit", "0"))
    before = used()
    until(lambda: len(rows("group", "history", "web", "--all", "--limit", "0")) >= looks + 20)
    assert used() - before < 5.0, "20 looks cost 20 times a few milliseconds, and waiting costs nothing"
