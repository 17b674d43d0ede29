"""One file over HTTP, resumed instead of repeated: after a truncation, a stall, an error of the server, or Ctrl-C.

Range requests as in RFC 9110, chapter 14: the part on the disk is continued only when the server proves with If-Range
that the file is still the same one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from cloudms import __version__
from cloudms.clock import Clock
from cloudms.errors import CloudmsError, Denied, Invalid, NotFound, NotReady, Throttled, Timeout
from cloudms.images.store import Progress, disk_full_is_no_capacity, silent

_BLOCK = 256 * 1024


@dataclass(frozen=True)
class Patience:
    """How long to try: `timeout` seconds of silence, `attempts` failures in a row without a gain, `slowest` bytes per
    second over `window` seconds; the n-th wait between attempts is `backoff` times 2 to the n, at most 60 seconds."""

    timeout: float = 30.0
    attempts: int = 5
    slowest: int = 1024
    window: float = 60.0
    backoff: float = 1.0


DEFAULT_PATIENCE = Patience()


class _Again(Exception):
    """This attempt failed; `error` is what it becomes when it was the last one, `wait` what the server asks for."""

    def __init__(self, error: CloudmsError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


class Part:
    """An unfinished download on the disk: the bytes so far, what the server said of the file, and the running sums."""

    def __init__(self, path: Path, url: str, algorithms: tuple[str, ...] = ("sha256",)) -> None:
        self.path = path
        self.url = url
        self.algorithms = algorithms
        self.note = path.with_suffix(".json")
        self.validator = ""
        self.resumed = False
        self.size = 0
        self.sums = self._fresh_sums()

    def load(self) -> None:
        """Take up what an earlier run left, if it was of the same address and the server can prove it is unchanged."""
        try:
            known = json.loads(self.note.read_text())
            usable = known["url"] == self.url and known["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            usable = False
        if not usable or not self.path.exists():
            self.restart()
            return
        self.validator = str(known["validator"])
        self.sums = self._fresh_sums()
        with self.path.open("rb") as stream:
            while block := stream.read(1 << 20):
                self._feed(block)
        self.size = self.path.stat().st_size
        self.resumed = self.size > 0

    def restart(self, validator: str = "") -> None:
        """Forget the bytes; `validator` is the ETag or date of the file that begins now."""
        self.path.write_bytes(b"")
        self.validator, self.size, self.resumed = validator, 0, False
        self.sums = self._fresh_sums()
        self.note.write_text(json.dumps({"url": self.url, "validator": validator}))

    def write(self, out: BinaryIO, block: bytes) -> None:
        """Append a block."""
        out.write(block)
        self._feed(block)
        self.size += len(block)

    def digest(self, algorithm: str) -> str:
        """Return the hexadecimal sum of all bytes so far."""
        return str(self.sums[algorithm].hexdigest())

    def delete(self) -> None:
        """Remove it from the disk."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _fresh_sums(self) -> dict[str, Any]:
        return {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in self.algorithms}

    def _feed(self, block: bytes) -> None:
        for digest in self.sums.values():
            digest.update(block)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but not from https to http unless what arrives is checked against a known sum."""

    def __init__(self, checked: bool) -> None:
        self.checked = checked

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse another scheme, and the way from https to http."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (scheme == "http" and req.type == "https" and not self.checked):
            raise Denied(
                f"{req.full_url} sends us to an unprotected address", hint="give a checksum, or another address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    part: Part,
    *,
    clock: Clock,
    checked: bool = False,
    patience: Patience = DEFAULT_PATIENCE,
    progress: Progress = silent,
) -> None:
    """Bring the rest of `part`; what has arrived stays on the disk whatever happens.

    Parameters: `checked` says that the caller knows the sum. Raises: NotFound (404), Denied, Throttled, NotReady (no
    answer, or the server fails), Timeout (silent or too slow), NoCapacity (disk full), Invalid (address).
    """
    check_address(part.url)
    failures = 0
    while True:
        before = part.size
        try:
            with disk_full_is_no_capacity(part.path.parent):
                return _attempt(part, clock, checked, patience, progress)
        except _Again as again:
            failures = 0 if part.size > before + _BLOCK else failures + 1
            if failures >= patience.attempts:
                raise again.error from again.__cause__
            wait = again.wait if again.wait is not None else patience.backoff * 2 ** max(failures - 1, 0)
            progress(part.size, None, f"{again.error.message}; trying again")
            clock.sleep(min(wait, 60.0))


def fetch_text(url: str, *, clock: Clock, folder: Path, patience: Patience = DEFAULT_PATIENCE) -> str:
    """Return a small text file, such as a list of checksums; raises what `download` raises."""
    part = Part(folder / "text.part", url)
    part.restart()
    download(part, clock=clock, patience=patience)
    text = part.path.read_text(errors="replace")
    part.delete()
    return text


def check_address(url: str) -> None:
    """Raise Invalid unless `url` is a full http or https address."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Invalid(f"'{url}' is not an http or https address", hint="name an image of the index, or a full address")


