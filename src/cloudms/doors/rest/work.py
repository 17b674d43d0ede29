"""Changes, carried out by a bounded number of threads of the service after the reply has gone out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from cloudms.context import Context
from cloudms.doors.rest.desk import Desk
from cloudms.doors.rest.journal import Journal, Journals
from cloudms.doors.rest.log import Log
from cloudms.doors.rest.metrics import Metrics
from cloudms.doors.rest.uploads import Uploads
from cloudms.engine import execute, start
from cloudms.engine.operation import find
from cloudms.engine.plan import Plan
from cloudms.errors import Interrupted, NotReady
from cloudms.model import Operation, OperationState
from cloudms.record import Record

MOST = 1000
"""Changes that may wait for a thread; beyond that the service asks to come back later."""


class Job(Record):
    """One change under way."""

    context: Context
    operation: Operation
    journal: Journal
    uploads: Uploads | None = None


class Work:
    """The changes of a service. Parameters: `width`, how many are carried out at once."""

    def __init__(self, desk: Desk, journals: Journals, metrics: Metrics, log: Log, width: int) -> None:
        self.journals = journals
        self.closing = threading.Event()
        self._desk = desk
        self._metrics = metrics
        self._log = log
        self._jobs: dict[str, Job] = {}
        self._starting = 0
        self._calm = threading.Condition()
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="cms-change")

    def begin(self, plan: Plan, labels: Mapping[str, str], uploads: Uploads | None) -> Operation:
        """Write a plan down, let it be carried out, and return its operation; the uploads are dropped at its end.

        Raises: NotReady (the service stops, or has too much to do), and what the engine raises.
        """
        with self._admitted():
            opened = ExitStack()
            ctx = opened.enter_context(self._desk.context())
            try:
                operation = start(ctx, plan, labels=labels)
            except BaseException:
                opened.close()
                raise
            job = Job(context=ctx, operation=operation, journal=self.journals.open(operation), uploads=uploads)
            with self._calm:
                self._jobs[operation.name] = job
            self._pool.submit(self._carry_out, job, opened)
        return operation

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Let nothing begin once the service stops, and let it wait for what is just beginning."""
        with self._calm:
            if self.closing.is_set():
                raise NotReady("the service is stopping", hint="ask again when it runs again")
            if len(self._jobs) + self._starting >= MOST:
                raise NotReady(f"{MOST} changes are under way", hint="GET /v1/operation/list shows them; ask later")
            self._starting += 1
        try:
            yield
        finally:
            with self._calm:
                self._starting -= 1
                self._calm.notify_all()

    def _carry_out(self, job: Job, opened: ExitStack) -> None:
        name = job.operation.name
        job.context.progress = job.journal.progress
        job.context.heard = job.journal.output
        # Told when the record cannot be read: then nobody knows more than that nothing works on it any more.
        ended = job.operation.with_(state=OperationState.INTERRUPTED)
        try:
            with opened:
                self._execute(job)
                ended = Operation.from_document(find(job.context, name).document)
        except Exception as error:  # noqa: BLE001 (the catalog's; the service goes on)
            self._log.bug(f"the record of {name}", error)
        if job.uploads:
            job.uploads.drop()
        self._metrics.ended(ended)
        with self._calm:
            self._jobs.pop(name, None)
            self._calm.notify_all()
        job.journal.end(ended)

    def _execute(self, job: Job) -> None:
        name = job.operation.name
        try:
            execute(job.context, job.operation, job.journal.step)
        except Interrupted:
            self._log.say(f"{name} was stopped")
        except Exception as error:  # noqa: BLE001 (recorded by the engine; the service goes on)
            self._log.bug(f"{name} ({job.operation.verb})", error)

    @property
    def running(self) -> int:
        """Return how many changes are under way."""
        return len(self._jobs)

    def refuse(self) -> None:
        """Let nothing begin any more; what is under way is asked to stop after its current calls."""
        self.closing.set()
        with self._calm:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.context.stop()

    def close(self) -> None:
        """Wait until the calls on their way have ended; what was not begun is cancelled and can be resumed."""
        self.closing.set()
        with self._calm:
            self._calm.wait_for(lambda: not self._starting)
        self.refuse()
        self._pool.shutdown(wait=True)
