"""The licence-plate service: takes a plate with the id of its request, hashes it in one of its slots, stores, answers.

One file on the standard library alone, since it is what runs in a guest: `python3 -I service.py SETTINGS.json`. It
keeps nothing that another member could not do as well. The store has the first answer to every id, so that this process
may be killed at any moment, and its requests be sent again to any member.

    POST /plate   {"id": "a1-000001", "plate": "KL-12-AB-3456"}: id, salt, hash, rounds, member, and whether repeated
    GET  /health  200 while it takes requests, 503 when it is ending; it asks nobody: a lost store ends no member
    GET  /stats   slots, how many are busy, how many requests wait for one, and what became of all others
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import socketserver
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PLATE = re.compile(r"[A-Z]{2}-[0-9]{2}-[A-Z]{1,3}-[0-9]{4}")
LARGEST = 64 * 1024
"""Bytes that a request may have."""
_NOBODY = 65534


class Refused(Exception):
    """A request that is not answered.

    Parameters: `status`, HTTP's word for why, 5xx when it is worth sending again; `wait`, the seconds before that.
    """

    def __init__(self, status: int, text: str, wait: float = 1.0) -> None:
        super().__init__(text)
        self.status, self.text, self.wait = status, text, wait


def digest(plate: str, salt: str, rounds: int) -> str:
    """Return the salted hash of a plate, in hexadecimal: PBKDF2-HMAC-SHA256, which takes as long as `rounds` says."""
    return hashlib.pbkdf2_hmac("sha256", plate.encode(), bytes.fromhex(salt), rounds).hex()


class Slots:
    """A number of places to work in, and a line before them that is not longer than `queue`.

    Whoever finds the line full is sent away before anything is done for them: under more load than it can bear a
    member does as much as it can, instead of beginning everything and ending nothing.
    Parameters: `wait`, the seconds that a request stands in the line at most.
    """

    def __init__(self, number: int, *, queue: int = 64, wait: float = 60.0) -> None:
        self.number = number
        self.busy = 0
        self._inside = 0
        self._queue = queue
        self._wait = wait
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)  # wakes one: all of a long line at once would be much for nothing
        self._empty = threading.Condition(self._lock)

    @property
    def waiting(self) -> int:
        """Return how many requests are in the line."""
        return self._inside - self.busy

    @contextmanager
    def line(self, seconds: float) -> Iterator[None]:
        """Stand in the line, which moves as fast as slots are held `seconds`. Raises: Refused (it is full)."""
        with self._lock:
            if self._inside >= self.number + self._queue:
                wait = max(self.waiting * seconds / max(self.number, 1), 1.0)
                raise Refused(503, f"all {self.number} slots are busy and {self.waiting} requests wait", wait)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                self._empty.notify_all()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot. Raises: Refused (none became free in time)."""
        with self._lock:
            if not self._free.wait_for(lambda: self.busy < self.number, self._wait):
                raise Refused(503, f"no slot became free within {self._wait:g} s")
            self.busy += 1
        try:
            yield
        finally:
            with self._lock:
                self.busy -= 1
                self._free.notify()

    def drained(self, seconds: float) -> bool:
        """Wait until nobody is left, `seconds` at most; whether that is so."""
        with self._lock:
            return self._empty.wait_for(lambda: not self._inside, seconds)


