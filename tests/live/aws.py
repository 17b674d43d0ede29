"""`cms` as a process of its own in a home of its own, with a pretended AWS in its configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms.clouds.aws.emulator import REGION
from tests.aws.emulator import Lab

CMS = [sys.executable, "-m", "cloudms"]
IMAGE = "ubuntu-24.04"


class Aws:
    """Runs `cms`, keeps what it printed, and holds at the end that no secret stands anywhere but in the settings."""

    def __init__(self, lab: Lab, home: Path, regions: Sequence[str] = (REGION,), **more: Mapping[str, Any]) -> None:
        self.lab = lab
        self.folder = home / ".cloudmesh"
        lab.write_config(self.folder, regions, **more)
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(self.folder)}
        self.printed: list[str] = []

    def __call__(self, *words: str, code: int = 0, limit: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        done = subprocess.run(
            [*CMS, *words], env=self.env, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        self.printed += [done.stdout, done.stderr]
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        found = json.loads(self(*words, "-o", "json").stdout)
        return found if isinstance(found, list) else [found]

    def boot(self, name: str, *more: str) -> list[dict[str, Any]]:
        """Boot and return the VMs."""
        return self.rows("vm", "boot", IMAGE, "--name", name, *more)

    def fails(self, code: int, *words: str) -> str:
        """Run a command that must end with an error of one line and a hint, and return both."""
        lines = [line for line in self(*words, code=code).stderr.splitlines() if line.startswith(("error:", "hint:"))]
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
        assert all(len(line) < 400 for line in lines)
        return "\n".join(lines)

    def told_no_secret(self) -> None:
        """Hold that the secret key stands in no output and in no file but the configuration."""
        secret = self.lab.credentials["AWS_SECRET_ACCESS_KEY"]
        assert secret not in "".join(self.printed)
        for file in self.folder.parent.rglob("*"):
            if file.is_file() and not file.is_symlink() and file.name != "cloudmesh.yaml":
                assert secret.encode() not in file.read_bytes(), file
