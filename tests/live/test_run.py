"""`run`, `put` and `get` on real VMs of this machine, through the command line and the shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.images import provide
from tests.live.test_cms import CMS, Cms, until

pytestmark = pytest.mark.live

LABEL = f"test=run-{os.getpid()}"
LAB = ("--group", "lab", "--connect-timeout", "300")
BASE = f"run-{os.getpid()}"


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with a home that has the micro image, and two VMs."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    runner(
        "vm",
        "boot",
        "micro",
        "--name",
        f"{BASE}-1",
        "--count",
        "2",
        "--cloud",
        "local",
        "--label",
        LABEL,
        "--group",
        "lab",
    )
    yield runner
    runner("vm", "delete", "--label", LABEL, "--yes", "--missing-ok")
    runner("sweep", "--cloud", "local", "--apply", "--yes")


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"].removeprefix(f"{BASE}-"): row for row in rows}


def rows_of(cms: Cms, code: int, *words: str) -> list[dict[str, Any]]:
    """Return what a command prints as JSON that must end with `code`."""
    found: list[dict[str, Any]] = json.loads(cms("-o", "json", *words, code=code).stdout)
    return found


def _said(cms: Cms) -> str:
    return "".join(file.read_text() for file in (cms.home / ".cloudmesh" / "runs").rglob("*.out"))


def test_a_command_runs_on_the_members_of_a_group(cms: Cms) -> None:
    done = cms("run", *LAB, "--", "hostname; echo oh >&2")
    assert sorted(done.stdout.splitlines()) == [f"{BASE}-{n}: {BASE}-{n}" for n in (1, 2)]
    assert {f"{BASE}-{n}: oh" for n in (1, 2)} <= set(done.stderr.splitlines())
    said = {f"{BASE}-{n}: {text}" for n in (1, 2) for text in (f"{BASE}-{n}", "oh")}
    assert set(cms("run", "logs", "last").stdout.splitlines()) == said


def test_records_tell_every_end(cms: Cms) -> None:
    line = f"case $(hostname) in {BASE}-1) exit 3;; *) kill -SEGV $$;; esac"
    cms("run", *LAB, "--", line, code=12)
    records = by_name(cms.rows("run", "info", "last")[0]["records"])
    assert (records["1"]["state"], records["1"]["exit"]) == ("failed", 3)
    assert (records["2"]["state"], records["2"]["signal"]) == ("signalled", "SEGV")
    again = by_name(rows_of(cms, 0, "run", "--failed-of", "last", "--connect-timeout", "300", "--", "true"))
    assert {name: row["state"] for name, row in again.items()} == {"1": "done", "2": "done"}


def test_files_and_folders_go_there_and_back(cms: Cms) -> None:
    tree = cms.home / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "data").write_bytes(os.urandom(300_000))
    cms("put", str(tree), "/tmp/tree", *LAB)
    cms("get", "/tmp/tree", str(cms.home / "back"), *LAB)
    for number in (1, 2):
        back = cms.home / "back" / f"{BASE}-{number}" / "tree" / "sub" / "data"
        assert back.read_bytes() == (tree / "sub" / "data").read_bytes()
    cms("put", str(tree / "sub" / "data"), "/proc/nothing/da/", *LAB, code=12)
    (missing,) = {row["error"]["code"] for row in rows_of(cms, 3, "get", "/proc/nothing", str(cms.home), *LAB)}
    assert missing == "not_found"


def test_stopped_by_a_person_it_ends_there_and_says_so(cms: Cms) -> None:
    process = cms.start("run", *LAB, "--", "echo begun; exec sleep 4321")
    until(lambda: _said(cms).count("begun") == 2, 300)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out.count("begun") == 2
    assert "was stopped while it ran" in err
    (run,) = cms.rows("run", "info", "last")
    assert (run["state"], [record["state"] for record in run["records"]]) == ("cancelled", ["cancelled"] * 2)
    assert "0" in cms("run", *LAB, "--", "ps | grep -c '[s]leep 4321'; true").stdout


def test_a_vm_that_is_off_is_told_and_the_other_runs(cms: Cms) -> None:
    cms("vm", "stop", f"{BASE}-2")
    records = by_name(rows_of(cms, 12, "run", *LAB, "--", "true"))
    assert {name: row["state"] for name, row in records.items()} == {"1": "done", "2": "unreached"}
    cms("vm", "start", f"{BASE}-2")


def test_the_shell_keeps_connections(cms: Cms) -> None:
    script = f"run {BASE}-1 --connect-timeout 300 -- 'echo $SSH_CONNECTION'\n" * 2
    done = subprocess.run(
        [*CMS, "shell"], env=cms.env, input=script, capture_output=True, text=True, timeout=300, check=True
    )
    first, second = [line for line in done.stdout.splitlines() if line.startswith(f"{BASE}-1: ")]
    assert first == second
    assert len(first.split()) == 5
