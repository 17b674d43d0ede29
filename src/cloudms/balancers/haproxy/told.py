"""What HAProxy tells, read: its table of statistics, and the log of its last answers.

A line of that log is `<ms since the epoch> <status> <ms from request to answer> <retries>`, as `conf` has it written.
What else stands there (sentences about members that come and go) is left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cloudms.balancers.base import Server, Stats
from cloudms.balancers.book import Entry
from cloudms.balancers.haproxy.conf import BACK, FRONT, SECOND, SLOT

_LINE = re.compile(r"(\d+) (-?\d+) (-?\d+) \+?(\d+)", re.ASCII)
_CHECKS = {
    "UNK": "unknown", "INI": "unknown", "SOCKERR": "no socket for it", "L4OK": "ok", "L4TOUT": "no connection in time",
    "L4CON": "no connection", "L6OK": "ok", "L7OK": "ok", "L7OKC": "ok", "L7TOUT": "no answer in time",
    "L7RSP": "no answer that could be read", "L7STS": "it answered with status",
}  # fmt: skip

_SLOT = re.compile(rf"{SLOT}(\d+)", re.ASCII)

Row = Mapping[str, str]


class Table(NamedTuple):
    """The table of statistics: the front, the second pass, the back, and the slots by their place."""

    front: Row
    second: Row
    back: Row
    slots: Mapping[int, Row]


def table(text: str) -> Table:
    """Read `show stat`."""
    rows = list(csv.DictReader(text.lstrip("# \n").splitlines()))
    slots = {int(found[1]): row for row in rows if row["type"] == "2" and (found := _SLOT.fullmatch(row["svname"]))}
    by_name = {(row["pxname"], row["type"]): row for row in rows if row["type"] in "01"}
    return Table(by_name.get((FRONT, "0"), {}), by_name.get((SECOND, "0"), {}), by_name.get((BACK, "1"), {}), slots)


def number(row: Row, name: str) -> int:
    """Return a count of the table, 0 where it is empty."""
    return int(row.get(name) or 0)


def server(balancer: str, entry: Entry, row: Row) -> Server:
    """Return a member as the table tells of its slot."""
    up = row.get("status", "").startswith(("UP", "no check", "DRAIN"))
    status = entry.wanted if entry.wanted != "ready" or up else "down"
    counted = {name: max(0, count - entry.before.get(name, 0)) for name, count in counts(row).items()}
    return Server(
        name=entry.name, balancer=balancer, host=entry.host, port=entry.port, slots=entry.slots, status=status,
        check=check(row, up=up), sessions=number(row, "scur"), queue=number(row, "qcur"),
        requests=counted["requests"], errors=counted["errors"], retries=counted["retries"],
        latency=number(row, "ttime") / 1000.0 if counted["answered"] else None,
    )  # fmt: skip


def counts(row: Row) -> dict[str, int]:
    """Return what was counted in a slot since the process was started, whoever was there."""
    return {
        "requests": number(row, "stot"), "errors": number(row, "hrsp_5xx"),
        "answered": sum(number(row, f"hrsp_{kind}xx") for kind in range(2, 6)),
        "retries": number(row, "wretr") + number(row, "wredis"),
    }  # fmt: skip


def check(row: Row, *, up: bool) -> str:
    """Return in words how the check of a member ended."""
    word = row.get("check_status", "").removeprefix("* ")
    told = _CHECKS.get(word, word or "unknown")
    if told in ("ok", "unknown"):
        return told if up or told == "unknown" else "not passed yet"
    more = row.get("check_code", "") if word == "L7STS" else row.get("last_chk", "")
    return f"{told} {more}".strip() if word == "L7STS" else f"{told}: {more}" if more else told


class Answer(NamedTuple):
    """An answer: when it was given (epoch seconds), its status, seconds since the request, whether it was retried."""

    at: float
    status: int
    seconds: float
    retried: bool


def answers(text: str, since: float) -> tuple[list[Answer], float | None]:
    """Return the answers given after `since` (epoch seconds), and when the oldest one of the log was given."""
    found = [match for line in text.splitlines() if (match := _LINE.fullmatch(line))]
    oldest = int(found[0][1]) / 1000.0 if found else None
    given = (Answer(int(m[1]) / 1000.0, int(m[2]), max(0, int(m[3])) / 1000.0, m[4] != "0") for m in found)
    return [answer for answer in given if answer.at > since], oldest


def stats(servers: Sequence[Server], rows: Table, log: str, now: float, window: float) -> Stats:
    """Return the statistics of a balancer. Parameters: `now` (epoch seconds), `window` (seconds)."""
    given, oldest = answers(log, now - window)
    full = oldest is not None and len(log) > _FULL and oldest > now - window
    span = max(now - oldest, 0.001) if full and oldest is not None else window
    times = sorted(answer.seconds for answer in given if answer.status > 0)
    measured: dict[str, Any] = {}
    if times:
        measured = {"mean": sum(times) / len(times), "p50": percentile(times, 50), "p95": percentile(times, 95)}
    held = max(0, number(rows.second, "scur") - number(rows.back, "scur"))  # they wait for a member, not yet for a slot
    queue = held + number(rows.back, "qcur") + sum(server.queue for server in servers)
    return Stats(
        at=now, window=span, requests=number(rows.front, "req_tot"), rate=float(number(rows.front, "req_rate")),
        answered=len(times) / span, queue=queue,
        sessions=sum(number(row, "scur") for row in rows.slots.values()), servers=tuple(servers),
        errors=100.0 * sum(answer.status >= 500 for answer in given) / len(given) if given else 0.0,
        retries=sum(answer.retried for answer in given), **measured,
    )  # fmt: skip


_FULL = 200_000
"""Letters of a log that has begun to forget its oldest lines, at the least."""


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile (nearest rank) of values in order, of which there is one at least."""
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
