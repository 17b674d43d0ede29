"""Replies: JSON, text, and the one shape of errors, whether a verb, the service or the framework refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response

from cloudms.errors import CloudmsError, Conflict, Denied, Invalid, NotFound, NotReady, Throttled, Unsupported

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
TAR = "application/x-tar"
LATER_S = 5
"""Seconds after which a client may try again what was refused for now."""

_FRAMEWORK: dict[int, tuple[type[CloudmsError], str, str]] = {
    400: (Invalid, "the request cannot be read", "is it HTTP/1.1, its form complete, its query not too long?"),
    401: (Denied, "a token is needed", "send the header: Authorization: Bearer TOKEN"),
    403: (Denied, "this is refused", "see docs/rest.md on security"),
    404: (NotFound, "nothing is here", "GET /openapi.json lists every path"),
    405: (Invalid, "this path does not take that method", "reading verbs are GET, changing ones POST"),
    409: (Conflict, "it is in the way of something else", "try again"),
    413: (Invalid, "the body is too large", "send less"),
    415: (Invalid, "this kind of body is not read here", "send application/json"),
    429: (Throttled, "too many requests", "ask more slowly"),
    501: (Unsupported, "this is not supported", "GET /openapi.json lists what is"),
    503: (NotReady, "the service is not ready", "try again"),
}


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return plain data as a reply."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return Response(text.encode("utf-8", "backslashreplace"), status, dict(headers or {}), JSON)


def as_text(text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return text as a reply; it ends with a line break as every text file does."""
    whole = text if not text or text.endswith("\n") else f"{text}\n"
    return Response(whole.encode("utf-8", "backslashreplace"), 200, dict(headers or {}), TEXT)


def refusal(error: CloudmsError, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as a reply, with the status of its class unless another is given."""
    code = status or error.http_status
    later = {"retry-after": str(LATER_S)} if code in (429, 503) else {}
    return as_json({"error": error.to_public()}, code, {**later, **(headers or {})})


def of_framework(error: HTTPException, better: str = "") -> Response:
    """Return what the framework refuses in the shape of every other error, with a better hint where one is known."""
    cls, message, hint = _FRAMEWORK.get(error.status_code, (CloudmsError, "it failed", "see the log of the service"))
    standard = Response(status_code=error.status_code)
    told = error.detail if error.detail and error.detail[:1].islower() else message
    return refusal(cls(told, hint=better or hint), standard.status_code, error.headers)


def unreadable() -> bytes:
    """Return the body of the refusal of what is no HTTP, or too long to be read."""
    cls, message, hint = _FRAMEWORK[400]
    return json.dumps({"error": cls(message, hint=hint).to_public()}).encode()


def bug(error: BaseException) -> Response:
    """Return what a client is told of a bug: that it is one, and nothing of what was being worked with."""
    return refusal(
        CloudmsError(f"this is a bug in cloudms: {type(error).__name__}", hint="the log of the service shows where")
    )


def warned(warnings: list[str]) -> dict[str, str]:
    """Return the header that tells of warnings where the body has no place for them: percent-encoded, joined by ','."""
    return {"cms-warnings": ",".join(quote(text[:500], safe=" ") for text in warnings[:20])} if warnings else {}
