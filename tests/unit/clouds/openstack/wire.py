"""An OpenStack on loopback that speaks HTTP: keystone with a catalog, and services that answer from a table."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cloudms.clock import SystemClock
from cloudms.clouds.base import Setup
from cloudms.clouds.openstack.link import Link

Reply = tuple[int, Any]
Answer = Reply | Callable[[Mapping[str, list[str]], Any], Reply] | None

SERVICES = {"compute": "/nova/v2.1", "image": "/glance", "network": "/neutron", "volumev3": "/cinder/v3/p1"}


class Wire:
    """The server; `table` has `METHOD PATH` → number and body, a function of query and body, or None: it hangs up."""

    def __init__(self, regions: tuple[str, ...] = ("R1",)) -> None:
        self.table: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, list[str]], Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.regions = regions
        self.tokens = 0
        self.table["POST /v3/auth/tokens"] = self._token
        self.table["GET /nova/v2.1/"] = 200, {"version": {"id": "v2.1", "version": "2.104", "min_version": "2.1"}}
        self.table["GET /cinder/v3/"] = 200, {"versions": [{"id": "v3.0", "version": "3.59", "min_version": "3.0"}]}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def login(self) -> dict[str, Any]:
        """Return credentials in the words of clouds.yaml."""
        return {"auth": {"auth_url": self.url, "username": "ada", "password": "secret", "project_name": "lab"}}

    def catalog(self) -> list[dict[str, Any]]:
        """Return the catalog of services."""
        return [
            {
                "type": kind,
                "endpoints": [
                    {"interface": "public", "region_id": region, "region": region, "url": f"{self.url}{path}"}
                    for region in self.regions
                ],
            }
            for kind, path in SERVICES.items()
        ]

    def _token(self, _query: Any, _body: Any) -> Reply:
        self.tokens += 1
        token = {
            "user": {"id": "u1", "name": "ada", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "name": "lab", "domain": {"id": "default", "name": "Default"}},
            "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
            "methods": ["password"], "catalog": self.catalog(), "roles": [],
        }  # fmt: skip
        return 201, {"token": token}

    def said(self, start: str) -> list[tuple[dict[str, list[str]], Any]]:
        """Return query and body of the requests that begin so."""
        return [(query, body) for what, query, body in self.asked if what.startswith(start)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                parts = urlsplit(self.path)
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query, body = parse_qs(parts.query, keep_blank_values=True), json.loads(text) if text else None
                what = f"{self.command} {parts.path}"
                wire.asked.append((what, query, body))
                wire.headers.append(dict(self.headers.items()))
                found = wire.table.get(what, (404, {"itemNotFound": {"message": f"no {what}", "code": 404}}))
                reply = found(query, body) if callable(found) else found
                if reply is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, told = reply
                packed = told if isinstance(told, bytes) else b"" if told is None else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(packed)))
                self.send_header("X-Subject-Token", f"token{wire.tokens}")
                if status in (413, 429):
                    self.send_header("Retry-After", "7")
                self.end_headers()
                self.wfile.write(packed)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 (names of the standard library)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (name of the standard library)
                """Say nothing."""

        return Handler

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def wired(*regions: str) -> Iterator[Wire]:
    """Yield an OpenStack that answers."""
    wire = Wire(regions or ("R1",))
    wire.start()
    try:
        yield wire
    finally:
        wire.stop()


@contextmanager
def linked(wire: Wire, **options: Any) -> Iterator[Link]:
    """Yield a way to it."""
    credentials = options.pop("credentials", wire.login)
    link = Link(Setup(name="os", options=options, credentials=lambda: credentials), SystemClock())
    try:
        yield link
    finally:
        link.close()