def _attempt(part: Part, clock: Clock, checked: bool, patience: Patience, progress: Progress) -> None:
    with _open(part, checked, patience) as response:
        if response is None:
            return
        total = _begin(part, response)
        with part.path.open("ab") as out:
            _receive(part, out, response, total, clock, patience, progress)
    if total is not None and part.size < total:
        raise _Again(
            NotReady(f"the server ended the connection after {part.size} of {total} bytes", hint="run it again")
        )
    if total is not None and part.size > total:
        part.restart()
        raise _Again(NotReady(f"the server sent more than the {total} bytes it announced", hint="run it again"))


@contextmanager
def _open(part: Part, checked: bool, patience: Patience) -> Iterator[http.client.HTTPResponse | None]:
    """Send the request; None when nothing is missing. All that can go wrong until the body becomes house errors."""
    headers = {"User-Agent": f"cloudms/{__version__}", "Accept-Encoding": "identity"}
    if part.size and part.validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    request = urllib.request.Request(part.url, headers=headers)  # noqa: S310 - check_address allows http and https only
    opener = urllib.request.build_opener(_Redirects(checked))
    try:
        response = opener.open(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        with error:
            _of_status(error, part)
        yield None
        return
    except TimeoutError as error:
        raise _Again(_silence(part, patience)) from error
    except urllib.error.URLError as error:
        raise _of_reason(error.reason, part, patience) from error
    except (http.client.HTTPException, OSError) as error:
        raise _Again(NotReady(f"{_host(part)} broke off: {error}", hint="check the network")) from error
    with response:
        yield response


def _of_status(error: urllib.error.HTTPError, part: Part) -> None:
    """Raise what a refused request means; return when it only says that the part is the whole file already."""
    status, host = error.code, _host(part)
    if status == 416:
        if _content_range(error.headers.get("Content-Range", ""))[1] == part.size:
            return
        part.restart()
        raise _Again(NotReady(f"{host} has another version of the file now", hint="run it again"), 0) from error
    if status in (404, 410):
        raise NotFound(
            f"{part.url} does not exist",
            hint="the distribution may have moved it: give the present address, or put it into images.json",
        )
    if status in (401, 403, 407):
        raise Denied(f"{host} refuses {part.url} (HTTP {status})", hint="check the address and the proxy settings")
    if status == 429:
        raise _Again(Throttled(f"{host} asks to be asked more slowly", hint="try again later"), _retry_after(error))
    if status >= 500 or status == 408:
        raise _Again(NotReady(f"{host} fails with HTTP {status}", hint="try again later"), _retry_after(error))
    raise NotReady(f"{host} answers HTTP {status} for {part.url}", hint="check the address")


def _of_reason(reason: Any, part: Part, patience: Patience) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Denied(
            f"the certificate of {_host(part)} cannot be verified", hint="sudo apt-get install ca-certificates"
        )
    if isinstance(reason, TimeoutError):
        return _Again(_silence(part, patience))
    return _Again(
        NotReady(f"{_host(part)} cannot be reached: {reason}", hint="check the network and the proxy settings")
    )


def _begin(part: Part, response: http.client.HTTPResponse) -> int | None:
    """Decide from the answer whether the part is continued, and return the size of the whole file when it is said."""
    length = response.headers.get("Content-Length")
    if response.status == 206:
        start, total = _content_range(response.headers.get("Content-Range", ""))
        if start == part.size:
            return total
        part.restart()
        raise _Again(NotReady(f"{_host(part)} sent another part than was asked for", hint="run it again"), 0)
    etag = response.headers.get("ETag", "")
    strong = etag if not etag.startswith("W/") else ""  # only a strong one may be used in If-Range
    part.restart(strong or response.headers.get("Last-Modified", ""))
    return int(length) if length is not None and length.isdigit() else None


def _receive(
    part: Part,
    out: BinaryIO,
    response: http.client.HTTPResponse,
    total: int | None,
    clock: Clock,
    patience: Patience,
    progress: Progress,
) -> None:
    since, then = clock.monotonic(), part.size
    while True:
        try:
            block = response.read1(_BLOCK)
        except TimeoutError as error:
            raise _Again(_silence(part, patience)) from error
        except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
            raise _Again(NotReady(f"{_host(part)} broke off: {error}", hint="run it again")) from error
        if not block:
            return
        part.write(out, block)
        progress(part.size, total, "download")
        if clock.monotonic() - since >= patience.window:
            if part.size - then < patience.slowest * patience.window:
                raise _Again(Timeout(f"{_host(part)} is too slow", hint="try again later; what has arrived is kept"))
            since, then = clock.monotonic(), part.size


def _silence(part: Part, patience: Patience) -> Timeout:
    return Timeout(f"{_host(part)} sent nothing for {patience.timeout:g} s", hint="try again; what has arrived is kept")


def _content_range(text: str) -> tuple[int, int | None]:
    """Read `bytes 100-199/1000`; (-1, None) when it is not that."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    start = span.partition("-")[0]
    return (int(start) if start.isdigit() else -1), (int(total) if total.isdigit() else None)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    value = error.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _host(part: Part) -> str:
    return urlsplit(part.url).hostname or part.url
