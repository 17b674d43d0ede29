"""A `cms` of its own process: signals, pipes, closed streams, plug-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.doors.caught import BROKEN_PIPE

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the toy verbs are an installed plug-in."""
    info = tmp_path / "site" / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cloudms.verbs]\ntoys = tests.unit.doors.toys\nbroken = no.such.module\n")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT), str(ROOT / "src"))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def begin(environment: dict[str, str], *words: str, **options: Any) -> subprocess.Popen[str]:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "cloudms", *words], env=environment, text=True, **streams)


def test_a_plug_in_brings_verbs(environment: dict[str, str]) -> None:
    process = begin(environment, "toy", "data", "-o", "json")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["version"]) == (0, 1), err
    again = begin(environment, "--help")
    assert "toy " in again.communicate(timeout=60)[0]


@pytest.fixture
def heard() -> Iterator[None]:
    """Let children hear signals that whoever started the tests has had ignored (as nohup does)."""
    ignored = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    ignored = {number: handler for number, handler in ignored.items() if handler is signal.SIG_IGN}
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in ignored.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_read_with_130(environment: dict[str, str], number: signal.Signals) -> None:
    process = begin(environment, "toy", "wait", "-o", "json")
    assert process.stdout is not None
    head = process.stdout.readline() + process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(head + out) == ["waiting"]
    assert json.loads(err.splitlines()[-1])["code"] == "interrupted"
    assert "Traceback" not in err


@pytest.mark.usefixtures("heard")
def test_a_signal_ends_a_change_and_names_its_operation(environment: dict[str, str]) -> None:
    process = begin(environment, "toy", "make", "a", "b", "--wait")
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(3)]
    assert sorted(lines) == ["a: being painted\n", "b: being painted\n", "mind it\n"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "cms operation resume op-1" in err
    assert "Traceback" not in err


def test_what_was_done_before_a_signal_is_told_to_programs(environment: dict[str, str]) -> None:
    process = begin(environment, "toy", "make", "a", "b", "--slow", "b", "-o", "json")
    assert process.stderr is not None
    told = [json.loads(process.stderr.readline()) for _ in range(4)]
    assert sorted((line["target"], line["now"]) for line in told if line["kind"] == "progress") == [
        ("a", "being painted"), ("a", "done"), ("b", "being painted"),
    ]  # fmt: skip
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [item["name"] for item in json.loads(out)] == ["a"]
    ends = [line for line in map(json.loads, err.splitlines()) if "code" in line]
    assert [(line["code"], line.get("target")) for line in ends] == [("interrupted", "b"), ("interrupted", None)]
    assert "1 of 2 steps were done" in ends[-1]["message"]


def test_a_reader_that_leaves_ends_it_quietly(environment: dict[str, str]) -> None:
    process = begin(environment, "toy", "many")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == BROKEN_PIPE
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_full_disk_is_said(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        process = begin(environment, "toy", "data", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert err.startswith("error: the output cannot be written: No space left on device\n")
    assert "Exception ignored" not in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_bug(environment: dict[str, str], closed: str) -> None:
    command = f'"{sys.executable}" -m cloudms toy make a --sure {closed}'
    ran = subprocess.run(["sh", "-c", command], env=environment, check=False, capture_output=True, text=True)
    assert ran.returncode == 0
    assert "Traceback" not in ran.stderr
    assert "bug" not in ran.stderr


def test_letters_the_terminal_lacks_are_no_bug(environment: dict[str, str]) -> None:
    environment |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    process = begin(environment, "toy", "show", "é", "-o", "json")
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["name"] == "é"
    process = begin(environment, "toy", "show", "é", "--columns", "name")
    assert process.communicate(timeout=60)[0] == "name  \\xe9\n"


def test_a_hanging_thread_does_not_hold_the_process(environment: dict[str, str]) -> None:
    process = begin(environment, "toy", "hang")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "left\n"), err
