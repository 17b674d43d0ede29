"""Carrying out one operation: its steps in threads, a batch as one piece of work, its record kept meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cloudms.context import Context
from cloudms.engine.plan import ACTIONS, Batch, Left, Outcome, Work
from cloudms.errors import CloudmsError, Interrupted
from cloudms.model import Operation, OperationState, Step

if TYPE_CHECKING:
    from concurrent.futures import Future

Watch = Callable[[int, Step], None]
"""Hears the position of a step and its record."""

_POLL = 0.5
"""Seconds between looks at whether the operation was cancelled from elsewhere."""
_OWN_WIDTH = 4
"""How many steps of the manager itself, which concern no cloud, run at once."""


class Runner:
    """Executes one operation and keeps its record."""

    def __init__(self, ctx: Context, operation: Operation, watch: Watch | None = None) -> None:
        self.ctx = ctx
        self.operation = operation
        self.watch = watch
        self.steps = list(operation.steps)
        self.futures: list[Future[None]] = []
        self.pools: dict[str, Any] = {}
        self.lone: threading.Event | None = None
        self.lock = threading.Lock()
        self.begun: dict[int, float] = {}
        self.stored = ctx.clock.monotonic()

    def run(self) -> None:
        """Carry out the steps: a single piece of work in a thread of its own, several in a bounded pool per cloud."""
        jobs = self._jobs()
        if len(jobs) == 1:
            self._alone(*jobs[0])
        else:
            for job in jobs:
                self._submit(*job)
        self._finish()

    def _jobs(self) -> list[tuple[list[int], Batch | None]]:
        """Return the work that is left: a piece for every batch, and for every step that is in none."""
        jobs: dict[object, tuple[list[int], Batch | None]] = {}
        for position, step in enumerate(self.steps):
            if step.state != "done":
                batch = ACTIONS[step.action].batch
                name = batch.of(step) if batch else ""
                jobs.setdefault(name or position, ([], batch if name else None))[0].append(position)
        return list(jobs.values())

    def _work(self, positions: list[int], batch: Batch | None) -> None:
        if self.ctx.stopping.is_set():
            raise Interrupted("stopped on request")
        if batch:
            self._together(positions, batch)
        else:
            self._step(positions[0])

    def _submit(self, positions: list[int], batch: Batch | None = None) -> None:
        """Let the pool of a cloud carry out a piece of work as soon as a thread is free."""
        from concurrent.futures import ThreadPoolExecutor

        cloud = self.steps[positions[0]].cloud
        with self.lock:
            if cloud not in self.pools:
                width = self.ctx.cloud_class(cloud).width if cloud else _OWN_WIDTH
                self.pools[cloud] = ThreadPoolExecutor(width, thread_name_prefix=f"cms-{cloud or 'own'}")
            self.futures.append(self.pools[cloud].submit(self._work, positions, batch))

    def _finish(self) -> None:
        """Wait until everything that was submitted, also meanwhile, has ended."""
        if not self.futures:
            return
        from concurrent.futures import wait

        while pending := [future for future in self.futures if not future.done()]:
            wait(pending, timeout=_POLL)
            self._look_for_cancel()
        for future in self.futures:
            future.result()

    def _alone(self, positions: list[int], batch: Batch | None) -> None:
        """Carry out one piece in a thread of its own, so that Ctrl-C never breaks a call in the middle."""
        raised: list[BaseException] = []

        def work() -> None:
            try:
                self._work(positions, batch)
            except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
                raised.append(error)
            finally:
                ended.set()

        # An event and not `join`: CPython 3.11 takes a thread for ended when Ctrl-C comes while it is joined.
        ended = self.lone = threading.Event()
        threading.Thread(target=work, name="cms-step", daemon=True).start()
        while not ended.wait(_POLL):
            self._look_for_cancel()
        if raised:
            raise raised[0]

    def wait(self) -> None:
        """Let what has begun end its current call; a second Ctrl-C leaves at once."""
        if self.lone:
            self.lone.wait()
        for pool in self.pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _together(self, positions: list[int], batch: Batch) -> None:
        """Carry out what the steps of a batch share; those that go on alone are submitted."""
        begun = self.ctx.clock.monotonic()
        left = {}
        for position in positions:
            step = self.steps[position].with_(state="running")
            self._record(position, step)
            left[position] = Work(self.ctx, step, self.operation.name, begun)
        places = {work: position for position, work in left.items()}
        name = batch.of(self.steps[positions[0]])
        whole = [step for step in self.steps if ACTIONS[step.action].batch and batch.of(step) == name]
        try:
            for work, outcome in batch.run(list(places), whole):
                del left[places[work]]
                if outcome is None and not self.ctx.stopping.is_set():
                    self.begun[places[work]] = begun
                    self._submit([places[work]])
                else:
                    self._ended(places[work], outcome or Interrupted("stopped on request"), begun)
        except BaseException as error:
            for position in left:
                self._ended(position, error, begun)
            if not isinstance(error, CloudmsError) or isinstance(error, Interrupted):
                raise

    def _step(self, position: int) -> None:
        step = self.steps[position]
        begun = self.begun.get(position, self.ctx.clock.monotonic())
        self._record(position, step.with_(state="running"))
        try:
            outcome = ACTIONS[step.action].run(Work(self.ctx, step, self.operation.name, begun))
        except BaseException as error:
            self._ended(position, error, begun)
            if not isinstance(error, CloudmsError) or isinstance(error, Interrupted):
                raise
            return
        self._ended(position, outcome, begun)

    def _ended(self, position: int, outcome: Outcome | BaseException, begun: float) -> None:
        """Record how a step has ended; a bug is recorded like any other failure, and its cause goes on up."""
        step = self.steps[position].with_(seconds=round(self.ctx.clock.monotonic() - begun, 3))
        if isinstance(outcome, Left):
            step, outcome = step.with_(result=outcome.noun.to_public()), outcome.error
        if isinstance(outcome, Interrupted | KeyboardInterrupt):
            left = outcome.to_public() if isinstance(outcome, Interrupted) and outcome.hint else None
            self._record(position, step.with_(state="cancelled", seconds=None, error=left))
        elif isinstance(outcome, BaseException):
            error = outcome
            if not isinstance(error, CloudmsError):
                error = CloudmsError(f"bug in cloudms: {type(error).__name__}: {error}")
            self.ctx.progress(step.target, f"failed: {error.message}")
            self._record(position, step.with_(state="failed", error=error.to_public()))
        else:
            self.ctx.progress(step.target, "done")
            self._record(position, step.with_(state="done", result=outcome.to_public() if outcome else None))

    def _record(self, position: int, step: Step) -> None:
        """Keep a step's record, and store all records at most every half second: the VM rows hold the intents."""
        with self.lock:
            self.steps[position] = step
            if self.watch:
                self.watch(position, step)
            now = self.ctx.clock.monotonic()
            if len(self.steps) > 1 and now - self.stored >= _POLL:
                self.stored = now
                self._update(lambda operation: operation.with_(steps=tuple(self.steps)))

    def _update(self, change: Callable[[Operation], Operation]) -> Operation:
        """Change the stored operation without losing a cancel request written by another process meanwhile."""
        while True:
            stored = self.ctx.catalog.get("operation", self.operation.name)
            current = Operation.from_document(stored.document) if stored else self.operation
            changed = change(current)
            if stored is None:
                self.ctx.catalog.put("operation", {changed.name: changed.to_document()})
                return changed
            if self.ctx.catalog.replace("operation", changed.name, changed.to_document(), version=stored.version):
                return changed

    def _look_for_cancel(self) -> None:
        stored = self.ctx.catalog.get("operation", self.operation.name)
        if stored and stored.document.get("cancel"):
            self.ctx.stop()

    def end(self, *, interrupted: bool = False) -> Operation:
        """Store and return the final record."""
        state = _final(self.steps, interrupted)
        for step in self.steps:
            withdraw = ACTIONS[step.action].withdraw
            if step.state == "waiting" and withdraw:
                withdraw(self.ctx, step)
        steps = tuple(s.with_(state="cancelled") if s.state in ("waiting", "running") else s for s in self.steps)
        for pool in self.pools.values():
            pool.shutdown(wait=False)
        ended = self.ctx.clock.now()
        return self._update(lambda operation: operation.with_(steps=steps, state=state, ended=ended))


def _final(steps: list[Step], interrupted: bool) -> OperationState:
    done = sum(step.state == "done" for step in steps)
    if done == len(steps):
        return OperationState.DONE
    if interrupted:
        return OperationState.CANCELLED
    return OperationState.PARTIAL if done else OperationState.FAILED
