"""`cms demo` from the outside: every step works, nothing is left whatever happens, and `--keep` keeps."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aws.emulator import Lab
from tests.images import provide

pytestmark = pytest.mark.live

DEMO = [sys.executable, "-m", "cloudms", "demo"]


def rows(*words: str) -> list[dict[str, Any]]:
    """Return what a listing command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cloudms", *words, "-o", "json"], capture_output=True, timeout=60, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        [*DEMO, *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False
    )


def stopped_at(text: str, delay: float, *words: str) -> tuple[int, str]:
    """Run the demo, press Ctrl-C shortly after its output holds `text`, and return exit code and output."""
    with subprocess.Popen(
        [*DEMO, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        limit = threading.Timer(300, process.kill)
        limit.start()
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            if text in line and text not in seen:
                threading.Timer(delay, os.killpg, (process.pid, signal.SIGINT)).start()
            seen += line
        limit.cancel()
    return process.returncode, seen


def commands(shown: str) -> list[str]:
    """Return the first two words of every command the demo showed."""
    return re.findall(r"^\$ cms (\S+ \S+)", shown, flags=re.MULTILINE)


def nothing_is_left(cloud: str) -> None:
    """Hold that no VM is there, and nothing unfinished and no file without a VM."""
    assert [row for row in rows("vm", "list", "--cloud", cloud) if "demo" in row["labels"]] == []
    assert rows("sweep", "--cloud", cloud) == []


def test_every_step_is_shown_with_its_command() -> None:
    done = run("--cloud", "fake")
    assert done.returncode == 0, done.stderr
    assert commands(done.stdout) == [
        "vm boot", "vm list", "ssh demo-1", "ssh demo-2", "vm suspend", "vm status", "vm resume", "ssh demo-1",
        "vm delete", "sweep --cloud",
    ]  # fmt: skip
    assert "fake cloud" in done.stdout
    nothing_is_left("fake")


def test_on_aws_without_an_account_it_is_pretended_and_says_so(own_home: Path) -> None:
    done = run("--cloud", "aws")
    assert done.returncode == 0, done.stdout + done.stderr
    assert commands(done.stdout) == [
        "vm boot", "vm list", "vm stop", "vm resize", "vm start", "vm list", "vm delete", "sweep --cloud",
    ]  # fmt: skip
    assert "PRETENDED AWS" in done.stdout
    assert "nobody can log in" in done.stdout
    assert re.search(r"demo-1 +aws +running +al2023 +t3\.small", done.stdout)
    assert run("--cloud", "aws", "--keep").returncode == 2
    assert rows("vm", "list", "--cached") == []


def test_in_an_account_of_aws_it_wants_a_yes_and_leaves_nothing(own_home: Path, aws: Lab) -> None:
    aws.write_config(own_home / ".cloudmesh")
    done = run("--cloud", "aws")
    assert done.returncode == 2
    assert "costs about a cent" in done.stderr
    assert "--yes" in done.stderr
    assert aws.things() == []
    done = run("--cloud", "aws", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PRETENDED" not in done.stdout
    assert len(aws.calls("RunInstances")) == 1
    assert aws.things("instance", "volume", "address") == []


@pytest.mark.parametrize(("text", "delay"), [("cms vm boot", 0.8), ("cms vm resize", 0.5)])
def test_ctrl_c_on_aws_leaves_nothing(own_home: Path, aws: Lab, text: str, delay: float) -> None:
    aws.write_config(own_home / ".cloudmesh")
    code, shown = stopped_at(text, delay, "--cloud", "aws", "--yes")
    assert code == 130, shown
    assert "Traceback" not in shown
    assert aws.things("instance", "volume", "address") == []


def test_a_machine_gets_lines_as_json() -> None:
    done = run("--cloud", "fake", "-o", "json")
    assert done.returncode == 0
    assert any(line.startswith("$ cms vm boot") for line in json.loads(done.stdout))


def test_keep_keeps() -> None:
    done = run("--cloud", "fake", "--keep")
    assert done.returncode == 0
    assert "cms vm delete demo-[1-2]" in done.stdout
    assert sorted(row["name"] for row in rows("vm", "list", "--cloud", "fake")) == ["demo-1", "demo-2"]


@pytest.mark.parametrize(
    ("text", "delay"), [("cms vm boot", 0.0), ("cms vm boot", 0.15), ("cms vm suspend", 0.1), ("cms vm delete", 0.1)]
)
def test_ctrl_c_leaves_nothing(text: str, delay: float) -> None:
    code, shown = stopped_at(text, delay, "--cloud", "fake")
    assert code == 130, shown
    assert "Traceback" not in shown
    nothing_is_left("fake")


def test_on_a_terminal_commands_and_tables_look_like_it() -> None:
    seen = b""

    def read(descriptor: int) -> bytes:
        nonlocal seen
        data = os.read(descriptor, 65536)
        seen += data
        return data

    status = quietly(lambda: pty.spawn([*DEMO, "--cloud", "fake"], read))
    assert os.waitstatus_to_exitcode(status) == 0
    shown = seen.decode()
    assert "\x1b[1m$ cms vm boot micro" in shown
    assert "\x1b[32mrunning\x1b[0m" in shown


def quietly(act: Callable[[], int]) -> int:
    """Run something that copies to our stdout, without letting it."""
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        return act()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def test_real_machines_come_and_go(own_home: Path) -> None:
    provide("micro", own_home)
    done = run("--cloud", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("333328333350000") == 2
    nothing_is_left("local")
    code, shown = stopped_at("cms vm suspend", 0.1, "--cloud", "local")
    assert code == 130, shown
    nothing_is_left("local")
