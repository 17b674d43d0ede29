"""Operations: a plan written down before its first call, executed step by step, cancelled and resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cloudms import registry
from cloudms.catalog.base import Stored
from cloudms.context import Context, not_found
from cloudms.engine.plan import ACTIONS, Plan, Work
from cloudms.engine.process import alive, this_process
from cloudms.errors import CloudmsError, Conflict, Interrupted, Invalid
from cloudms.model import Operation, OperationState, Step

if TYPE_CHECKING:
    from concurrent.futures import Future

_POLL = 0.5
"""Seconds between looks at whether the operation was cancelled from elsewhere."""
_OWN_WIDTH = 4
"""How many steps of the manager itself, which concern no cloud, run at once."""


def start(ctx: Context, plan: Plan) -> Operation:
    """Check the plan's actions, write the intents and then the operation, and return it. Nothing is called yet.

    A plan that resumes takes its operation over instead. Raises: what the actions' checks and `take_over` raise.
    """
    if plan.resume:
        return take_over(ctx, plan.resume)
    steps = _prepared(ctx, plan.steps)
    number = ctx.catalog.counter("operation", add=1)
    operation = Operation(
        name=f"op-{number}",
        verb=plan.verb,
        summary=plan.summary,
        steps=steps,
        actor=ctx.actor,
        process=this_process(),
        started=ctx.clock.now(),
    )
    ctx.catalog.put("operation", {operation.name: operation.to_document()})
    return operation


def run(ctx: Context, plan: Plan) -> Operation:
    """Write a plan down and execute it."""
    return execute(ctx, start(ctx, plan))


def execute(ctx: Context, operation: Operation) -> Operation:
    """Carry out every step that is not done, in parallel per cloud, and return the operation with its records.

    Raises: Interrupted after Ctrl-C or `operation cancel`, when what had begun has ended.
    """
    runner = _Runner(ctx, operation)
    try:
        runner.run()
    except (KeyboardInterrupt, Interrupted):
        ctx.stop()
        runner.wait()
        ended = runner.end(interrupted=True)
        raise Interrupted(
            f"stopped; {_count(ended.steps, 'done')} of {len(ended.steps)} steps were done",
            hint=f"cms operation resume {operation.name}  or  cms sweep",
            details={"operation": operation.name},
        ) from None
    except Exception:
        runner.wait()
        runner.end()
        raise
    return runner.end()


def resume(ctx: Context, name: str) -> Operation:
    """Take over an operation whose process is gone and carry out what it left. Raises: NotFound, Conflict, Invalid."""
    return execute(ctx, take_over(ctx, name))


def take_over(ctx: Context, name: str) -> Operation:
    """Make an operation whose process is gone this process's own, its open steps waiting again, and return it.

    Raises: NotFound, Conflict (its process lives, or another one was faster), Invalid (done, or its verb is gone).
    """
    stored = find(ctx, name)
    operation = Operation.from_document(stored.document)
    check_open(operation)
    registry.index().find(operation.verb.split())[0].load()
    again = iter(_prepared(ctx, (s.with_(state="waiting", error=None) for s in operation.steps if s.state != "done")))
    taken = operation.with_(
        state=OperationState.RUNNING,
        process=this_process(),
        cancel=False,
        ended=None,
        steps=tuple(s if s.state == "done" else next(again) for s in operation.steps),
    )
    if not ctx.catalog.replace("operation", name, taken.to_document(), version=stored.version):
        raise Conflict(f"{name} was just taken over by another process", hint="cms operation list")
    return taken


def check_open(operation: Operation) -> None:
    """Refuse to resume what is done or still being worked on. Raises: Invalid, Conflict."""
    name = operation.name
    if operation.state is OperationState.DONE:
        raise Invalid(f"{name} is done", hint=f"cms operation show {name}")
    if operation.state is OperationState.RUNNING and alive(operation.process):
        raise Conflict(f"{name} is still being worked on by {operation.process}", hint=f"cms operation cancel {name}")


def find(ctx: Context, name: str) -> Stored:
    """Return an operation as it is stored. Raises: NotFound."""
    stored = ctx.catalog.get("operation", name)
    if stored is None:
        raise not_found("operation", name, (row.key for row in ctx.catalog.find("operation")), "cms operation list")
    return stored


def cancel(ctx: Context, name: str) -> Operation:
    """Ask the process that works on an operation to stop; steps not begun will not begin. Raises: NotFound."""
    while True:
        stored = find(ctx, name)
        operation = Operation.from_document(stored.document)
        if operation.state is not OperationState.RUNNING:
            return operation
        gone = not alive(operation.process)
        asked = operation.with_(cancel=True, state=OperationState.CANCELLED if gone else operation.state)
        if ctx.catalog.replace("operation", name, asked.to_document(), version=stored.version):
            return asked


def observed(operation: Operation) -> Operation:
    """Return the operation with state `interrupted` when its process is gone."""
    if operation.state is OperationState.RUNNING and not alive(operation.process):
        return operation.with_(state=OperationState.INTERRUPTED)
    return operation


def _prepared(ctx: Context, steps: Iterable[Step]) -> tuple[Step, ...]:
    waiting = list(steps)
    for name in dict.fromkeys(step.action for step in waiting):
        prepare = ACTIONS[name].prepare
        if prepare:
            ready = iter(prepare(ctx, [step for step in waiting if step.action == name]))
            waiting = [next(ready) if step.action == name else step for step in waiting]
    return tuple(waiting)


def _count(steps: Iterable[Step], state: str) -> int:
    return sum(step.state == state for step in steps)


class _Runner:
    """Executes one operation and keeps its record."""

    def __init__(self, ctx: Context, operation: Operation) -> None:
        self.ctx = ctx
        self.operation = operation
        self.steps = list(operation.steps)
        self.futures: list[Future[None]] = []
        self.pools: list[Any] = []
        self.lone: threading.Event | None = None
        self.lock = threading.Lock()
        self.stored = ctx.clock.monotonic()

    def run(self) -> None:
        """Carry out the steps: one in a thread of its own, several in a bounded pool per cloud."""
        todo = [i for i, step in enumerate(self.steps) if step.state != "done"]
        if len(todo) == 1:
            self._alone(todo[0])
            return
        from concurrent.futures import ThreadPoolExecutor, wait

        for cloud in dict.fromkeys(self.steps[i].cloud for i in todo):
            width = self.ctx.cloud_class(cloud).width if cloud else _OWN_WIDTH
            pool = ThreadPoolExecutor(max_workers=width, thread_name_prefix=f"cms-{cloud or 'own'}")
            self.pools.append(pool)
            self.futures += [pool.submit(self._step, i) for i in todo if self.steps[i].cloud == cloud]
        pending = set(self.futures)
        while pending:
            _done, pending = wait(pending, timeout=_POLL)
            self._look_for_cancel()
        for future in self.futures:
            future.result()

    def _alone(self, position: int) -> None:
        """Carry out one step in a thread of its own, so that Ctrl-C never breaks a call in the middle."""
        raised: list[BaseException] = []

        def work() -> None:
            try:
                self._step(position)
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
        for pool in self.pools:
            pool.shutdown(wait=True, cancel_futures=True)

    def _step(self, position: int) -> None:
        step = self.steps[position]
        if self.ctx.stopping.is_set():
            raise Interrupted("stopped on request")
        begun = self.ctx.clock.monotonic()
        self._record(position, step.with_(state="running"))
        try:
            noun = ACTIONS[step.action].run(Work(self.ctx, step, self.operation.name))
        except (Interrupted, KeyboardInterrupt):
            self._record(position, step.with_(state="cancelled"))
            raise
        except CloudmsError as error:
            self.ctx.progress(step.target, f"failed: {error.message}")
            self._record(position, step.with_(state="failed", error=error.to_public(), seconds=self._since(begun)))
            return
        except Exception as error:  # a bug: its step is recorded like any other failure, then it goes on up
            public = CloudmsError(f"bug in cloudms: {type(error).__name__}: {error}").to_public()
            self._record(position, step.with_(state="failed", error=public, seconds=self._since(begun)))
            raise
        self.ctx.progress(step.target, "done")
        result = noun.to_public() if noun else None
        self._record(position, step.with_(state="done", result=result, seconds=self._since(begun)))

    def _since(self, begun: float) -> float:
        return round(self.ctx.clock.monotonic() - begun, 3)

    def _record(self, position: int, step: Step) -> None:
        """Keep a step's record, and store all records at most every half second: the VM rows hold the intents."""
        with self.lock:
            self.steps[position] = step
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
        for pool in self.pools:
            pool.shutdown(wait=False)
        ended = self.ctx.clock.now()
        return self._update(lambda operation: operation.with_(steps=steps, state=state, ended=ended))


def _final(steps: list[Step], interrupted: bool) -> OperationState:
    done = _count(steps, "done")
    if done == len(steps):
        return OperationState.DONE
    if interrupted:
        return OperationState.CANCELLED
    return OperationState.PARTIAL if done else OperationState.FAILED
