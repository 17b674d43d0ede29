"""The controller on this machine: munged and slurmctld, started by hand so that no systemd and no root is needed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cloudms import paths
from cloudms.clock import Clock
from cloudms.cluster import conf
from cloudms.cluster.conf import Place
from cloudms.errors import Invalid, NotReady, Timeout
from cloudms.model import Cluster

PROGRAMS = {"munged": "munge", "slurmctld": "slurmctld", "scontrol": "slurm-client", "sbatch": "slurm-client"}
"""What the controller needs, and the package of Debian and Ubuntu that has it."""
_PASSED = (
    "HOME", "USER", "LOGNAME", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "CMS_CATALOG",
    "LIBVIRT_DEFAULT_URI", "AWS_PROFILE", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL", "OS_CLOUD", "OS_CLIENT_CONFIG_FILE", "SSL_CERT_FILE", "PYTHONPATH",
)  # fmt: skip
"""Variables that hooks get as they are when the cluster is made; none of them is a secret."""
_LONGEST_SOCKET = 107
"""Bytes that the path of a socket may have (unix(7))."""
_START = 60.0
"""Seconds a daemon has to start."""


def find(program: str) -> str | None:
    """Return the path of a program, also from the sbin folders, or None."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def missing() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    return [program for program in PROGRAMS if find(program) is None]


def how_to_get(programs: Sequence[str]) -> str:
    """Return the command that installs programs of Slurm."""
    packages = " ".join(dict.fromkeys(PROGRAMS[program] for program in programs))
    return f"sudo apt-get install --no-install-recommends {packages}"


def check() -> None:
    """Refuse when Slurm is not installed. Raises: NotReady."""
    lacking = missing()
    if lacking:
        raise NotReady(f"a Slurm on this machine needs {', '.join(lacking)}", hint=how_to_get(lacking))


def check_place(place: Place) -> None:
    """Refuse a folder in which munge could have no socket. Raises: Invalid."""
    if len(os.fsencode(place.socket)) > _LONGEST_SOCKET:
        hint = "a shorter name, or CLOUDMESH_CONFIG_DIR=/a/shorter/folder"
        raise Invalid(f"{place.socket} is too long for a socket", hint=hint)


def free_port(taken: Sequence[int] = ()) -> int:
    """Return a port that nothing on this machine listens on, on any address, and that is not `taken`."""
    for _attempt in range(1000):
        port = 20_000 + secrets.randbelow(10_000)
        if port not in taken and _is_free(port):
            return port
    raise NotReady("no port is free on this machine", hint="ss -ltn shows who has them")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def write(cluster: Cluster, place: Place) -> None:
    """Write what the daemons read; the key is made once and readable by its owner alone."""
    paths.private(place.folder)
    for part in ("run", "state", "log"):
        paths.private(place.folder / part)
    if not place.key.exists():
        _write(place.key, secrets.token_bytes(1024), 0o400)
    _write(place.config, conf.controller(cluster, place).encode(), 0o644)
    _write(place.folder / "job_submit.lua", conf.submit(cluster).encode(), 0o644)
    for word in ("resume", "suspend"):
        _write(place.folder / word, _hook(word, cluster, place).encode(), 0o700)


def _hook(word: str, cluster: Cluster, place: Place) -> str:
    environment = {name: os.environ[name] for name in _PASSED if os.environ.get(name)}
    search = [*os.environ.get("PATH", "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    environment["PATH"] = ":".join(dict.fromkeys(part for part in search if part))
    environment["CLOUDMESH_CONFIG_DIR"] = str(paths.home().absolute())
    return conf.hook(word, cluster.name, [sys.executable, "-m", "cloudms"], environment, place.log("hooks"))


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file beside and rename it, never readable by more than `mode` says."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    beside.rename(path)


def start(place: Place, clock: Clock) -> None:
    """Start the daemons that do not run. Raises: NotReady (one fails), Timeout."""
    check()
    if not pid_of(place, "munged"):
        place.socket.unlink(missing_ok=True)
        _run([
            "munged", "--force", f"--key-file={place.key}", f"--socket={place.socket}",
            f"--pid-file={place.pid('munged')}", f"--log-file={place.log('munged')}",
            f"--seed-file={place.folder / 'state' / 'munge.seed'}",
        ], place.log("munged"))  # fmt: skip
    if not pid_of(place, "slurmctld"):
        _run(["slurmctld", "-f", str(place.config)], place.log("slurmctld"))
    _wait(place, clock)


def _run(argv: list[str], log: Path) -> None:
    """Start a daemon, which returns when it has gone into the background. Raises: NotReady."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            [str(find(argv[0])), *argv[1:]], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", timeout=_START, check=False, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Timeout(f"{argv[0]} did not start within {_START:g} s", hint=f"see {log}") from None
    if done.returncode:
        raise NotReady(f"{argv[0]} did not start: {_last(done.stderr) or _last(_tail(log))}", hint=f"see {log}")


def _wait(place: Place, clock: Clock) -> None:
    end = clock.monotonic() + _START
    while not runs(place):
        if clock.monotonic() > end:
            raise Timeout(
                f"slurmctld did not start: {_last(_tail(place.log('slurmctld')))}", hint=f"see {place.log('slurmctld')}"
            )
        clock.sleep(0.1)


def stop(place: Place, clock: Clock) -> None:
    """End the daemons that run, the controller first, which writes its state. Raises: Timeout."""
    for daemon in ("slurmctld", "munged"):
        pid = pid_of(place, daemon)
        if pid:
            _end(pid, daemon, place, clock)


def _end(pid: int, daemon: str, place: Place, clock: Clock) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        end = clock.monotonic() + _START / 2
        while clock.monotonic() < end:
            if not pid_of(place, daemon):
                return
            clock.sleep(0.05)
    raise Timeout(f"{daemon} ({pid}) does not end", hint=f"see {place.log(daemon)}")


def pid_of(place: Place, daemon: str) -> int:
    """Return the process id of a daemon that runs, or 0; a number that another program has now does not count."""
    try:
        pid = int(place.pid(daemon).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return 0
    return pid if daemon in words and str(place.folder) in words and state not in "ZX" else 0


def runs(place: Place) -> bool:
    """Whether both daemons run."""
    return all(pid_of(place, daemon) for daemon in ("munged", "slurmctld"))


def _tail(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-4000:]
    except OSError:
        return ""


def _last(text: str) -> str:
    lines: Iterator[str] = (line.strip() for line in reversed(text.splitlines()) if line.strip())
    return next(lines, "")
