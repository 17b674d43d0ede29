"""The service as a process: where it listens, how it begins and how it ends."""

from __future__ import annotations

import json
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from cloudms import paths
from cloudms.context import Context
from cloudms.doors.rest.app import CHANGES, Door
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.hosts import is_loopback
from cloudms.doors.rest.log import Log
from cloudms.doors.rest.openapi import document
from cloudms.doors.rest.protocol import Protocol
from cloudms.doors.rest.routes import routes
from cloudms.doors.rest.uploads import clean_up
from cloudms.errors import Conflict, Denied, Invalid, NotReady

TOKEN = "rest.token"  # noqa: S105 (the name of its file)
_GRACE_S = 10
"""Seconds that replies on their way have when the service stops; calls to clouds have all the time they need."""
_BACKLOG = 512


class Service:
    """One service.

    Parameters: `host` and `port` to listen at (port 0: any free one); `token_file`, made when it is missing; `expose`,
    that `host` may be one that other machines reach; `tls_cert` and `tls_key`, PEM files; `allowed`, names of the
    service beside those of this machine; `width`, changes carried out at once; `requests`, whether each request is a
    line in the log.
    """

    def __init__(
        self,
        ctx: Context,
        *,
        host: str,
        port: int,
        token_file: Path | None = None,
        expose: bool = False,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        allowed: tuple[str, ...] = (),
        width: int = CHANGES,
        requests: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self._tls = _tls(tls_cert, tls_key)
        _check_exposure(host, expose=expose, tls=self._tls is not None)
        self.token = Token((token_file or paths.home() / TOKEN).expanduser().absolute())
        self._log = Log(ctx.clock, requests=requests)
        self._ctx = ctx
        self._allowed = allowed
        self._width = width

    def run(self) -> Iterator[str]:
        """Listen, yield what a person needs to know, serve until a signal comes, and yield how it ended.

        Raises: Conflict (the port is taken), Denied, NotReady (it cannot listen there), Invalid (the token's file).
        """
        self.token.provide()
        clean_up()
        door = Door(self._ctx, self.token, log=self._log, allowed=self._allowed, width=self._width)
        with _listening(self.host, self.port) as listener:
            yield f"listening at {self._address(listener)}"
            yield f"the token is in {self.token.file}"
            if not is_loopback(self.host):
                yield f"WARNING: other machines can reach {self.host}; whoever has the token can do all that you can"
            server = _Server(self._config(door), door)
            server.run(sockets=[listener])
        left = door.work.running
        yield "stopped" if not left else f"stopped; {left} changes were not ended: cms operation list"

    @staticmethod
    def described() -> str:
        """Return the OpenAPI document of the service, without starting it."""
        return json.dumps(document(list(routes())), indent=2)

    def _address(self, listener: socket.socket) -> str:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    def _config(self, door: Door) -> uvicorn.Config:
        for each in ("uvicorn.error", "python_multipart"):
            logging.getLogger(each).setLevel(logging.CRITICAL)  # the gate tells of everything that goes wrong
        config = uvicorn.Config(
            door.gate,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=Protocol,
            lifespan="on",
            ws="none",
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE_S,
        )
        config.load()
        config.ssl = self._tls
        return config


class _Server(uvicorn.Server):
    """The server, which ends in order at the first signal and at once at the second."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM, SIGINT and SIGHUP end the service; what they meant before comes back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end: no new changes, streams end, calls on their way end."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True
        self._door.work.closing.set()
        threading.Thread(target=self._door.work.refuse, name="cms-stop", daemon=True).start()


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what TLS needs, or None where it is not wanted. Raises: Invalid."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Invalid("--tls-cert and --tls-key belong together", hint="give both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert.expanduser(), key.expanduser(), password=lambda: b"")
    except (OSError, ValueError) as error:
        raise Invalid(f"{cert} and {key} are no certificate and its key: {error}", hint="give two PEM files") from None
    return context


def _check_exposure(host: str, *, expose: bool, tls: bool) -> None:
    """Refuse to listen where other machines reach, unless that is wanted and encrypted. Raises: Denied."""
    if is_loopback(host):
        return
    if not expose:
        raise Denied(
            f"other machines could reach {host}", hint="--expose --tls-cert FILE --tls-key FILE lets them, encrypted"
        )
    if not tls:
        raise Denied(
            f"the token would cross the network to {host} in clear", hint="give --tls-cert and --tls-key as well"
        )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the port. Raises: Conflict, Denied, NotReady."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise NotReady(f"{host} is no address of this machine: {error.strerror}", hint="try --host 127.0.0.1") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except PermissionError:
            raise Denied(f"port {port} is not for you", hint="take one above 1023") from None
        except OSError as error:
            raise Conflict(
                f"{host}:{port} cannot be listened at: {error.strerror}", hint="--port 0 takes a free one"
            ) from None
        yield listener
