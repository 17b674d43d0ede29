"""The store as a service beside the balancer: members bring answers and ask for them, each with the token.

    POST /answers                {"id", "salt", "hash", "rounds", "member"}: the first answer to the id, this or another
    GET  /answers/ID             that answer, or 404
    GET  /answers?begin=&after=  up to 1,000 answers whose id begins so, after another, and whether there are more
    GET  /stats                  how many answers, and how many tries brought them
    GET  /health                 200, without a token

It listens on loopback only. Guests with user-mode networking reach that as 10.0.2.2; from elsewhere `ssh -R` leads to
it.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cloudms.clock import Clock
from cloudms.errors import CloudmsError, Conflict, Denied, Invalid, NotReady
from cloudms.workload.answers import Answer, Answers, SqliteAnswers
from cloudms.workload.service import ID, JsonHandler, Refused, Server

GATEWAY = "10.0.2.2"
"""What loopback of this machine is called by a guest with user-mode networking."""
PAGE = 1000
_HEX = frozenset("0123456789abcdef")


class _Desk:
    """What the handlers serve."""

    def __init__(self, answers: Answers, token: str, clock: Clock) -> None:
        self.answers = answers
        self._token = token.encode()
        self._clock = clock

    def admits(self, header: str) -> bool:
        scheme, _, word = header.partition(" ")
        given = word.strip().encode("utf-8", "surrogatepass")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)

    def keep(self, document: Mapping[str, Any]) -> Answer:
        ident, salt, hashed = (document.get(name) for name in ("id", "salt", "hash"))
        rounds, member = document.get("rounds"), document.get("member")
        if not isinstance(ident, str) or not ID.fullmatch(ident):
            raise Refused(422, "id is 1 to 64 letters, digits, dots, dashes and underscores")
        if not _is_hex(salt, 32) or not _is_hex(hashed, 64):
            raise Refused(422, "salt and hash are 32 and 64 hexadecimal digits")
        if type(rounds) is not int or not 1 <= rounds < 2**31:
            raise Refused(422, "rounds is a number from 1 on")
        if not isinstance(member, str) or not 0 < len(member) <= 255:
            raise Refused(422, "member is the name of a machine")
        return self.answers.keep(
            Answer(id=ident, salt=str(salt), hash=str(hashed), rounds=rounds, member=member, stored=self._clock.now())
        )

    def page(self, query: str) -> dict[str, Any]:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        found = self.answers.page(asked.get("begin", ""), asked.get("after", ""), PAGE + 1)
        return {"answers": [each.to_document() for each in found[:PAGE]], "more": len(found) > PAGE}


def _is_hex(text: object, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and _HEX.issuperset(text)


class _Handler(JsonHandler):
    """The requests of the store."""

    def respond(self, method: str, path: str) -> tuple[int, Mapping[str, Any]]:
        """Answer a request. Raises: Refused."""
        desk: _Desk = self.server.subject  # type: ignore[attr-defined]
        if (method, path) == ("GET", "/health"):
            return 200, {}
        if not desk.admits(self.headers.get("Authorization", "")):
            raise Refused(401, "the token of the store is missing or wrong")
        try:
            return self._admitted(desk, method, path)
        except CloudmsError as error:
            raise Refused(503, error.message) from None

    def _admitted(self, desk: _Desk, method: str, path: str) -> tuple[int, Mapping[str, Any]]:
        parts = urlsplit(path)
        if (method, path) == ("POST", "/answers"):
            return 200, desk.keep(self.document()).to_document()
        if (method, parts.path) == ("GET", "/answers"):
            return 200, desk.page(parts.query)
        if (method, path) == ("GET", "/stats"):
            return 200, desk.answers.counts()
        if method == "GET" and parts.path.startswith("/answers/"):
            found = desk.answers.find(unquote(parts.path.removeprefix("/answers/")))
            return (200, found.to_document()) if found else (404, {"error": "no such answer"})
        raise Refused(404, "there are /answers, /answers/ID, /stats and /health")


class Store:
    """A store that listens, from `with` on until its end.

    Parameters: `answers`, closed at the end; `token` of those who are let in; `host`, an address of loopback; `port`, 0
    for any free one. Raises: Denied (other machines reach the address), Conflict (the port is taken).
    """

    def __init__(self, answers: Answers, token: str, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        if not is_loopback(host):
            raise Denied(
                f"other machines could reach {host}",
                hint="127.0.0.1; ssh -R brings it to machines elsewhere, encrypted",
            )
        self.answers = answers
        try:
            self._server = Server((host, port), _Handler, _Desk(answers, token, clock))
        except PermissionError:
            raise Denied(f"port {port} is not for you", hint="take one above 1023") from None
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Conflict(f"{host}:{port} cannot be listened at: {reason}", hint="--port 0 takes a free one") from None
        self.host, self.port = host, int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return its address on this machine."""
        return f"http://{self.host}:{self.port}"

    @property
    def guest_url(self) -> str:
        """Return its address in a guest with user-mode networking on this machine."""
        return f"http://{GATEWAY}:{self.port}"

    def __enter__(self) -> Store:
        """Begin to serve."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="cms-plate-store", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End: what was stored stays."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.answers.close()


@contextmanager
def storing(where: str | Path, token: str, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> Iterator[Store]:
    """Serve a store: of a file, or of a PostgreSQL by its URL. Raises: Denied, Conflict, Invalid, NotReady."""
    answers = opened(where)
    try:
        store = Store(answers, token, clock=clock, host=host, port=port)
    except CloudmsError:
        answers.close()
        raise
    with store:
        yield store


def opened(where: str | Path) -> Answers:
    """Open answers: a file, or a PostgreSQL by its URL. Raises: Denied, Invalid, MissingExtra, NotReady."""
    if isinstance(where, Path):
        return SqliteAnswers(where)
    if not where.startswith(("postgresql://", "postgres://")):
        raise Invalid("that is no address of a PostgreSQL", hint="postgresql://USER@HOST/DATABASE")
    from cloudms.workload.postgres import PostgresAnswers

    return PostgresAnswers(where)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answers_of(url: str, token: str, begin: str, *, timeout: float = 30.0) -> Iterator[Answer]:
    """Yield the answers of a store whose id begins so, in order. Raises: NotReady (no answer), Denied (the token)."""
    from cloudms.workload.wire import Wire, address

    place = address(url)
    after = ""
    with Wire(place, timeout=timeout, headers={"Authorization": f"Bearer {token}"}) as wire:
        while True:
            reply = wire.ask("GET", f"/answers?begin={begin}&after={after}")
            if reply.status in (401, 403):
                raise Denied(f"the store at {place.text} does not take the token", hint="give its --token-file")
            if reply.status != 200 or "answers" not in reply.document:
                raise NotReady(
                    f"the store at {place.text} does not answer: {reply.reason}", hint="cms workload store starts one"
                )
            yield from (Answer.from_document(each) for each in reply.document["answers"])
            if not reply.document.get("more"):
                return
            after = reply.document["answers"][-1]["id"]
