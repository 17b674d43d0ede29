"""What the campaigns share: `cms` in a process of its own, started, killed, and asked what it knows."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

CMS = [sys.executable, "-m", "cloudms"]


def cms(*words: str, limit: float = 300.0, check: bool = True) -> str:
    """Run a `cms` command to its end and return what it printed on stdout; with `check` it must succeed."""
    done = subprocess.run(
        [*CMS, *words], capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"cms {' '.join(words)} exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def rows(*words: str) -> list[dict[str, Any]]:
    """Return the array that a list command prints as JSON."""
    found: list[dict[str, Any]] = json.loads(cms(*words, "-o", "json"))
    return found


def killed(words: Sequence[str], after: float) -> float | None:
    """Start a `cms` command and kill -9 it after `after` seconds; return the time when it was killed, None if it ended.

    Its process group goes with it, as when a terminal or a machine dies.
    """
    begun = time.monotonic()
    with subprocess.Popen(
        [*CMS, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return time.monotonic() - begun
    return None


def timed(*words: str) -> float:
    """Run a command to its end and return the seconds it took."""
    begun = time.monotonic()
    cms(*words)
    return time.monotonic() - begun


def moment(longest: float) -> float:
    """Return a random moment within a command that takes about `longest` seconds."""
    return random.uniform(0.02, longest)