class StoreClient:
    """The store as a member sees it. No lock is held while it is waited for: one slow call holds up no other.

    Parameters: `url`; `token`; `timeout`, seconds of one call; `tries`, after which the request is given back, with
    `pause` seconds before each but the first.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 10.0, tries: int = 3, pause: float = 0.3) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"the store's address is http://host:port, not {url!r}")
        self._place = (parts.hostname, parts.port or 80)
        self._headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        self._timeout = timeout
        self._tries = tries
        self._pause = pause

    def find(self, ident: str) -> dict[str, Any] | None:
        """Return the answer to a request, or None. Raises: Refused (the store does not answer)."""
        status, found = self._call("GET", f"/answers/{quote(ident, safe='')}")
        return found if status == 200 else None

    def keep(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Store an answer unless its id has one, and return the one that it has. Raises: Refused."""
        status, kept = self._call("POST", "/answers", answer)
        if status != 200 or not {"salt", "hash"} <= kept.keys():
            raise Refused(503, "what answers in the store's place is no store")
        return kept

    def _call(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        body = json.dumps(document).encode() if document is not None else None
        reason = ""
        for attempt in range(self._tries):
            if attempt:
                threading.Event().wait(self._pause)
            try:
                status, found = self._once(method, path, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = str(error) or type(error).__name__
                continue
            if status in (200, 404) and isinstance(found, dict):
                return status, found
            reason = f"it answers {status}"
            if status < 500:
                break
        raise Refused(503, f"the store does not answer: {reason}")

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, Any]:
        """Ask once, over a connection of its own: one that was kept would be dead after the guest was suspended."""
        connection = http.client.HTTPConnection(*self._place, timeout=self._timeout)
        try:
            connection.request(method, path, body, self._headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read(LARGEST))
        finally:
            connection.close()


class Desk:
    """What the service does with a plate.

    Parameters: `store`; `slots`; `member`, the name in its answers; `rounds` of hashing; `seconds` that a slot is held
    beyond them, so that a demonstration does not depend on how fast the machine is; `hold`, which waits that long.
    """

    def __init__(
        self,
        store: Any,
        slots: Slots,
        *,
        member: str,
        rounds: int = 1,
        seconds: float = 0.0,
        hold: Callable[[float], object] | None = None,
    ) -> None:
        self.slots = slots
        self.member = member
        self.ending = threading.Event()
        self._store = store
        self._rounds = rounds
        self._seconds = seconds
        self._hold = hold or threading.Event().wait
        self._lock = threading.Lock()
        self._at_work: dict[str, threading.Event] = {}
        self._asking = threading.Semaphore(max(slots.number, 2))
        self._counts = dict.fromkeys(("done", "repeated", "refused", "failed"), 0)

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request: the first that its id ever got. Raises: Refused."""
        try:
            ident, plate = _checked(request)
            found = self._answered(ident, plate)
        except Refused as error:
            self._count("refused" if error.status < 500 else "failed")
            raise
        self._count("repeated" if found["repeated"] else "done")
        return found

    def _answered(self, ident: str, plate: str) -> dict[str, Any]:
        with self.slots.line(self._seconds), self._alone(ident):
            with self._asking:  # all of the line at once would be too much for a small machine
                found = self._store.find(ident)
            if found is not None:
                return {**found, "repeated": True}
            with self.slots.one():
                made = self._work(ident, plate)
                kept = self._store.keep(made)
        return {**kept, "repeated": kept["salt"] != made["salt"]}

    def _work(self, ident: str, plate: str) -> dict[str, Any]:
        salt = secrets.token_hex(16)
        hashed = digest(plate, salt, self._rounds)
        if self._seconds:
            self._hold(self._seconds)
        return {"id": ident, "salt": salt, "hash": hashed, "rounds": self._rounds, "member": self.member}

    @contextmanager
    def _alone(self, ident: str) -> Iterator[None]:
        """Let one request of an id work at a time: a client that asks again takes no second slot."""
        mine = threading.Event()
        while (other := self._at_work.setdefault(ident, mine)) is not mine:
            other.wait()
        try:
            yield
        finally:
            del self._at_work[ident]
            mine.set()

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def stats(self) -> dict[str, Any]:
        """Return the numbers of this member."""
        found = {"member": self.member, "slots": self.slots.number, "busy": self.slots.busy}
        with self._lock:
            return {**found, "waiting": self.slots.waiting, **self._counts}


def _checked(request: Mapping[str, Any]) -> tuple[str, str]:
    ident, plate = request.get("id"), request.get("plate")
    if not isinstance(ident, str) or not ID.fullmatch(ident):
        raise Refused(422, "id is 1 to 64 letters, digits, dots, dashes and underscores")
    if not isinstance(plate, str) or not PLATE.fullmatch(plate):
        raise Refused(422, "plate is a licence plate such as KL-12-AB-3456")
    return ident, plate


class JsonHandler(BaseHTTPRequestHandler, ABC):
    """Speaks JSON over HTTP/1.1, one thread for each connection; whatever comes is answered, and the server goes on."""

    protocol_version = "HTTP/1.1"
    server_version = "cms"
    sys_version = ""
    timeout = 120.0
    wbufsize = -1  # head and body leave together, so that no delayed acknowledgement stands between them
    disable_nagle_algorithm = True

    @abstractmethod
    def respond(self, method: str, path: str) -> tuple[int, Mapping[str, Any]]:
        """Return status and document for a request. Raises: Refused."""

    def do_GET(self) -> None:
        """Answer a request."""
        wait = 1.0
        try:
            status, document = self.respond(self.command, self.path)
        except Refused as error:
            status, document, wait = error.status, {"error": error.text}, error.wait
        except Exception as error:  # noqa: BLE001 (one bad request must not end the service)
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            status, document = 500, {"error": "it failed; the service says why"}
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 503:
            self.send_header("Retry-After", str(round(wait)))
        if status >= 400:  # a body that was not read would be taken for the next request
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

    def document(self) -> dict[str, Any]:
        """Return the JSON object that the request brings. Raises: Refused."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(411, "Content-Length is missing or no number")
        if int(length) > LARGEST:
            raise Refused(413, f"{LARGEST} bytes are the most")
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Refused(400, "the body is no JSON object")
        return found

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of http.server)
        """Write no line for each request."""


