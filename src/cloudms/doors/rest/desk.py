"""What requests work with: one catalog and the open clouds, shared; a branch with its own stop and warnings for each.

When a file of the configuration has changed, the next request gets clouds that are opened anew. Those of before are
closed when nothing works with them any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cloudms.context import Context, unheard


class Desk:
    """Hands out contexts.

    Parameters: `first`, the context of the service, whose catalog, clock and actor all others have.
    """

    def __init__(self, first: Context) -> None:
        self.first = first
        first.lasting = True
        self.catalog = first.catalog
        self._lock = threading.Lock()
        self._now = _Trunk(first)
        self._older: list[_Trunk] = []

    @contextmanager
    def context(self) -> Iterator[Context]:
        """Give a context for one request, or for one change."""
        trunk = self._enter()
        try:
            yield _branch(trunk.context)
        finally:
            self._leave(trunk)

    def _enter(self) -> _Trunk:
        with self._lock:
            if self._now.context.configured and self._now.context.config.outdated:
                self._older.append(self._now)
                made = Context(catalog=self.catalog, clock=self.first.clock, actor=self.first.actor)
                made.lasting = True
                self._now = _Trunk(made)
            self._now.users += 1
            trunk = self._now
        self._sweep()
        return trunk

    def _leave(self, trunk: _Trunk) -> None:
        with self._lock:
            trunk.users -= 1
        self._sweep()

    def _sweep(self) -> None:
        """Close the clouds that only an older configuration knew, and the connections to their VMs."""
        with self._lock:
            unused = [trunk for trunk in self._older if not trunk.users]
            self._older = [trunk for trunk in self._older if trunk.users]
        for trunk in unused:
            trunk.context.close_clouds()
            trunk.context.close_pool()

    def close(self) -> None:
        """Close clouds and connections; the first context, with the catalog, belongs to the caller."""
        with self._lock:
            trunks, self._older = [*self._older, self._now], []
        for trunk in trunks:
            trunk.context.close_clouds()
            trunk.context.close_pool()


class _Trunk:
    """One state of the configuration, and how many work with it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.users = 0


def _branch(trunk: Context) -> Context:
    made = trunk.branch()
    made.warnings = []
    made.progress = unheard
    return made
