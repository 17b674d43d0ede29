"""What became of an action on one host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cloudms.fanout.host import Host
from cloudms.model import Noun

STATES = ("done", "failed", "signalled", "timeout", "unreached", "cancelled", "skipped")
"""How it may end: exit 0, another exit, a signal, the deadline, no connection, stopped on request, never begun."""


class HostRecord(Noun):
    """One host of a run: how the action ended there.

    `state` is one of `STATES`; `exit` and `signal` are the command's where it ended by itself; `stdout` and `stderr`
    are the last part of what it wrote, `stdout_bytes` and `stderr_bytes` how much that was, `stdout_file` and
    `stderr_file` where it is kept (empty: nothing was written); `seconds` how long it took, connecting included;
    `error` what went wrong beside the command itself, code, message and hint, and `reason` its message. `simulated`:
    nothing was run.
    """

    kind: ClassVar[str] = "host_record"
    columns: ClassVar[tuple[str, ...]] = ("name", "cloud", "state", "exit", "signal", "seconds", "reason")

    vm: str = ""
    state: str = "done"
    exit: int | None = None
    signal: str = ""
    stdout: str = ""
    stderr: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stdout_file: str = ""
    stderr_file: str = ""
    started: float | None = None
    seconds: float | None = None
    reason: str = ""
    error: Mapping[str, Any] = {}
    simulated: bool = False

    def __post_init__(self) -> None:
        """Take the reason out of the error."""
        if self.error and not self.reason:
            self.__dict__["reason"] = str(self.error.get("message", ""))

    @property
    def host(self) -> str:
        """Return the name of the host."""
        return self.name

    @property
    def ok(self) -> bool:
        """Whether the action ended well."""
        return self.state == "done"


def blank(host: Host, **facts: Any) -> HostRecord:
    """Return a record of `host` with `facts`."""
    return HostRecord(name=host.name, cloud=host.cloud, vm=host.vm, **facts)
