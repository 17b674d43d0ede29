"""`cms demo autoscale` on real VMs: one, two, three and back, no request lost, nothing left."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.images import provide
from tests.live.test_cms import virsh
from tests.live.test_demo import rows

pytestmark = pytest.mark.live

DEMO = [sys.executable, "-m", "cloudms", "demo", "autoscale"]
LONG_S = 1800.0


def test_the_demo_scales_and_loses_nothing(own_home: Path) -> None:
    provide("micro", own_home)
    before = set(virsh("list", "--all", "--name").split())
    done = subprocess.run(
        [*DEMO, "--short"], capture_output=True, text=True, timeout=LONG_S, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The group went from 1 to 3 members and back to 1." in done.stdout
    told = [line for line in done.stdout.splitlines() if re.search(r" (out|in) +(grows|shrinks) from", line)]
    assert len(told) >= 4, done.stdout
    assert "grows from 2 to 3 members" in done.stdout
    assert "members, 1 to 3" in done.stdout, "what happened is drawn"
    assert re.search(r"^\S+ +yes +(\d+) +\1 ", done.stdout, re.MULTILINE), "every request was answered exactly once"
    assert [row for row in rows("vm", "list") if row["name"].startswith("plates")] == []
    assert rows("balancer", "list") == rows("scaler", "list") == rows("sweep", "--cloud", "local") == []
    assert not {name for name in virsh("list", "--all", "--name").split() if name.startswith("plates-")} - before


def test_where_vms_are_elsewhere_it_is_refused() -> None:
    done = subprocess.run([*DEMO, "--cloud", "fake"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 9
    assert "the demo's VMs run on this machine" in done.stderr
