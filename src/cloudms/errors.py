"""Every error of the house, classed by what to do next.

    CloudmsError
    ├── Invalid        2  the request is wrong: correct it and ask again
    │   └── ConfigError   the configuration file is wrong: line and nearest key are named
    ├── NotFound       3  nothing has that name or id
    ├── Exists         4  the name is taken
    ├── Denied         5  credentials or rights are missing
    ├── NotReady       6  cannot be reached or not yet in the right state: try later
    ├── NoCapacity     7  quota, disk, memory or ceiling: free something or choose less
    ├── Throttled      8  asked too fast: wait and retry
    ├── Unsupported    9  this cloud (or this VM) cannot do it
    │   └── MissingExtra  an optional dependency is not installed: the command that installs it is named
    ├── Timeout       10  the deadline passed: what is known is said, nothing was undone
    ├── Conflict      11  it changed meanwhile, is protected, or another process works on it
    ├── Partial       12  some targets succeeded, some did not: each one has its record
    └── Interrupted  130  the person stopped it: what is unfinished can be resumed or swept

The number is the exit code of the command line; 0 is success and 1 is a bug in cloudms itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class CloudmsError(Exception):
    """An error a person can act on.

    Parameters: `message`, one line without a trailing period; `hint`, one line that says what to do next;
    `details`, machine-readable facts (JSON values, never secrets).
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.message = " ".join(message.splitlines())  # names from outside may hold line breaks
        super().__init__(self.message)
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def to_public(self) -> dict[str, Any]:
        """Return the one JSON shape of an error, shared by every door."""
        return {
            "kind": "error",
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "details": self.details,
        }


class Invalid(CloudmsError):
    """The request itself is wrong; correct it and ask again."""

    code, exit_code, http_status = "invalid", 2, 422


class ConfigError(Invalid):
    """A configuration file is malformed or unreadable; the message names file and line."""

    code = "config"


class NotFound(CloudmsError):
    """Nothing has that name or id."""

    code, exit_code, http_status = "not_found", 3, 404


class Exists(CloudmsError):
    """The name is taken."""

    code, exit_code, http_status = "exists", 4, 409


class Denied(CloudmsError):
    """Credentials or rights are missing or refused."""

    code, exit_code, http_status = "denied", 5, 403


class NotReady(CloudmsError):
    """A cloud cannot be reached, or a thing is not yet in the state the request needs."""

    code, exit_code, http_status, retryable = "not_ready", 6, 503, True


class NoCapacity(CloudmsError):
    """A quota, a ceiling, the disk or the memory does not allow it."""

    code, exit_code, http_status = "no_capacity", 7, 507


class Throttled(CloudmsError):
    """The cloud asks to be asked more slowly."""

    code, exit_code, http_status, retryable = "throttled", 8, 429, True


class Unsupported(CloudmsError):
    """This cloud, or this one VM, cannot do what was asked."""

    code, exit_code, http_status = "unsupported", 9, 501


class MissingExtra(Unsupported):
    """An optional dependency is not installed; the hint is the command that installs it."""

    code = "missing_extra"

    def __init__(self, extra: str, *, why: str) -> None:
        super().__init__(
            f"{why} needs the optional part '{extra}' of cloudms",
            hint=f'pip install "cloudms[{extra}]"',
            details={"extra": extra},
        )


class Timeout(CloudmsError):
    """A deadline passed; the message says what is known and nothing was undone."""

    code, exit_code, http_status = "timeout", 10, 504


class Conflict(CloudmsError):
    """It changed meanwhile, is protected, or another process works on it."""

    code, exit_code, http_status = "conflict", 11, 409


class Partial(CloudmsError):
    """Some targets succeeded and some did not; `details` holds a record per target."""

    code, exit_code, http_status = "partial", 12, 207


class Interrupted(CloudmsError):
    """The person stopped it; what is unfinished can be resumed or swept."""

    code, exit_code, http_status = "interrupted", 130, 499


def tree() -> list[type[CloudmsError]]:
    """Return every error class of the house, the root first."""
    found: list[type[CloudmsError]] = [CloudmsError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found


def rebuilt(public: Mapping[str, Any]) -> CloudmsError:
    """Return the error that a public form was made of."""
    cls = next((c for c in tree() if c.code == public.get("code")), CloudmsError)
    error = cls.__new__(cls)
    CloudmsError.__init__(
        error,
        str(public.get("message", "it failed")),
        hint=str(public.get("hint", "")),
        details=public.get("details") or {},
    )
    return error
