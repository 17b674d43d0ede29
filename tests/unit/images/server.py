"""A web server on loopback that serves one file well, badly or not at all, and notes what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass
class Site:
    """What the server has, and its faults: each is used up by one request."""

    content: bytes
    etag: str = '"v1"'
    ranges: bool = True
    faults: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    base: str = ""

    @property
    def url(self) -> str:
        """Return the file's address."""
        return f"{self.base}/disk.img"

    def sums(self, algorithm: str = "sha256") -> str:
        """Return a checksum file."""
        return f"{'0' * 64}  other.img\n{hashlib.new(algorithm, self.content).hexdigest()} *disk.img\n"


class Handler(BaseHTTPRequestHandler):
    """Serve `Site` as its next fault says."""

    site: ClassVar[Site]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer one request."""
        site = self.site
        site.requests.append((self.path, self.headers.get("Range", "")))
        self.close_connection = True
        if self.path == "/SUMS":
            self._send(200, site.sums().encode())
        elif self.path == "/disk.img":
            self._serve(site, site.faults.pop(0) if site.faults else "")
        else:
            self._send(404, b"")

    def _serve(self, site: Site, fault: str) -> None:
        if fault.isdigit():
            self._send(int(fault), b"", {"Retry-After": "7"} if fault == "429" else {})
        else:
            self._file(site, fault)

    def _file(self, site: Site, fault: str) -> None:
        start = self._start(site)
        if start is not None and start >= len(site.content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(site.content)}"})
            return
        body = site.content[start or 0 :]
        headers = {"ETag": site.etag} if site.etag else {}
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(site.content) - 1}/{len(site.content)}"
        if fault == "wrong-range":
            headers["Content-Range"] = "bytes 1-2/3"
        sent = {"cut": body[: len(body) // 2], "stall": body[: len(body) // 2], "corrupt": bytes(len(body))}.get(
            fault, body
        )
        self._send(200 if start is None else 206, sent, headers, len(body), stall=fault == "stall")

    def _start(self, site: Site) -> int | None:
        asked = self.headers.get("Range", "")
        same = self.headers.get("If-Range", site.etag) == site.etag
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges and same else None

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
        *,
        stall: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if stall:
            self.wfile.flush()
            self.site.released.wait(10)


@contextmanager
def serve(content: bytes) -> Iterator[Site]:
    """Run the server until the block ends."""
    site = Site(content)
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
