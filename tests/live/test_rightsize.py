"""`cms vm rightsize` on real VMs: measured now, suggested, applied as `vm resize` does it, and reverted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.libvirt import host
from tests.images import provide

pytestmark = pytest.mark.live

CMS = [sys.executable, "-m", "cloudms"]
NAME = f"rs-{os.getpid()}"
LOOK = ("--window", "10", "--interval", "0.5")


class Cms:
    """Runs `cms` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh")}

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        done = subprocess.run(
            [*CMS, *words], env=self.env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def row(self, *words: str) -> dict[str, Any]:
        """Return the one object that a command prints as JSON."""
        found = json.loads(self(*words, "-o", "json").stdout)
        (one,) = found if isinstance(found, list) else [found]
        return dict(one)


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with one idle VM of a flavor that is too large for it."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    try:
        runner("vm", "boot", "micro", "--name", NAME, "--cloud", "local", "--flavor", "medium", "--wait", "ready")
        yield runner
    finally:
        runner("vm", "delete", NAME, "--yes", "--missing-ok")


def memory_mib() -> dict[str, int]:
    """Return what libvirt says of the memory of the VM, in its stored definition and now."""
    argv = ["virsh", "-c", host.default_uri(), "dumpxml", NAME, "--inactive"]
    stored = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    told = re.search(r"<currentMemory unit='KiB'>(\d+)<", stored)
    assert told
    return {"stored": int(told[1]) // 1024}


def test_an_idle_vm_is_measured_resized_and_reverted(cms: Cms) -> None:
    done = cms("vm", "rightsize", NAME, *LOOK, "-o", "json")
    assert "measuring 1 VM for 10s, every 0.5 s" in done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["flavor"], row["suggestion"], row["change"]) == ("medium", "small", "smaller"), row["reason"]
    assert (row["samples"], row["saving_per_hour"], row["risk"]) == (20, 0.0, "high")
    assert 0 <= row["cpu_p95"] <= 70
    assert 0 < row["memory_peak"] <= 512 * 0.8
    assert "10s only" in row["caution"]

    plan = cms("vm", "rightsize", NAME, *LOOK, "--apply", "--dry-run").stdout
    assert "would resize 1 VM" in plan
    assert memory_mib() == {"stored": 1024}

    applied = cms.row("vm", "rightsize", NAME, *LOOK, "--apply", "--yes")
    assert (applied["flavor"], applied["resized_from"]) == ("small", "medium")
    assert "the new " in applied["reason"]  # whether it holds now or from the next start
    assert memory_mib() == {"stored": 512}

    for _ in range(6):  # a busy host can make an idle guest busy for a while
        again = cms.row("vm", "rightsize", NAME, *LOOK)
        if again["suggestion"] == "keep":
            break
    assert again["suggestion"] == "keep", again["reason"]

    cms("vm", "revert", NAME)
    assert cms.row("vm", "info", NAME)["flavor"] == "medium"
    assert memory_mib() == {"stored": 1024}


def test_ctrl_c_ends_the_measuring_at_once_and_changes_nothing(cms: Cms) -> None:
    before = cms.row("vm", "info", NAME)["flavor"]
    process = subprocess.Popen(
        [*CMS, "vm", "rightsize", NAME, "--window", "10m", "--apply", "--yes"], env=cms.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr
        first = process.stderr.readline()
        assert "measuring 1 VM for 10m" in first
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert printed == ""
    assert "stopped while measuring; nothing was changed" in told
    assert "Traceback" not in told
    assert cms.row("vm", "info", NAME)["flavor"] == before
