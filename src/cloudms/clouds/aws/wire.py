"""EC2's query API for lists of any length: signed by `sign`, sent by http.client, read by `markup`.

For a hundred thousand images boto3 needs six times the processor time, nearly all of it for making objects of XML.
Whatever is not said in cloudmesh.yaml (credentials, profiles, endpoints, certificates) stays botocore's business.
Protocol: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from cloudms import __version__
from cloudms.clouds.aws import markup, route, shapes
from cloudms.clouds.aws.errors import mapped
from cloudms.clouds.aws.pace import Pace
from cloudms.clouds.aws.settings import Secrets
from cloudms.clouds.aws.sign import signed
from cloudms.errors import CloudmsError, Interrupted, NotReady, Throttled

if TYPE_CHECKING:
    from cloudms.clouds.aws.link import Link

OPERATIONS = ("DescribeImages", "DescribeInstances")
"""What can be asked."""
ROWS = 1
"""Pages that are rows at the same time: a page takes five times as much memory as its XML."""
BODIES = 4
"""Answers that are read at the same time: the others wait in the buffers of their connections."""
_SLICE = 0.5
"""Seconds after which a thread that waits looks whether it is still wanted."""
PATIENCE = {Throttled: 8, NotReady: 4}
"""How often one page is asked for when it is refused, or does not come."""
_AGENT = f"cloudms/{__version__}"
_BROKEN = "something between here and AWS answers in its place: look at the setting endpoint and the proxy"
_NETWORK = "look at the network, the setting endpoint, and the spelling of the region"
_FOLLOWING = re.compile(rb"<nextToken>([!-%'-;=-~]+)</nextToken>")
_TAIL = 4096
"""Bytes at the end of an answer in which the next page is named."""


class _Broken(Exception):
    """A compressed answer that cannot be unpacked."""


class Wire:
    """One region of EC2, asked by several threads at once.

    Parameters: `link`, the way to AWS; `region`; `pace`, which the threads of one list share; `patience`, how often a
    page is asked for, by the error that it ends with.
    """

    def __init__(
        self, link: Link, region: str, pace: Pace, patience: Mapping[type[CloudmsError], int] = PATIENCE
    ) -> None:
        self.region = region
        self.pace = pace
        self._patience = patience
        self._link = link
        self._keys = route.own_keys(link)
        self._shapes = shapes.of(OPERATIONS)
        self._url = urlsplit(route.endpoint(link, region, alone=self._keys is not None))
        self._own = threading.local()
        self._room = threading.Semaphore(ROWS)
        self._bodies = threading.Semaphore(BODIES)

    def pages(self, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of an operation (DescribeImages) to the last. Raises: any error of the house."""
        more = dict(params)
        while True:
            page = self.page(operation, more)
            yield page
            if not page.get("NextToken"):
                return
            more["NextToken"] = page["NextToken"]

    def page(
        self, operation: str, params: Mapping[str, Any], *, hold: bool = False, ahead: bool = False
    ) -> dict[str, Any]:
        """Return one page in boto3's shape, asked again while that is worth it. Raises: any error of the house.

        With `hold`, no more than ROWS pages become rows until `release` says that one of them is used up. With `ahead`,
        the page after this one is asked for before this one is read: the thread will want it.
        """
        attempt = 0
        while True:
            self.pace.turn()
            try:
                page = self._once(operation, params, hold=hold, ahead=ahead)
            except CloudmsError as error:
                attempt += 1
                if attempt >= self._patience.get(type(error), 1) or error.details.get("retry") is False:
                    raise
                wait = self.pace.refused(attempt, float(error.details.get("retry_after") or 0.0))
                self.pace.wait(wait)
            else:
                self.pace.answered()
                return page

    def release(self) -> None:
        """Say that the rows of one page that was held are used up."""
        self._room.release()

    def _once(self, operation: str, params: Mapping[str, Any], *, hold: bool, ahead: bool) -> dict[str, Any]:
        response = self._answer(operation, params)
        self._enter(self._bodies)
        try:
            body = self._body(response)
            if response.status != 200:
                raise self._refusal(operation, response.status, response.headers, body)
            if ahead and self.pace.free():
                self._ask_ahead(operation, params, body)
            return self._rows(operation, body, hold=hold)
        finally:
            self._bodies.release()

    def _answer(self, operation: str, params: Mapping[str, Any]) -> Any:
        """Return the response to a request, which may have been sent before; it is unread. Raises: NotReady, Denied."""
        from http.client import HTTPException

        sent, self._own.ahead = getattr(self._own, "ahead", None), None
        if sent == (operation, params):
            try:
                return self._own.connection.getresponse()
            except (HTTPException, OSError):
                self.close()
        elif sent is not None:
            self.close()
        return self._sent(self._signed(operation, params))

    def _ask_ahead(self, operation: str, params: Mapping[str, Any], body: bytes) -> None:
        """Send the request for the page that an answer names as the next; what goes wrong will be seen then."""
        from http.client import HTTPException

        token = _FOLLOWING.search(body, max(len(body) - _TAIL, 0))
        if token is None:
            return
        following = {**params, "NextToken": token[1].decode()}
        with suppress(CloudmsError):
            request = self._signed(operation, following)
            try:
                self._own.connection.request("POST", self._url.path or "/", *request)
            except (HTTPException, OSError):
                self.close()
            else:
                self._own.ahead = (operation, following)

    def _rows(self, operation: str, body: bytes, *, hold: bool) -> dict[str, Any]:
        """Return what an answer says. Raises: NotReady (it cannot be read)."""
        self._enter(self._room)
        found = None
        try:
            found = markup.read(body, self._shapes[operation])
            return found
        except markup.Malformed as error:
            raise NotReady(
                f"AWS in {self.region} answered what cannot be read: {error}", hint=_BROKEN,
                details={"operation": operation, "region": self.region},
            ) from None  # fmt: skip
        finally:
            if found is None or not hold:
                self.release()

    def _enter(self, room: threading.Semaphore) -> None:
        while not room.acquire(timeout=_SLICE):
            if self.pace.stopped.is_set():
                raise Interrupted("stopped on request")

    def close(self) -> None:
        """Give this thread's connection back."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = self._own.ahead = None

    def _signed(self, operation: str, params: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        """Return body and headers of a request, signed now. Raises: Denied, Invalid."""
        body = urlencode(query(operation, params))
        headers = signed(self._url, body, self._keys or self._frozen(operation), self.region, self._link.clock.now())
        return body, {**headers, "User-Agent": _AGENT, "Accept-Encoding": "gzip"}

    def _frozen(self, operation: str) -> Secrets:
        """Return the keys that botocore finds. Raises: Denied, Invalid."""
        from botocore.exceptions import BotoCoreError

        try:
            return route.keys_now(self._link)
        except BotoCoreError as error:
            raise mapped(error, operation, self.region) from None

    def _sent(self, request: tuple[str, dict[str, str]]) -> Any:
        """Send a request over this thread's connection and return the response, unread. Raises: NotReady.

        A connection that was kept may have been closed by the other side meanwhile: that is tried once more at once.
        """
        from http.client import HTTPException

        while True:
            kept = getattr(self._own, "connection", None)
            connection = kept or self._connect()
            self._own.connection = connection
            try:
                connection.request("POST", self._url.path or "/", *request)
                return connection.getresponse()
            except (HTTPException, OSError) as error:
                self.close()
                if kept is None:
                    raise self._unreachable(error) from None

    def _body(self, response: Any) -> bytes:
        """Return what a response brings. Raises: NotReady (it breaks off)."""
        from http.client import HTTPException

        try:
            return _inflated(response)
        except (HTTPException, OSError, _Broken) as error:
            self.close()
            raise self._unreachable(error) from None

    def _connect(self) -> Any:
        from http.client import HTTPConnection, HTTPSConnection

        settings = self._link.settings
        host, port = self._url.hostname or "", self._url.port
        seconds = settings.read_timeout or None
        if self._url.scheme == "http":
            return HTTPConnection(host, port, timeout=seconds)
        return HTTPSConnection(
            host, port, timeout=seconds, context=route.trust(self._link, alone=self._keys is not None)
        )

    def _unreachable(self, error: Exception) -> NotReady:
        text = " ".join(str(error).split()) or type(error).__name__
        late = isinstance(error, TimeoutError)
        return NotReady(
            f"AWS in {self.region} {'did not answer in time' if late else f'is not reachable: {text}'}",
            hint=_NETWORK,
            details={"region": self.region, "error": type(error).__name__},
        )

    def _refusal(self, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> CloudmsError:
        """Return the error that an answer means, as botocore reads it."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError, create_parser

        what = _snake(operation)
        try:
            small = {name.lower(): value for name, value in headers.items()}
            response = {"status_code": status, "headers": small, "body": body}
            found = create_parser("ec2").parse(response, None)
        except (BotoCoreError, ResponseParserError, ValueError) as error:
            if status == 503 or status == 429:
                return Throttled(f"AWS in {self.region} asks to be asked less often", details={"region": self.region})
            return self._unreachable(error) if isinstance(error, ValueError) else mapped(error, what, self.region)
        found.setdefault("ResponseMetadata", {}).update(HTTPStatusCode=status, HTTPHeaders=small)
        return mapped(ClientError(found, operation), what, self.region)


