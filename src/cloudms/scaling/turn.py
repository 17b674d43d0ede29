"""The right to scale a group: one process has it, keeps it by renewing it, and leaves it to the next when it dies."""

from __future__ import annotations

import itertools
import threading

from cloudms.catalog.base import Lease
from cloudms.clock import SystemClock
from cloudms.context import Context
from cloudms.engine.process import alive, this_process
from cloudms.scaling import store

HOLD = 30.0
"""Seconds for which the right is held without being renewed."""
_RENEW = 10.0
"""Seconds between renewals."""
_HOLDERS = itertools.count(1)


class Turn:
    """The right to scale one group, for one controller of this process."""

    def __init__(self, ctx: Context, group: str) -> None:
        self._ctx = ctx
        self._group = group
        self.owner = f"{this_process()}#{next(_HOLDERS)}"
        self._lease: Lease | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether this controller has it."""
        return self._lease is not None

    def take(self) -> bool:
        """Take the right or renew it, and return whether it is held; that of a process that died is taken over.

        Raises: NotFound (the group has no policy any more).
        """
        ctx, name = self._ctx, f"scaler/{self._group}"
        now = ctx.clock.now()
        found = ctx.catalog.acquire(name, self.owner, now=now, seconds=HOLD)
        if found is None:
            last = store.find(ctx, self._group).process
            if last and not alive(last.partition("#")[0]):  # its lease is renewed in its name and given back
                dead = ctx.catalog.acquire(name, last, now=now, seconds=HOLD)
                if dead is not None:
                    ctx.catalog.release(dead)
                    found = ctx.catalog.acquire(name, self.owner, now=now, seconds=HOLD)
        fresh = found is not None and self._lease is None
        self._lease = found
        if fresh:
            store.change(ctx, self._group, lambda each: each.with_(process=self.owner, asleep=False))
            self._keep()
        return found is not None

    def _keep(self) -> None:
        """Renew it in the background: one pass may take longer than it is held."""
        if not isinstance(self._ctx.clock, SystemClock) or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._renew, name="cms-scaler-turn", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW):
            if self._lease is not None:
                lease = self._lease
                self._ctx.catalog.acquire(lease.name, lease.owner, now=self._ctx.clock.now(), seconds=HOLD)

    def release(self) -> None:
        """Leave it to the next."""
        self._ended.set()
        if self._thread:
            self._thread.join(timeout=HOLD)
        if self._lease is not None:
            self._ctx.catalog.release(self._lease)
            self._lease = None


def holder(ctx: Context, group: str) -> str:
    """Return the process that scales a group now, as host/pid/start, or an empty string."""
    found = store.get(ctx, group)
    process = found.process.partition("#")[0] if found else ""
    if not process or not alive(process) or found is None or found.asleep:
        return ""
    return process
