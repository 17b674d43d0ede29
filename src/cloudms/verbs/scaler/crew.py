"""The controllers of several groups, side by side in one process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from cloudms.context import Context
from cloudms.errors import CloudmsError
from cloudms.scaling import store
from cloudms.scaling.controller import Controller, Pass
from cloudms.verbs.group.scale import grown

_LOOK = 10.0
"""Seconds between looks for groups that have got a policy."""
_POLL = 0.2


class Crew:
    """Controllers of several groups, each in a thread of its own. Parameters: `names`, None for all with a policy."""

    def __init__(self, ctx: Context, names: Sequence[str] | None = None) -> None:
        self._ctx = ctx.branch()
        self._teller: threading.Thread | None = None
        self._fixed = list(names) if names is not None else None
        self._passes: queue.Queue[tuple[str, Pass]] = queue.Queue()
        self._threads: dict[str, threading.Thread] = {}
        self._branches: dict[str, Context] = {}
        self._looked = float("-inf")

    @property
    def names(self) -> list[str]:
        """Return the groups that are, or were, scaled."""
        return list(self._threads)

    def heard(self) -> Iterator[tuple[str, Pass | None]]:
        """Yield each pass with the group's name, and None in between when nothing happens, until the context stops."""
        while not self._ctx.stopping.is_set():
            self._begin()
            try:
                yield self._passes.get(timeout=_POLL)
            except queue.Empty:
                yield "", None
            if (
                self._fixed is not None
                and self._threads
                and not any(each.is_alive() for each in self._threads.values())
                and self._passes.empty()
            ):
                return

    def _begin(self) -> None:
        """Begin with groups that nobody of this crew scales yet."""
        now = self._ctx.clock.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        wanted = self._fixed if self._fixed is not None else [each.name for each in store.every(self._ctx)]
        for name in wanted:
            running = self._threads.get(name)
            if running is None or (not running.is_alive() and self._fixed is None):
                self._branches[name] = self._ctx.branch()
                self._threads[name] = threading.Thread(
                    target=self._scale, args=(name,), name=f"cms-scaler-{name}", daemon=True
                )
                self._threads[name].start()

    def _scale(self, name: str) -> None:
        branch = self._branches[name]
        controller = Controller(branch, name, grown)
        waiting = False
        try:
            for made in controller.passes():
                if not made.mine and not made.news and not waiting:
                    made = made.with_(news=(f"{controller.holder or 'another process'} scales it; this one stands by",))
                waiting = not made.mine
                if made.news or made.decision is not None:
                    self._passes.put((name, made))
        except CloudmsError as error:
            self._passes.put((name, Pass(mine=False, news=(f"it is scaled no more: {error.message}",))))
        finally:
            controller.close()

    def beside(self) -> None:
        """Scale in the background until `end`, and tell what happens as progress."""

        def tell() -> None:
            for name, made in self.heard():
                for text in made.news if made else ():
                    self._ctx.progress(name, text)

        self._teller = threading.Thread(target=tell, name="cms-scaler-crew", daemon=True)
        self._teller.start()

    def left(self) -> Iterator[tuple[str, Pass]]:
        """Yield the passes that nobody has heard of yet."""
        while not self._passes.empty():
            yield self._passes.get()

    def end(self) -> None:
        """Stop all, and wait until what they had begun has come to its next step."""
        self._ctx.stop()
        if self._teller:
            self._teller.join()
        for branch in self._branches.values():
            branch.stop()
        for thread in self._threads.values():
            thread.join()