def query(operation: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Return a request as EC2 spells it: lists are numbered from 1 and lose the plural of their name."""
    found = {"Action": operation, "Version": shapes.VERSION}
    for name, value in params.items():
        if isinstance(value, list | tuple):
            for number, item in enumerate(value, 1):
                found |= _numbered(f"{name.removesuffix('s')}.{number}", item)
        elif value not in (None, ""):
            found[name] = str(value)
    return found


def _numbered(name: str, item: Any) -> dict[str, str]:
    if not isinstance(item, Mapping):
        return {name: str(item)}
    values = {f"{name}.Value.{number}": str(value) for number, value in enumerate(item["Values"], 1)}
    return {f"{name}.Name": str(item["Name"]), **values}


def _inflated(response: Any) -> bytes:
    """Return the body of an answer. Raises: _Broken, and what the connection raises."""
    body: bytes = response.read()
    if response.headers.get("Content-Encoding") != "gzip":
        return body
    import zlib

    unpack = zlib.decompressobj(wbits=31)
    try:
        whole = unpack.decompress(body)
    except zlib.error as error:
        raise _Broken(f"a broken answer: {error}") from None
    if not unpack.eof:
        raise _Broken("a part of the answer is missing")
    return whole


def _snake(operation: str) -> str:
    """Return boto3's name of an operation: DescribeImages → describe_images."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
