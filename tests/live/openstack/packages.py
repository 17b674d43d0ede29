"""What the lab is made of: packages of the distribution, and an environment of Python packages of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.live.openstack.places import HERE, LOG, VENV, home, tool

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
NEEDED = {
    RABBIT: "rabbitmq-server", Path("/usr/sbin/mariadbd"): "mariadb-server-core",
    Path("/usr/bin/mariadb"): "mariadb-client-core", Path("/usr/bin/memcached"): "memcached",
    Path("/usr/bin/epmd"): "erlang-base", Path("/usr/bin/gcc"): "gcc",
}  # fmt: skip
WISHES = (HERE / "requirements.txt", HERE / "constraints.txt")
POLICY = Path("/usr/sbin/policy-rc.d")


class Unavailable(Exception):
    """The lab cannot be had here; the text says why."""


def absent() -> list[str]:
    """Return the packages of the distribution that are missing."""
    return [package for file, package in NEEDED.items() if not os.access(file, os.X_OK)]


def provide() -> None:
    """Install what is missing. Raises: Unavailable."""
    LOG.mkdir(parents=True, exist_ok=True)
    if absent():
        _install_system(absent())
    if not complete():
        _install_python()


def complete() -> bool:
    """Whether the environment holds just what is wished for."""
    mark = VENV / "installed"
    return mark.exists() and mark.read_text() == _digest()


def _digest() -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in WISHES)).hexdigest()


def _install_system(names: list[str]) -> None:
    if not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(names)} is not installed, and there is no apt-get")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        raise Unavailable(f"{', '.join(names)} is not installed, and sudo asks for a password")
    quiet = not POLICY.exists()  # otherwise Debian starts the daemons that it installs
    if quiet:
        _logged([*sudo, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod +x {POLICY}"], "apt")
    try:
        apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
        _logged([*apt, "update"], "apt")
        _logged([*apt, "install", "-y", "--no-install-recommends", *names], "apt")
    finally:
        if quiet:
            _logged([*sudo, "rm", "-f", str(POLICY)], "apt")


def _install_python() -> None:
    """Make the environment; only ovs is built here, which its own setup does without a compiler, too."""
    if not Path(tool("pip")).exists():
        _logged([sys.executable, "-m", "venv", str(VENV)], "pip")
    wishes, limits = (str(file) for file in WISHES)
    _logged([tool("pip"), "install", "--prefer-binary", "-r", wishes, "-c", limits], "pip")
    (VENV / "installed").write_text(_digest())


def _logged(argv: list[str], log: str) -> None:
    """Run a command that must succeed, in the user's own home, where pip keeps what it has fetched."""
    file = LOG / f"{log}.log"
    with file.open("ab") as out:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "HOME": str(home())}, check=False
        )
    if done.returncode:
        last = (file.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable(f"{argv[0]} failed, see {file}: {last}")