class Server(ThreadingHTTPServer):
    """A server whose handlers find what they serve as `subject`."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[JsonHandler], subject: Any) -> None:
        self.subject = subject
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Take the port without asking the name service who we are, which may take long in a guest."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away; a line of whatever else."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")


class PlateHandler(JsonHandler):
    """The requests of the service."""

    def respond(self, method: str, path: str) -> tuple[int, Mapping[str, Any]]:
        """Answer plates, health and statistics."""
        desk: Desk = self.server.subject  # type: ignore[attr-defined]
        if (method, path) == ("POST", "/plate"):
            if desk.ending.is_set():
                raise Refused(503, f"{desk.member} is ending")
            return 200, desk.answer(self.document())
        if (method, path) == ("GET", "/health"):
            return (503 if desk.ending.is_set() else 200), {"member": desk.member, "ending": desk.ending.is_set()}
        if (method, path) == ("GET", "/stats"):
            return 200, desk.stats()
        raise Refused(404, "there are POST /plate, GET /health and GET /stats")


def server(settings: Mapping[str, Any]) -> Server:
    """Return the service, listening; `settings` as in main. Raises: OSError, KeyError, ValueError."""
    slots = Slots(int(settings.get("slots", 1)), queue=int(settings.get("queue", 64)))
    desk = Desk(
        StoreClient(str(settings["store"]), str(settings["token"])),
        slots,
        member=str(settings.get("member") or socket.gethostname()),
        rounds=int(settings.get("rounds", 1)),
        seconds=float(settings.get("seconds", 0.0)),
    )
    address = (str(settings.get("host", "")), int(settings.get("port", 8080)))
    return Server(address, PlateHandler, desk)


def end(serving: Server, seconds: float = 30.0) -> None:
    """Take no more requests and let those at work end, `seconds` at most."""
    serving.subject.ending.set()
    serving.subject.slots.drained(seconds)
    serving.shutdown()


def main(argv: list[str]) -> int:
    """Serve until SIGTERM as the file named on the command line says; it may hold the token, so it is for root alone.

    Its keys: store, token; host, port; slots, queue; rounds, seconds; member. Root becomes nobody.
    """
    settings = json.loads(Path(argv[1]).read_bytes())
    serving = server(settings)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=end, args=(serving,)).start())
    serving.serve_forever(poll_interval=0.1)
    serving.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
