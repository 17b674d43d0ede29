"""`cms` as a process of its own in a home of its own, with the lab in its configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.live.openstack.accounts import IMAGE, Account
from tests.live.openstack.places import ONE

CMS = [sys.executable, "-m", "cloudms"]
FLAVOR = "m1.tiny"
CLOUD = "lab"


def settings(account: Account, **options: Any) -> dict[str, Any]:
    """Return the settings of a cloud that an account has in the lab."""
    return {
        "cm": {"kind": "openstack", "active": True},
        "default": {"image": IMAGE, "flavor": FLAVOR},
        "options": {"region": ONE.name, "max_retries": 1, **options},
        "credentials": account.login,
    }


def write_config(folder: Path, account: Account, options: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """Write a configuration with the lab as its default cloud, and `more` clouds, and return the file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "cloudmesh.yaml"
    clouds = {
        CLOUD: settings(account, **(options or {})),
        "local": {"cm": {"kind": "libvirt", "active": False}},
        **more,
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps({"cloudmesh": {"default": {"cloud": CLOUD}, "cloud": clouds}}))
    return file


class Cms:
    """Runs `cms` and keeps what it printed."""

    def __init__(
        self, account: Account, home: Path, options: Mapping[str, Any] | None = None, **more: Mapping[str, Any]
    ) -> None:
        self.account = account
        self.folder = home / ".cloudmesh"
        write_config(self.folder, account, options, **more)
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(self.folder)}

    def run(self, *words: str, limit: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [*CMS, *words], env=self.env, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def __call__(self, *words: str, code: int = 0, limit: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        done = self.run(*words, limit=limit)
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        found = json.loads(self(*words, "-o", "json").stdout)
        return found if isinstance(found, list) else [found]

    def row(self, *words: str) -> dict[str, Any]:
        """Return the only thing that a command prints."""
        (found,) = self.rows(*words)
        return found

    def boot(self, name: str, *more: str) -> list[dict[str, Any]]:
        """Boot and return the VMs."""
        return self.rows("vm", "boot", "--name", name, "--flavor", FLAVOR, *more)

    def fails(self, code: int, *words: str) -> str:
        """Run a command that must end with an error of one line and a hint, and return both."""
        lines = [line for line in self(*words, code=code).stderr.splitlines() if line.startswith(("error:", "hint:"))]
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
        assert all(len(line) < 400 for line in lines)
        return "\n".join(lines)
