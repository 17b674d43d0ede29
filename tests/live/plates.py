"""The licence-plate service and its store as processes, for tests that end them as a person or a fault does."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CMS = [sys.executable, "-m", "cloudms"]
LIMIT = 300.0
"""Seconds for what takes one, on a machine that is busy."""


def until(check: Callable[[], bool], what: str, seconds: float = LIMIT) -> None:
    """Wait until `check` holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"it never happened: {what}"
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Desk:
    """A working folder and a home in which `cms` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = folder / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh")}
        self.token_file = home / ".cloudmesh" / "workload" / "token"

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        done = subprocess.run(
            [*CMS, *words], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        found = json.loads(self(*words, "-o", "json", code=code).stdout)
        return found if isinstance(found, list) else [found]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return subprocess.Popen(
            [*CMS, *words], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @contextmanager
    def serving(self, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """Run a command that serves, and give its process and where it listens."""
        process = self.start(*words)
        try:
            assert process.stdout
            assert process.stderr
            line = process.stdout.readline()
            found = re.fullmatch(r"listening at (http://\S+)\n", line)
            assert found, line + process.stderr.read()
            yield process, found[1]
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LIMIT)


def sent(ledger: Path) -> int:
    """Return how many requests a ledger has as sent by now."""
    return ledger.read_text().count('{"sent"') if ledger.exists() else 0


def answered(ledger: Path) -> int:
    """Return how many requests a ledger has as answered by now."""
    return ledger.read_text().count('{"answered"') if ledger.exists() else 0


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as a fault does."""
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT)
