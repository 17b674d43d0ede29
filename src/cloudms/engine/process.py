"""Which process works on something, and whether it still lives."""

from __future__ import annotations

import os


def this_process() -> str:
    """Return host/pid/start, which no other process ever has."""
    return f"{os.uname().nodename}/{os.getpid()}/{_started(os.getpid())}"


def alive(process: str) -> bool:
    """Whether the process of that name runs; one of another host is believed to, since it cannot be asked."""
    host, _, rest = process.partition("/")
    pid, _, started = rest.partition("/")
    if not pid.isdigit():
        return False
    return host != os.uname().nodename or _started(int(pid)) == started != ""


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, or an empty string (proc(5), field 22)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 (start-up path)
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
