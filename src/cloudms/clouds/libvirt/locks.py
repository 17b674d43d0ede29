"""Locks between processes and threads of this machine, which end with their holder, however that ends.

One file holds any number of locks: each is one byte of it, at a place that the name of the lock chooses (open file
description locks of Linux, so that two threads of one process exclude each other, too).
"""

from __future__ import annotations

import fcntl
import struct
from binascii import crc32
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudms.clock import Clock
from cloudms.errors import Conflict

PAUSE_S = 0.02


@contextmanager
def hold(path: Path, name: str, clock: Clock, *, what: str, wait: float = 120.0) -> Iterator[None]:
    """Hold the lock `name` of the file `path`.

    Parameters: `what` names the thing for people; `wait` seconds for another holder, then Conflict.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, crc32(name.encode()), 1, 0)
    with path.open("ab") as handle:
        deadline = clock.monotonic() + wait
        while True:
            try:
                fcntl.fcntl(handle, fcntl.F_OFD_SETLK, request)
                break
            except BlockingIOError:
                if clock.monotonic() >= deadline:
                    raise Conflict(f"another process works on {what}", hint="wait until it is done") from None
                clock.sleep(PAUSE_S)
        yield
