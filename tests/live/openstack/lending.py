"""Who uses the lab: whoever started it, it is ended when the last one leaves, but only if tests started it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.openstack import bringup, packages
from tests.live.openstack.places import HERE, RUN

ROOT = HERE.parent.parent.parent
OURS = RUN / "lent"
"""Is there while the lab runs for tests only."""


def note(*, fresh: bool, lent: bool) -> None:
    """Remember for whom the lab was started; a person who wants it keeps it."""
    if not lent:
        OURS.unlink(missing_ok=True)
    elif fresh:
        OURS.touch()


def missing() -> str:
    """Return why the lab cannot be had here, after an attempt to install what it is made of; or nothing."""
    if bringup.runs():
        return ""
    try:
        with bringup.alone():
            packages.provide()
    except packages.Unavailable as error:
        return str(error)
    return ""


def start(*, two: bool = False) -> None:
    """Start what does not run, in a process of its own: it leaves no child that this one must collect."""
    argv = [sys.executable, "-m", "tests.live.openstack", "up", "--lend", *(["--two"] if two else [])]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"the lab does not come up: {done.stderr.strip()}")


@contextmanager
def held() -> Iterator[None]:
    """Keep the lab from being ended meanwhile; at the end, the last of its users ends it if tests started it."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            _leave(users.fileno())


@contextmanager
def locked(name: str, *, exclusive: bool) -> Iterator[None]:
    """Hold a lock that others share, or may not."""
    with (RUN / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield


def _leave(users: int) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # somebody else will
    if OURS.exists():
        bringup.down()
        OURS.unlink(missing_ok=True)
