"""Faults on demand of the pretended AWS: what shall go wrong, for which calls, and how often.

A fault is a dictionary `{fault, service, action, region, times, skip, seconds, code, message, status}`, sent to
`/cms-lab/faults`. Patterns (`*`, `?`) choose the calls; the first `skip` of them are spared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fnmatch import fnmatchcase
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET
from typing import Any

from tests.aws.wire import Call, Refused, Reply

KINDS = {
    "throttled": "RequestLimitExceeded, 503",
    "expired": "the credentials have expired",
    "denied": "the credentials may not do this",
    "unknown_key": "the credentials are not valid",
    "no_capacity": "InsufficientInstanceCapacity, 500",
    "quota": "VcpuLimitExceeded",
    "error500": "InternalError, and nothing is done",
    "gateway": "a proxy answers 502 with a page of HTML, and nothing is done",
    "code": "any other error: `code`, `message`, `status`",
    "slow": "it takes `seconds` longer, before anything is done",
    "late": "it is done at once, but the answer takes `seconds` longer",
    "lost": "it is done, but the connection is closed without an answer",
    "malformed": "it is done, but the answer is cut in half",
    "down": "the connection is reset, and nothing is done",
}
"""Every fault with what it does."""

_EC2 = {
    "throttled": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "expired": ("RequestExpired", "Request has expired.", 400),
    "denied": ("UnauthorizedOperation", "You are not authorized to perform this operation.", 403),
    "unknown_key": ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
    "no_capacity": (
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient capacity in the Availability Zone you requested.",
        500,
    ),
    "quota": (
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that "
        "the specified instance type belongs to.",
        400,
    ),
    "error500": ("InternalError", "An internal error has occurred", 500),
}
_OTHERS = {
    "throttled": ("ThrottlingException", "Rate exceeded", 400),
    "expired": ("ExpiredToken", "The security token included in the request is expired", 403),
    "denied": ("AccessDenied", "User is not authorized to perform this operation", 403),
    "unknown_key": ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
}
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Fault:
    """One thing that shall go wrong; `times` 0 is always."""

    fault: str
    service: str = "*"
    action: str = "*"
    region: str = "*"
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    code: str = ""
    message: str = "as the fault says"
    status: int = 400
    struck: int = 0

    def __post_init__(self) -> None:
        """Refuse a fault that does not exist."""
        if self.fault not in KINDS:
            raise ValueError(f"no fault {self.fault!r}: {', '.join(KINDS)}")

    def due(self, call: Call) -> bool:
        """Whether it strikes this call; it is counted."""
        pairs = ((call.service, self.service), (call.action, self.action), (call.region, self.region))
        if not all(fnmatchcase(value, pattern) for value, pattern in pairs):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times and self.struck >= self.times:
            return False
        self.struck += 1
        return True

    def refusal(self, service: str) -> Refused | None:
        """Return the error that stands for it, when it is one."""
        if self.fault == "code":
            return Refused(self.code, self.message, self.status)
        table = _EC2 if service == "ec2" else _EC2 | _OTHERS
        return Refused(*table[self.fault]) if self.fault in table else None

    def early(self) -> Reply | None:
        """Return the page of a proxy that has not passed the request on."""
        return Reply(502, _HTML, "text/html") if self.fault == "gateway" else None

    def spoil(self, reply: Reply) -> Reply:
        """Return the answer as it arrives."""
        return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.type)


def hang_up(environ: dict[str, Any]) -> ConnectionResetError:
    """Reset the connection and return what tells the server about it."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(SHUT_RDWR)
    return ConnectionResetError("on purpose")
