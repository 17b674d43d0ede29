"""A change: its steps, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from cloudms.model.things import Noun
from cloudms.record import Record


class OperationState(StrEnum):
    """How far a change has come."""

    RUNNING = "running"
    """Its process works on it."""
    DONE = "done"
    """Every step succeeded."""
    PARTIAL = "partial"
    """Some steps failed."""
    FAILED = "failed"
    """No step succeeded."""
    CANCELLED = "cancelled"
    """Stopped on request; steps not begun were not begun."""
    INTERRUPTED = "interrupted"
    """Its process died; `operation resume` or `sweep` ends it."""


class Step(Record):
    """One action on one target: plain data, so that a dry run prints it, an operation stores it, a resume repeats it.

    `params` holds JSON values only and never a secret. `state` is waiting, running, done, failed or cancelled.
    """

    columns: ClassVar[tuple[str, ...]] = ("target", "cloud", "action", "state", "seconds", "error.message")

    action: str
    cloud: str
    target: str
    params: Mapping[str, Any] = {}
    state: str = "waiting"
    error: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    seconds: float | None = None


class Operation(Noun):
    """A change: the intent written before the first call, then the record of every step.

    `process` names the process that works on it (host, pid, start), so that a later one can tell whether it lives.
    """

    kind: ClassVar[str] = "operation"
    columns: ClassVar[tuple[str, ...]] = ("name", "verb", "state", "summary", "started", "ended", "actor")

    verb: str = ""
    summary: str = ""
    state: OperationState = OperationState.RUNNING
    steps: tuple[Step, ...] = ()
    actor: str = ""
    process: str = ""
    cancel: bool = False
    started: float | None = None
    ended: float | None = None

    def __post_init__(self) -> None:
        """Accept plain JSON values for the state and the steps."""
        own = self.__dict__
        own["state"] = OperationState(self.state)
        own["steps"] = tuple(s if isinstance(s, Step) else Step.from_document(s) for s in self.steps)
