"""HAProxy's process: started in the background, found again by whoever comes later, ended by its number.

Its file with its number says which it is; a process counts only when its command line names our folder, so a number
that another program has now is never taken for it. What runs without such a file (after a kill in between, or while an
older one ends the requests it had) is found by the same command line.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from cloudms.clock import Clock
from cloudms.errors import Exists, NotReady, Timeout

PROGRAM = "haproxy"
CONFIG = "haproxy.cfg"
_PID = "pid"
_START = 30.0
"""Seconds that it has to start: it has then read its file and listens."""
_SOFT, _HARD = 5.0, 15.0
"""Seconds that requests under way have when it is ended, and that the process has after them."""


def find() -> str | None:
    """Return the path of HAProxy, also from the sbin folders, or None."""
    return shutil.which(PROGRAM, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def account() -> str:
    """Return whom a process that root starts changes to: the account that the package brings, else nobody else."""
    if os.geteuid() != 0:
        return ""
    with suppress(KeyError):
        pwd.getpwnam(PROGRAM)
        grp.getgrnam(PROGRAM)
        return PROGRAM
    return ""


def start(folder: Path) -> None:
    """Start it with the configuration in its folder, in place of the one that runs, which passes its port on.

    Raises: NotReady (it is not installed, or refuses), Exists (its address is taken), Timeout.
    """
    argv = [find() or PROGRAM, "-D", "-C", str(folder), "-f", CONFIG, "-p", str(folder / _PID)]
    before = pid_of(folder)
    if before:
        argv += ["-x", "admin.sock", "-sf", str(before)]
    with tempfile.TemporaryFile() as said:  # the daemon may keep it open, so it is no pipe
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, timeout=_START, check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8"}, cwd="/",
            )  # fmt: skip
        except FileNotFoundError:
            raise missing() from None
        except subprocess.TimeoutExpired:
            raise Timeout(f"HAProxy did not start within {_START:g} s", hint=f"see {folder / CONFIG}") from None
        said.seek(0)
        text = said.read().decode(errors="replace")
    if done.returncode:
        alerts = [line.partition(") : ")[2] or line for line in text.splitlines() if "[ALERT]" in line]
        reason = " ".join((alerts[0] if alerts else text.strip()[-200:] or f"it ended with {done.returncode}").split())
        if "Address already in use" in text:
            raise Exists(f"HAProxy cannot listen: {reason}", hint="choose another address or port")
        raise NotReady(f"HAProxy did not start: {reason}", hint=f"see {folder / CONFIG}")


def missing() -> NotReady:
    """Return the error for a machine without HAProxy."""
    hint = f"sudo apt-get install --no-install-recommends {PROGRAM}"
    return NotReady("HAProxy is not installed, which shares the requests out", hint=hint)


def pid_of(folder: Path) -> int:
    """Return the number of the process that runs, or 0."""
    try:
        pid = int((folder / _PID).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pid if _is_ours(pid, folder) else 0


def processes(folder: Path) -> list[int]:
    """Return every process of this folder, also one that only ends what it has."""
    numbers = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    return [pid for pid in numbers if _is_ours(pid, folder)]


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether a process is HAProxy with this folder, and has not ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return Path(words[0]).name == PROGRAM and str(folder) in words and state not in "ZX"


def stop(folder: Path, clock: Clock) -> None:
    """End every process of this folder: first softly, so that what is under way is answered. Raises: Timeout."""
    for number, seconds in ((signal.SIGUSR1, _SOFT), (signal.SIGTERM, _HARD), (signal.SIGKILL, _HARD)):
        for pid in processes(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _ended(folder, clock, seconds):
            return
    left = ", ".join(str(pid) for pid in processes(folder))
    raise Timeout(f"HAProxy ({left}) does not end", hint=f"kill -9 {left}")


def _ended(folder: Path, clock: Clock, seconds: float) -> bool:
    end = clock.monotonic() + seconds
    while processes(folder):
        if clock.monotonic() > end:
            return False
        clock.sleep(0.02)
    return True
