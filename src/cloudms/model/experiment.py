"""Commands that are run as many tasks over nodes: the experiment, a task, and what a VM does for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cloudms.model.things import Noun


class Experiment(Noun):
    """Commands that are run as many tasks over a group of nodes; `input`, `output`, `description` and `commands` as its
    file says, `spec` the whole of that file, checked (`jobs.spec`), `digest` that of it and of the files it names.

    `status` is waiting (nothing begun), running, done (every task), failed (at least one task, the others ended) or
    cancelled, `reason` why; `tasks`, `done`, `failed` and `cancelled` are counts, `replaced` that of nodes that were
    booted in place of others; `folder` is where results are kept on this machine. `process` names the process that
    drives it, `cancel` tells it to end.
    """

    kind: ClassVar[str] = "experiment"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "status", "tasks", "done", "failed", "group", "created", "description",
    )  # fmt: skip

    status: str = "waiting"
    reason: str = ""
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    description: str = ""
    commands: tuple[str, ...] = ()
    spec: Mapping[str, Any] = {}
    digest: str = ""
    group: str = ""
    engine: str = "ssh"
    tasks: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    replaced: int = 0
    owner: str = ""
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    folder: str = ""
    process: str = ""
    cancel: bool = False

    def __post_init__(self) -> None:
        """Accept plain JSON values for the tuples."""
        own = self.__dict__
        for name in ("input", "output", "commands"):
            own[name] = tuple(own[name])

    @property
    def key(self) -> str:
        """Return the catalog key: an experiment stands on no one cloud."""
        return self.name


class Task(Noun):
    """One run of an experiment's commands: `number` in it, with these `params`, the nth `repeat` of them.

    `status` is waiting (no node has it), starting (its node has it and starts it as soon as a slot is free), running,
    done (exit code 0, and its outputs are on this machine), failed (as often as it may be tried) or cancelled.
    `node` is the VM that has it (on `cloud`), `attempt` how often it was given to one; `exit`, `signal` and `seconds`
    how its last attempt ended, `reason` why it did not end well; `values` what was collected from it. `history` has a
    record for every attempt: node, status, exit, started, ended, and the reason why it was not the last.
    """

    kind: ClassVar[str] = "task"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "status", "params", "repeat", "node", "attempt", "exit", "seconds", "reason",
    )  # fmt: skip

    experiment: str = ""
    number: int = 0
    params: Mapping[str, Any] = {}
    repeat: int = 1
    status: str = "waiting"
    node: str = ""
    attempt: int = 0
    exit: int | None = None
    signal: str = ""
    seconds: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    values: Mapping[str, Any] = {}
    history: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Accept plain JSON values for the history."""
        self.__dict__["history"] = tuple(dict(record) for record in self.history)

    @property
    def key(self) -> str:
        """Return the catalog key: its name, which begins with that of its experiment."""
        return self.name


class Node(Noun):
    """What a VM does for an experiment: `currentJob` are the tasks it runs now, `history` those that ended on it.

    `status` is booting (it lets nobody in yet), preparing (its set-up runs), ready (it takes tasks), unreachable (no
    answer), bad (its set-up failed, it gets no task), lost (given up, its tasks went elsewhere) or released.
    `vm` is the catalog key of the VM, `booted` whether it was booted for this experiment; `reason` why it is in its
    status; `since` when it entered it and `seen` when it last answered (epoch seconds); `queued` the tasks it has that
    have not begun.
    """

    kind: ClassVar[str] = "node"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "status", "currentJob", "queued", "seen", "reason")

    experiment: str = ""
    vm: str = ""
    status: str = "booting"
    currentJob: tuple[str, ...] = ()  # noqa: N815 (the name that node documents have)
    history: tuple[Mapping[str, Any], ...] = ()
    queued: int = 0
    booted: bool = False
    since: float | None = None
    seen: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Accept plain JSON values for the tuples."""
        own = self.__dict__
        own["currentJob"] = tuple(self.currentJob)
        own["history"] = tuple(dict(record) for record in self.history)

    @property
    def key(self) -> str:
        """Return the catalog key: unique within its experiment."""
        return f"{self.experiment}/{self.name}"
