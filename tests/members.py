"""Members for balancers in tests: HTTP servers on loopback that say who they are, and do as they are told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Member:
    """A server that answers with its name.

    `well` is what its check says; while `gate` is not set, requests to /hold wait; `drops` many requests are dropped
    without an answer, and `fails` many answered with 503; /error is always answered with 500. One that is `dead` takes
    connections and drops them, checks too. `got` are the bodies of the requests that came.
    """

    def __init__(self, name: str) -> None:
        self.name, self.well, self.dead, self.drops, self.fails = name, True, False, 0, 0
        self.gate = threading.Event()
        self.got: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.member = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def die(self) -> None:
        """Take connections and drop them, those that there are too, as a forward to a guest whose service has died."""
        self.dead = True
        self.gate.set()

    def stop(self) -> None:
        """Listen no more, and let nobody wait."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    member: Member


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        member = self.server.member
        if member.dead:
            self._drop()
            return
        if self.path == "/health":
            self._answer(200 if member.well else 503)
            return
        member.got.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        if member.drops:
            member.drops -= 1
            self._drop()
            return
        if self.path == "/hold":
            member.gate.wait(60)
        if member.dead:
            self._drop()
            return
        failing = member.fails > 0
        member.fails -= failing
        self._answer(503 if failing else 500 if self.path == "/error" else 200)

    do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

    def _drop(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int) -> None:
        body = json.dumps({"member": self.server.member.name}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


def ask(
    address: tuple[str, int], path: str = "/", *, method: str = "POST", body: str = "", limit: float = 60.0
) -> tuple[int, str]:
    """Send a request and return the status and who answered; status 0 is no answer."""
    line = HTTPConnection(*address, timeout=limit)
    try:
        line.request(method, path, body=body or None, headers={"Connection": "close"})
        answer = line.getresponse()
        told = answer.read()
    except (OSError, HTTPException):
        return 0, ""
    finally:
        line.close()
    try:
        return answer.status, str(json.loads(told).get("member", ""))
    except ValueError:
        return answer.status, ""


class Asking(threading.Thread):
    """A request under way: `result` once it was answered."""

    def __init__(self, address: tuple[str, int], path: str = "/hold", **options: Any) -> None:
        super().__init__(daemon=True)
        self._words, self._options = (address, path), options
        self.result: tuple[int, str] | None = None
        self.start()

    def run(self) -> None:
        """Ask and keep the answer."""
        self.result = ask(*self._words, **self._options)

    def answer(self) -> tuple[int, str]:
        """Wait for the answer and return it."""
        self.join(60)
        assert self.result is not None
        return self.result


def until(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until `check` says something true, and return it."""
    end = time.monotonic() + seconds
    while not (said := check()):
        assert time.monotonic() < end, f"it did not come true in {seconds:g} s"
        time.sleep(0.01)
    return said
