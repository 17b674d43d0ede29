"""The contract of an engine: what runs the tasks of an experiment, and tells how far they are.

Rules for every engine:

- `step` is one pass and may be made by any process at any time: whoever holds the experiment's turn (`store.turn`)
  goes on where another one was killed; nothing is lost and nothing is run or stored twice.
- Tasks are changed by the functions of `jobs.task` and stored by `store.change` only (compare and set).
- The outputs of a task are in its folder (`store.folder_of`) before it is `done`.
- An engine raises house errors only for what concerns the whole experiment; what one node or task does stands in their
  documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from cloudms.context import Context
from cloudms.model import Experiment, Step, Task
from cloudms.record import Record

ENDED = ("done", "failed", "cancelled")
"""Statuses of tasks and experiments that do not change by themselves any more."""


class Progress(Record):
    """How far an experiment is after a pass: its document, tasks by status, nodes by status.

    `changed` are the tasks that this pass has changed, `notes` what is worth telling a person, `pause` the seconds
    after which the next pass makes sense. `mine` is false when another process has the turn: nothing was done then.
    """

    experiment: Experiment
    tasks: Mapping[str, int] = {}
    nodes: Mapping[str, int] = {}
    changed: Sequence[Task] = ()
    notes: Sequence[str] = ()
    pause: float = 1.0
    mine: bool = True

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.experiment.status in ENDED


class Engine(Protocol):
    """What runs tasks: `name` is the word that `--engine` takes."""

    name: str

    def plan(self, ctx: Context, experiment: Experiment) -> list[Step]:
        """Return what would be done, for a dry run: nodes that are booted, set-up, tasks; nothing is touched.

        Raises: NotFound (a group), Unsupported (what this engine cannot do), Invalid.
        """

    def start(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Make the experiment run when its documents are written; calling it again changes nothing.

        Raises: as `plan`, NotReady.
        """

    def step(self, ctx: Context, experiment: Experiment) -> Progress:
        """Make one pass: give tasks to nodes, ask how far they are, collect what has ended. Raises: NotFound."""

    def cancel(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Ask it to end; the passes that follow end what runs and give back what was booted."""

    def logs(self, ctx: Context, task: Task, *, follow: bool = False, stderr: bool = False) -> Iterator[str]:
        """Yield what a task has printed so far, in pieces; with `follow` also what it prints until it ends.

        Raises: NotReady (it has not begun, or its node does not answer).
        """

    def delete(self, ctx: Context, experiment: Experiment) -> None:
        """Remove what an experiment has left on nodes; those that do not answer are passed over."""
