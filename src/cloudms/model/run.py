"""One action on many VMs; the record of each of them is `fanout.record.HostRecord`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cloudms.model.operation import OperationState
from cloudms.model.things import Noun


class Run(Noun):
    """A command, or a file put or got, over many hosts at once.

    `action` is command, put or get, and `command` what was run, or the path on the hosts; `hosts` counts them, `ok`
    those where it ended well, `failed` the others that were begun; `group` is the group it was for, `operation` the
    change that carried it out, `folder` where the output is kept; `spec` is how it was asked for, `records` its hosts.
    """

    kind: ClassVar[str] = "run"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "action", "command", "state", "hosts", "ok", "failed", "group", "started", "ended",
    )  # fmt: skip

    action: str = "command"
    command: str = ""
    state: OperationState = OperationState.RUNNING
    hosts: int = 0
    ok: int = 0
    failed: int = 0
    group: str = ""
    operation: str = ""
    folder: str = ""
    actor: str = ""
    spec: Mapping[str, Any] = {}
    started: float | None = None
    ended: float | None = None
    records: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Accept plain JSON values for the state and the records."""
        own = self.__dict__
        own["state"] = OperationState(self.state)
        own["records"] = tuple(self.records)

    @property
    def key(self) -> str:
        """Return the catalog key: runs are not on any one cloud."""
        return self.name
