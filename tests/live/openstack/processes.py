"""Processes of the lab: started in groups of their own, known again by a mark, and ended; nobody else's are touched."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.live.openstack.places import FOLDER, LOG, RUN

MARK = "LAB_SERVICE"
PATIENCE = 180.0
GRACE = 6.0
"""Seconds for an end in order; nova would take minutes."""


class Broken(Exception):
    """A part of the lab does not come up; the text names its log."""


def pid_of(name: str) -> int | None:
    """Return the process of a service, if it runs: a number alone may be another's by now."""
    try:
        pid = int((RUN / f"{name}.pid").read_text())
        known = f"{MARK}={FOLDER}/{name}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if known else None


def start(name: str, argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Start a service unless it runs, and tell whether it had to be started.

    SPT_NOENV keeps setproctitle, which several of them use, from writing over the environment with our mark in it.
    """
    if pid_of(name):
        return False
    seen = {**env, "SPT_NOENV": "1", MARK: f"{FOLDER}/{name}"}
    path = shutil.which(argv[0], path=seen.get("PATH", os.defpath))
    if path is None:
        raise Broken(f"{name}: there is no {argv[0]}")
    log = str(LOG / f"{name}.log")
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(path, list(argv), seen, file_actions=files, setsid=True)
    (RUN / f"{name}.pid").write_text(str(pid))
    end = time.monotonic() + 1
    while not pid_of(name) and time.monotonic() < end:  # its environment can be read a moment after it was made
        time.sleep(0.001)
    return True


def wait(name: str, condition: Callable[[], bool]) -> None:
    """Wait until a service is ready. Raises: Broken (it ended, or takes too long)."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if not pid_of(name):
            raise Broken(f"{name} has ended, see {LOG / name}.log")
        if time.monotonic() > end:
            raise Broken(f"{name} is not ready after {PATIENCE:g} s, see {LOG / name}.log")
        time.sleep(0.1)


def tell(name: str, what: signal.Signals) -> None:
    """Send a signal to all processes of a service."""
    pid = pid_of(name)
    if pid:
        with suppress(ProcessLookupError):
            os.killpg(pid, what)


def stop(names: Sequence[str], grace: float = GRACE) -> None:
    """End services, all at once; what does not end in time is killed."""
    groups = {name: pid for name in names if (pid := pid_of(name))}
    for name in groups:
        tell(name, signal.SIGTERM)
    end = time.monotonic() + grace
    while any(map(_lives, groups.values())) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in groups.values():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    while any(map(_lives, groups.values())) and time.monotonic() < end + PATIENCE:
        time.sleep(0.02)
    for name in names:
        (RUN / f"{name}.pid").unlink(missing_ok=True)


def _lives(group: int) -> bool:
    """Whether a process of the group runs; one that only nobody has collected does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(_member(entry, group) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _member(entry: Path, group: int) -> bool:
    try:
        state, _parent, of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(of) == group and state not in "ZX"
