"""Processes that a test run starts, one or several at once, and what those leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def say(line: str = "") -> None:
    """Print a line at once, so that it stands before what a child prints next."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def call(argv: list[str], *, limit: float, env: dict[str, str] | None = None) -> int:
    """Run `argv` with our output and return its exit code; after `limit` seconds it is ended and 124 returned."""
    (code,) = call_at_once([argv], limit=limit, env=env)
    return code


def call_at_once(argvs: list[list[str]], *, limit: float, env: dict[str, str] | None = None) -> list[int]:
    """Run several commands at once and return their exit codes, 124 for one that took more than `limit` seconds.

    The first prints as it goes, the others when all have ended.
    """
    deadline = time.monotonic() + limit
    with contextlib.ExitStack() as stack:
        files = [None, *(stack.enter_context(tempfile.TemporaryFile("w+")) for _ in argvs[1:])]
        children = [
            stack.enter_context(
                subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            )
            for argv, file in zip(argvs, files, strict=True)
        ]
        try:
            codes = [_wait(child, deadline, children) for child in children]
        except KeyboardInterrupt:  # Ctrl-C reaches them, too, but a signal to us alone does not
            for child in children:
                child.send_signal(signal.SIGINT)
            raise
        for file in filter(None, files):
            file.seek(0)
            say(file.read())
    return codes


def _wait(child: subprocess.Popen[bytes], deadline: float, children: list[subprocess.Popen[bytes]]) -> int:
    """Return the exit code of one of the `children`; end it at the deadline and return 124."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            return child.wait(timeout=min(left, 0.2))
        except subprocess.TimeoutExpired:
            bury({each.pid for each in children})
    say(f"{child.args[0]} took too long")  # type: ignore[index]
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=10)
    child.kill()
    return 124


def adopt_orphans() -> None:
    """Become the parent of what our descendants leave behind, as init is.

    In a container the first process often collects nobody: a QEMU that has ended then stays a zombie, which libvirt
    takes for a process that cannot be killed.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(spared: set[int]) -> None:
    """Collect every ended child but the `spared`, whose exit codes are waited for elsewhere."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in spared:
                return
            os.waitpid(ended.si_pid, 0)
