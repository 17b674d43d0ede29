"""Slurm for tests: its packages, installed when a test wants them, and clusters in homes with short paths."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudms.cluster import daemons
from tests.images import provide

CMS = [sys.executable, "-m", "cloudms"]
HERE = Path(__file__).parent
"""Where commands are given: a folder that no node has."""
POLICY = Path("/usr/sbin/policy-rc.d")


def installed() -> str:
    """Install what a controller needs where it is missing, and return why that cannot be done, or an empty string."""
    return install({package for program, package in daemons.PROGRAMS.items() if daemons.find(program) is None})


def install(packages: Iterable[str]) -> str:
    """Install packages without starting what they bring, and return why that cannot be done, or an empty string."""
    missing = sorted(packages)
    if not missing:
        return ""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode:
        return f"{', '.join(missing)} is not installed"
    quiet = not POLICY.exists()  # otherwise Debian starts the daemons that it installs
    if quiet:
        subprocess.run(
            [*sudo, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod +x {POLICY}"], check=True
        )
    try:
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600"]
        for words in (["update"], ["install", "--no-install-recommends", *missing]):
            done = subprocess.run([*apt, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    finally:
        if quiet:
            subprocess.run([*sudo, "rm", "-f", str(POLICY)], check=False)
    return done.stderr.strip()[-300:] if done.returncode else ""


class Lab:
    """A home with one cluster in it."""

    def __init__(self, home: Path, name: str) -> None:
        self.home, self.name = home, name
        self.folder = home / ".cloudmesh" / "clusters" / name
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh")}

    def cms(self, *words: str, code: int = 0, limit: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a command of ours that must end with `code`."""
        done = self._run([*CMS, *words], limit)
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command of ours prints as JSON."""
        found = json.loads(self.cms(*words, "-o", "json").stdout)
        return found if isinstance(found, list) else [found]

    def slurm(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm as a person would, in a folder that no node has."""
        done = self._run([*words], 120.0)
        assert done.returncode == code, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def _run(self, argv: list[str], limit: float) -> subprocess.CompletedProcess[str]:
        env = {**self.env, "SLURM_CONF": str(self.folder / "slurm.conf")}
        return subprocess.run(
            argv, env=env, cwd=HERE, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip

    def jobs(self) -> list[dict[str, Any]]:
        """Return Slurm's queue, with what ended lately."""
        found: list[dict[str, Any]] = json.loads(self.slurm("squeue", "--json").stdout)["jobs"]
        return found

    def vms(self) -> list[str]:
        """Return the nodes that have a VM on the hypervisor."""
        listed = subprocess.run(
            ["virsh", "-c", "qemu:///system" if os.geteuid() == 0 else "qemu:///session", "list", "--all", "--name"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return [word for word in listed.stdout.split() if word.startswith(f"{self.name}-")]

    def said(self) -> str:
        """Return what hooks and controller have written, for the message of a failure."""
        logs = [self.folder / "log" / f"{name}.log" for name in ("hooks", "slurmctld")]
        return "\n".join(log.read_text(errors="replace")[-6000:] for log in logs if log.exists())

    def until(self, check: Callable[[], bool], seconds: float = 900.0) -> None:
        """Wait until `check` holds."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"it did not come true in time\n{self.said()}"
            time.sleep(0.5)

    def resuming(self) -> list[int]:
        """Return the processes of our hook that boot nodes of this cluster now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[1:6] == [b"-m", b"cloudms", b"cluster", b"resume", self.name.encode()]:
                    found.append(int(folder.name))
        return found


@contextmanager
def lab(image: str, *, idle: str, boot_timeout: str, most: int = 2) -> Iterator[Lab]:
    """Yield a cluster on this machine; at the end nothing of it is left."""
    why = installed()
    if why:
        pytest.skip(f"there is no Slurm here: {why}")
    with tempfile.TemporaryDirectory(prefix="cms-slurm-") as folder:
        made = Lab(Path(folder), f"s{os.getpid()}{image[:1] if image == 'micro' else 'n'}")
        provide(image, made.home)
        made.cms("key", "list")
        nodes = ["--cloud", "local", "--image", image, "--flavor", "tiny", "--max", str(most)]
        try:
            made.cms("cluster", "create", made.name, *nodes, "--idle", idle, "--boot-timeout", boot_timeout)
            yield made
        finally:
            made._run([*CMS, "cluster", "delete", made.name, "--force", "--yes"], 600.0)
            made._run([*CMS, "vm", "delete", "--label", f"cluster={made.name}", "--missing-ok", "--yes"], 600.0)
            for pid in made.resuming():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
