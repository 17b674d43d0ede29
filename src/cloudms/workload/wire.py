"""One connection to an HTTP service, and what it answers or why it does not, as one kind of reply."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from cloudms.errors import Invalid
from cloudms.record import Record

_LARGEST = 4 * 1024 * 1024
_AGENT = {"User-Agent": "cms-load", "Accept": "*/*"}


class Address(NamedTuple):
    """Where a service is: `path` is what its address ends with, without a slash at the end."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def text(self) -> str:
        """Return it as it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"


def address(url: str) -> Address:
    """Return the parts of an http or https address. Raises: Invalid."""
    hint = "for instance http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid(f"'{url}' is no address", hint=hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise Invalid(f"'{url}' is no address of HTTP", hint=hint)
    if parts.username is not None:
        raise Invalid("an address with a name or password in it is not taken", hint="others see it in the process list")
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return Address(secure, parts.hostname, port or (443 if secure else 80), path)


class Reply(Record):
    """What came back: `status` is 0 when nothing did, and `reason` says why in few words."""

    status: int = 0
    reason: str = ""
    document: Mapping[str, Any] = {}
    wait: float = 0.0


class Wire:
    """A connection that is kept from one request to the next, for one thread.

    Parameters: `to`, where the service is; `timeout`, seconds for the other end to answer; `headers` of every request.
    """

    def __init__(self, to: Address, *, timeout: float, headers: Mapping[str, str] | None = None) -> None:
        self._to = to
        self._timeout = timeout
        self._headers = {**_AGENT, **(headers or {})}
        self._kept: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        """Connect when it is first asked."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def ask(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return the reply to one request; whatever goes wrong is a reply, too.

        A connection that was kept and that the other end has closed meanwhile is replaced, and the request sent again:
        only what may be repeated is sent this way.
        """
        body = json.dumps(document).encode() if document is not None else None
        given = {
            **self._headers,
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        }
        if self._kept is not None:
            try:
                return self._exchange(self._kept, method, path, body, given)
            except (ConnectionError, http.client.BadStatusLine, http.client.CannotSendRequest):
                self.close()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                return Reply(reason=_words(error))
        try:
            self._kept = self._connection()
            return self._exchange(self._kept, method, path, body, given)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Reply(reason=_words(error))

    def _connection(self) -> http.client.HTTPConnection:
        to = self._to
        if not to.secure:
            return http.client.HTTPConnection(to.host, to.port, timeout=self._timeout)
        import ssl

        context = ssl.create_default_context()
        return http.client.HTTPSConnection(to.host, to.port, timeout=self._timeout, context=context)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Reply:
        connection.request(method, f"{self._to.path}{path}" or "/", body, dict(headers))
        answer = connection.getresponse()
        content = answer.read(_LARGEST)
        if answer.length:
            raise http.client.IncompleteRead(content, answer.length)
        if answer.will_close or not answer.isclosed():
            self.close()
        found = _document(content)
        said = str(found.get("error", "")) if answer.status >= 400 else ""
        return Reply(
            status=answer.status,
            reason=f"{answer.status} {said or answer.reason}".strip(),
            document=found,
            wait=_number(answer.getheader("Retry-After")),
        )


def _document(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(text: str | None) -> float:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionError | http.client.BadStatusLine):
        return "the connection was closed"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    return " ".join(str(error).split())[:120] or type(error).__name__
