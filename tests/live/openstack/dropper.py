"""A way to the compute service that can lose what comes back: the request has been done, and nobody hears of it.

The region that `accounts.FAULTY` names has its compute service here.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.live.openstack.places import PORTS

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Dropper:
    """What passes through: each request is noted in `seen`, and some replies are lost."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self._left = 0
        self._what = re.compile("$^")
        self._lock = threading.Lock()

    def drop(self, what: str, times: int = 1) -> None:
        """Lose the replies to the next `times` requests that match, such as `POST .*/servers$`."""
        with self._lock:
            self._what, self._left = re.compile(what), times

    def note(self, method: str, path: str, status: int) -> bool:
        """Remember a request, and tell whether its reply gets lost."""
        with self._lock:
            self.seen.append((method, path, status))
            lost = self._left > 0 and bool(self._what.match(f"{method} {path}"))
            self._left -= lost
            return lost

    def count(self, what: str) -> int:
        """Return how many requests matched."""
        return sum(bool(re.match(what, f"{method} {path}")) for method, path, _ in self.seen)


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    dropper: Dropper

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        link = http.client.HTTPConnection("127.0.0.1", PORTS["nova"], timeout=120)
        try:
            link.request(self.command, self.path, body, dict(self.headers.items()))
            reply = link.getresponse()
            content = reply.read()
        finally:
            link.close()
        if self.dropper.note(self.command, self.path, reply.status):
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def passing() -> Iterator[Dropper]:
    """Let requests pass for a while."""
    dropper = Dropper()
    handler = type("Handler", (_Passing,), {"dropper": dropper})
    server = ThreadingHTTPServer(("127.0.0.1", PORTS["dropper"]), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield dropper
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
