"""A server that answers DescribeImages and DescribeInstances as fast as a socket takes it: for speed, not behaviour.

    python -m tests.aws.replay --images 100000 --calendar even --sleep 0.5

It prints its port and serves until it is told to end. The XML of every image is made once; a page is a slice of it. It
honours MaxResults, NextToken, owners, and the filters creation-date (with wildcards), architecture, name and image-id.
Faults and pauses are set over `/control` (JSON), what was asked is counted at `/stats`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.aws.replay_rows import Image, image_xml, instance_xml

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_ZEROS = dict.fromkeys(map(ord, "123456789"), "0")
TODAY = datetime(2026, 11, 20, tzinfo=UTC)
"""When the newest images of a calendar were made."""


def calendar(kind: str, count: int, seed: int = 1) -> list[str]:
    """Return creation dates: `even` over five years, or `skewed` (60 % in the last year, 20 % in one month of it)."""
    dice = random.Random(seed)
    dates = []
    for number in range(count):
        part = number / count
        if kind == "even":
            days = 1825 * part
        elif part < 0.2:
            days = 60 + 30 * dice.random()
        elif part < 0.6:
            days = 365 * dice.random()
        else:
            days = 365 + 3285 * dice.random()
        made = TODAY - timedelta(days=days, seconds=dice.random() * 86400)
        dates.append(f"{made:%Y-%m-%dT%H:%M:%S}.{dice.choice(('000', made.strftime('%f')[:3]))}Z")
    return dates


def images(count: int, kind: str = "even", seed: int = 1) -> list[Image]:
    """Return that many images in no order."""
    made = [Image.numbered(number, date) for number, date in enumerate(calendar(kind, count, seed))]
    random.Random(seed).shuffle(made)
    return made


class Replay:
    """The rows and the answers made of them.

    `sleep` is how long each page takes, in seconds; `faults` maps the number of a request (from 1), or a text that
    occurs in its body, to what happens instead: throttle, broken (500), cut (half the XML), close, html.
    """

    def __init__(self, rows: Iterable[Image] = (), instances: int = 0, *, sleep: float = 0.0) -> None:
        self.sleep = sleep
        self.faults: dict[str, str] = {}
        self.wildcards = "all"  # or "prefix", "none": as much as a poorer EC2 understands of creation-date
        self.requests = self.busy = self.busiest = 0
        self.images: list[Image] = []
        self._xml: list[bytes] = []
        self._seconds: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        self._forms: dict[str, list[int]] = {}  # dates with every digit a 0
        self._dates: list[tuple[str, int]] = []
        self._found: dict[str, list[int]] = {}
        self.set_images(list(rows))
        self._instances = [instance_xml(number) for number in range(instances)]

    def set_images(self, rows: list[Image]) -> None:
        """Serve these images from now on."""
        self.images, self._xml = rows, [image_xml(row) for row in rows]
        self._found, self._seconds, self._ends, self._forms = {}, {}, {}, {}
        self._dates = sorted((row.created, nth) for nth, row in enumerate(rows))
        for nth, row in enumerate(rows):
            self._seconds.setdefault(row.created[16:20], []).append(nth)
            self._forms.setdefault(row.created.translate(_ZEROS), []).append(nth)
            for size in (1, 2, 4):
                self._ends.setdefault(row.created[-size:], []).append(nth)

    def fault(self, body: str) -> str:
        """Return what is to go wrong with the request that has just come, or nothing."""
        by_number = self.faults.get(str(self.requests), "")
        return by_number or next(
            (what for text, what in self.faults.items() if not text.isdigit() and text in body), ""
        )

    def answer(self, asked: Mapping[str, str]) -> bytes:
        """Return the XML of one page."""
        start = int(asked.get("NextToken") or 0)
        size = int(asked.get("MaxResults") or 0) or 10**9
        if asked["Action"] == "DescribeInstances":
            rows, total = self._instances[start : start + size], len(self._instances)
            return _document("DescribeInstances", "reservationSet", rows, start + size, total)
        found = self._chosen(asked)
        rows = [self._xml[nth] for nth in found[start : start + size]]
        return _document("DescribeImages", "imagesSet", rows, start + size, len(found))

    def _chosen(self, asked: Mapping[str, str]) -> list[int]:
        """Return which images a request means; the same question is answered from memory."""
        key = json.dumps(sorted((k, v) for k, v in asked.items() if k.startswith(("Owner", "Filter", "ImageId"))))
        if key not in self._found:
            self._found[key] = self._choose(asked)
        return self._found[key]

    def _choose(self, asked: Mapping[str, str]) -> list[int]:
        filters = _filters(asked)
        dates = filters.pop("creation-date", None)
        found = range(len(self.images)) if dates is None else sorted(self._dated(dates))
        owners = {value for key, value in asked.items() if key.startswith("Owner.")}
        ids = {value for key, value in asked.items() if key.startswith("ImageId.")} | set(filters.pop("image-id", ()))
        tests: list[Callable[[Image], bool]] = []
        if owners:
            tests.append(lambda row: bool(owners & {row.owner, row.alias}))
        if ids:
            tests.append(lambda row: row.id in ids)
        for name, patterns in filters.items():
            field = {"architecture": "arch", "name": "name", "state": "state"}[name]
            test = _pattern(patterns)
            tests.append(lambda row, field=field, test=test: bool(test(getattr(row, field))))  # type: ignore[misc]
        return [nth for nth in found if all(test(self.images[nth]) for test in tests)]

    def _dated(self, patterns: list[str]) -> set[int]:
        """Return the images of these dates, by an index where the pattern is of a common kind."""
        found: set[int] = set()
        slow = []
        for pattern in patterns:
            if self.wildcards == "none" and "*" in pattern:
                continue
            if pattern.endswith("*") and "*" not in pattern[:-1]:
                first = bisect_left(self._dates, (pattern[:-1],))
                last = bisect_left(self._dates, (pattern[:-1] + "\uffff",))
                found.update(nth for _, nth in self._dates[first:last])
            elif self.wildcards == "prefix" and "*" in pattern:
                continue
            elif re.fullmatch(r"\*:\d\d\.\*", pattern):
                found.update(self._seconds.get(pattern[1:5], ()))
            elif re.fullmatch(r"\*([^*?\\]{1,2}|[^*?\\]{4})", pattern):
                found.update(self._ends.get(pattern[1:], ()))
            elif not re.search(r"[\d\\]", pattern):
                test = _pattern([pattern])
                found.update(nth for form, some in self._forms.items() if test(form) for nth in some)
            else:
                slow.append(pattern)
        if slow:
            test = _pattern(slow)
            found.update(nth for date, nth in self._dates if test(date))
        return found


def _pattern(patterns: list[str]) -> Callable[[str], Any]:
    """Return what matches any of EC2's patterns: * is any text, ? one character, a backslash takes their meaning."""
    parts = []
    for pattern in patterns:
        pieces = re.findall(r"\\.|\*|\?|[^\\*?]+", pattern)
        meaning = {"*": ".*", "?": ".?"}
        parts.append("".join(meaning.get(p) or re.escape(p[1:] if p.startswith("\\") else p) for p in pieces))
    return re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL).fullmatch


