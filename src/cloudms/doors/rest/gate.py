"""What stands before every request: names, token, size; and after it: headers, a line in the log, the numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cloudms.clock import Clock
from cloudms.doors.rest import hosts
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.log import Log
from cloudms.doors.rest.metrics import Metrics
from cloudms.doors.rest.replies import bug, of_framework, refusal
from cloudms.doors.rest.routes import EVENTS
from cloudms.errors import CloudmsError

App = Callable[[Any, Any, Any], Awaitable[None]]

OPEN = frozenset(("/healthz",))
"""What answers without a token; it tells nothing."""
LARGEST = 8 * 1024 * 1024
"""Bytes of a body."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_YEAR_S = 31_536_000


class Gate:
    """Lets requests in to `app`.

    Parameters: `allowed`, names of this service beside those of this machine; `paths`, those that exist, by which
    requests are counted.
    """

    def __init__(
        self,
        app: App,
        *,
        token: Token,
        log: Log,
        metrics: Metrics,
        clock: Clock,
        paths: Collection[str],
        allowed: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._token = token
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._paths = frozenset(paths)
        self._allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; everything else of the protocol goes on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = self._clock.monotonic()
        answer = _Answer(scope, receive, send, self._clock)
        try:
            self._check(scope)
            answer.let_in = True
            await self._app(scope, answer.receive, answer.send)
        except HTTPException as error:
            await answer.instead(of_framework(error))
        except CloudmsError as error:
            await answer.instead(refusal(error))
        except Exception as error:  # noqa: BLE001 (whatever it is becomes a line in the log and a reply)
            self._log.bug(f"{scope['method']} {self._route(scope)}", error)
            await answer.instead(bug(error))
        finally:
            self._tell(scope, answer.status, (answer.answered or self._clock.monotonic()) - begun)

    def _check(self, scope: Any) -> None:
        headers = Headers(scope=scope)
        hosts.check(
            headers.get("host", ""),
            headers.get("origin", ""),
            headers.get("sec-fetch-site", ""),
            scheme=scope["scheme"],
            address=str((scope.get("server") or ("",))[0]),
            allowed=self._allowed,
        )
        if scope["path"] not in OPEN and not self._token.fits(headers.get("authorization", "")):
            raise HTTPException(401, headers={"www-authenticate": 'Bearer realm="cloudms"'})
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > 18 or int(length) > LARGEST:
            raise HTTPException(413, f"a body has at most {LARGEST} bytes")

    def _route(self, scope: Any) -> str:
        path: str = scope["path"]
        if path.startswith(EVENTS):
            return f"{EVENTS}{{name}}"
        return path if path in self._paths else "(none)"

    def _tell(self, scope: Any, status: int, seconds: float) -> None:
        route = self._route(scope)
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS") else "other"
        self._metrics.answered(route, method, status, seconds)
        who = str((scope.get("client") or ("-",))[0])
        self._log.request(who, scope["method"], scope["path"] if route != "(none)" else route, status, seconds)


class _Answer:
    """What goes back for one request, and how much of its body has come."""

    def __init__(self, scope: Any, receive: Any, send: Any, clock: Clock) -> None:
        self.status = 499
        self.let_in = False
        self.answered: float | None = None
        self._clock = clock
        self._scope = scope
        self._receive = receive
        self._send = send
        self._read = 0

    async def receive(self) -> Any:
        """Return the next part of the request. Raises: HTTPException (the body is too large)."""
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > LARGEST:
            raise HTTPException(413, f"a body has at most {LARGEST} bytes")
        return message

    async def send(self, message: Any) -> None:
        """Send the next part of the reply, the first one with what every reply has."""
        if message["type"] == "http.response.start":
            self.answered = self._clock.monotonic()
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if not self.let_in:
                headers["connection"] = "close"  # nobody reads the body of somebody who is not let in
            if self._scope["scheme"] == "https":
                headers["strict-transport-security"] = f"max-age={_YEAR_S}"
        await self._send(message)

    async def instead(self, response: Response) -> None:
        """Send an error, unless a reply has begun: that one stays without its end, and the connection is closed."""
        if self.answered is None:
            await response(self._scope, self._receive, self.send)