def _filters(asked: Mapping[str, str]) -> dict[str, list[str]]:
    names = {key.split(".")[1]: value for key, value in asked.items() if re.fullmatch(r"Filter\.\d+\.Name", key)}
    found: dict[str, list[str]] = {}
    for number, name in names.items():
        values = (value for key, value in asked.items() if key.startswith(f"Filter.{number}.Value."))
        found[name] = list(values)
    return found


def _document(operation: str, rows_are: str, rows: list[bytes], following: int, total: int) -> bytes:
    token = b"  <nextToken>%d</nextToken>\n" % following if following < total else b""
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{operation}Response xmlns="{NAMESPACE}">\n'
    head += f"  <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>\n  <{rows_are}>\n"
    return head.encode() + b"".join(rows) + f"  </{rows_are}>\n".encode() + token + f"</{operation}Response>".encode()


def _error(code: str, text: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message>'
        "</Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>"
    ).encode()


class _Connection(asyncio.Protocol):
    """One connection: requests are read one after another, each answered when its page has taken its time."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        self.buffer = rest[size:]
        self.take(head.split(b" ", 2)[1].decode(), rest[:size].decode())

    def take(self, path: str, body: str) -> None:
        replay = self.replay
        if path == "/control":
            for name, value in json.loads(body).items():
                setattr(replay, name, value)
            return self.send(b"{}", "200 OK")
        if path == "/stats":
            facts = {"requests": replay.requests, "busiest": replay.busiest}
            replay.requests = replay.busiest = 0
            return self.send(json.dumps(facts).encode(), "200 OK")
        replay.requests += 1
        replay.busy += 1
        replay.busiest = max(replay.busiest, replay.busy)
        status, answer = self.answered(dict(parse_qsl(body, keep_blank_values=True)), replay.fault(body))
        loop = asyncio.get_running_loop()
        loop.call_later(replay.sleep, self.done, status, answer)
        return None

    def answered(self, asked: dict[str, str], fault: str) -> tuple[str, bytes]:
        if fault == "throttle":
            return "503 Service Unavailable", _error("RequestLimitExceeded", "Request limit exceeded.")
        if fault == "denied":
            return "403 Forbidden", _error("UnauthorizedOperation", "You are not authorized.")
        if fault == "broken":
            return "500 Internal Server Error", _error("InternalError", "An internal error has occurred")
        if fault == "html":
            return "200 OK", b"<html><body>Welcome to the hotel</body></html>"
        page = self.replay.answer(asked)
        return ("", b"") if fault == "close" else ("200 OK", page[: len(page) // 2] if fault == "cut" else page)

    def done(self, status: str, answer: bytes) -> None:
        self.replay.busy -= 1
        if status:
            self.send(answer, status)
        else:
            self.transport.close()

    def send(self, answer: bytes, status: str) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/xml;charset=UTF-8\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.write(answer)


class Server:
    """A replay in a thread of this process, for tests."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="replay", daemon=True)

    @property
    def url(self) -> str:
        """Return where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        """Serve."""
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        serving = self._loop.run_until_complete(listen(self.replay, 0))
        self.port = serving.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        serving.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


async def listen(replay: Replay, port: int) -> asyncio.Server:
    """Serve a replay on a port of this machine (0: any free one)."""
    return await asyncio.get_running_loop().create_server(lambda: _Connection(replay), "127.0.0.1", port)


async def _main(options: argparse.Namespace) -> None:
    replay = Replay(images(options.images, options.calendar), options.instances, sleep=options.sleep)
    server = await listen(replay, options.port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> int:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--instances", type=int, default=0)
    parser.add_argument("--calendar", choices=("even", "skewed"), default="even")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds that a page takes")
    parser.add_argument("--port", type=int, default=0)
    try:
        asyncio.run(_main(parser.parse_args()))
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
