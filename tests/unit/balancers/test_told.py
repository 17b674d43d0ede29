"""What HAProxy says, read: members, latency and errors of answers that are known."""

from __future__ import annotations

import pytest

from cloudms.balancers.book import Entry
from cloudms.balancers.haproxy import told

COLUMNS = (
    "pxname,svname,qcur,scur,stot,wretr,wredis,status,type,check_status,check_code,last_chk,hrsp_2xx,hrsp_4xx,hrsp_5xx,"
    "req_rate,req_tot,ttime"
)
TABLE = f"""\
# {COLUMNS},
requests,FRONTEND,,3,,,,OPEN,0,,,,,,,12,345,,
members,s1,1,2,300,1,2,UP,2,L7OK,200,,290,5,5,,,25,
members,s2,0,0,45,0,0,DOWN,2,L7STS,503,Service Unavailable,45,0,0,,,7,
members,s3,0,1,0,0,0,DRAIN,2,L4CON,,Connection refused,0,0,0,,,0,
members,s4,0,0,0,0,0,DOWN (agent),2,* L4CON,,Connection refused,0,0,0,,,0,
members,s5,0,0,0,0,0,MAINT,2,,,,0,0,0,,,0,
second,FRONTEND,,9,,,,OPEN,0,,,,,,,5,400,,
first,second,0,9,400,0,0,no check,2,,,,345,0,0,,,20,
members,BACKEND,4,7,345,,,UP,1,,,,,,,,,,

"""
NOW = 1_700_000_000.0


def entry(place: int, wanted: str = "ready") -> Entry:
    """Return a member in a slot."""
    return Entry(name=f"m{place}", host="127.0.0.1", port=9000 + place, slots=4, wanted=wanted, place=place)


def line(before: float, status: int = 200, ms: int = 10, retries: str = "0") -> str:
    """Return a line of the log, written some seconds before now."""
    return f"{round((NOW - before) * 1000)} {status} {ms} {retries}"


@pytest.mark.parametrize(
    ("place", "wanted", "status", "check"),
    [
        (1, "ready", "ready", "ok"),
        (1, "draining", "draining", "ok"),
        (1, "added", "added", "ok"),
        (2, "ready", "down", "it answered with status 503"),
        (3, "draining", "draining", "no connection: Connection refused"),
        (4, "ready", "down", "no connection: Connection refused"),
        (5, "ready", "down", "unknown"),
        (9, "added", "added", "unknown"),
    ],
)
def test_a_member_is_what_is_wanted_and_what_its_check_says(place: int, wanted: str, status: str, check: str) -> None:
    rows = told.table(TABLE)
    found = told.server("web", entry(place, wanted), rows.slots.get(place, {}))
    assert (found.name, found.status, found.check) == (f"m{place}", status, check)


def test_a_member_has_its_numbers() -> None:
    found = told.server("web", entry(1), told.table(TABLE).slots[1])
    assert (found.sessions, found.queue, found.requests, found.errors, found.retries) == (2, 1, 300, 5, 3)
    assert found.latency == 0.025
    assert told.server("web", entry(3), told.table(TABLE).slots[3]).latency is None
    assert found.key == "web/m1"


def test_answers_of_the_window_are_reckoned() -> None:
    lines = [
        line(30, ms=9000), line(9, ms=10), "Server members/s1 is UP, reason: …", line(8, ms=20),
        line(7, ms=30, retries="+1"), line(6, status=503, ms=40), line(5, status=-1, ms=50),
        "", "12 34", "1 2 3 4 5",
    ]  # fmt: skip
    rows = told.table(TABLE)
    stats = told.stats([told.server("web", entry(1), rows.slots[1])], rows, "\n".join(lines), NOW, 10.0)
    assert (stats.window, stats.requests, stats.rate, stats.queue, stats.sessions) == (10.0, 345, 12.0, 7, 3)
    assert (stats.p50, stats.p95, stats.mean) == (0.02, 0.04, 0.025)
    assert (stats.answered, stats.errors, stats.retries) == (0.4, 20.0, 1)
    assert (stats.slots, stats.busy) == (4, 50.0)


def test_without_answers_nothing_is_made_up() -> None:
    stats = told.stats([], told.table(TABLE), line(11), NOW, 10.0)
    assert (stats.p50, stats.p95, stats.mean, stats.answered, stats.errors, stats.busy) == (
        None,
        None,
        None,
        0.0,
        0.0,
        None,
    )


def test_a_log_that_has_forgotten_is_reckoned_over_what_it_remembers() -> None:
    lines = [line(4 - number / 2500) for number in range(10_000)]
    stats = told.stats([], told.table(TABLE), "\n".join(lines), NOW, 10.0)
    assert stats.window == pytest.approx(4.0, abs=0.001)
    assert stats.answered == pytest.approx(2500, rel=0.01)
    short = told.stats([], told.table(TABLE), "\n".join(lines[:100]), NOW, 10.0)
    assert short.window == 10.0, "a short log has forgotten nothing: there were no requests before"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5.0], 50, 5.0), ([5.0], 95, 5.0), ([1.0, 2.0], 50, 1.0), ([1.0, 2.0, 3.0], 50, 2.0),
     (list(range(1, 101)), 95, 95), (list(range(1, 21)), 95, 19), ([1.0, 2.0], 0, 1.0), ([1.0, 2.0], 100, 2.0)],
)  # fmt: skip
def test_percentiles_are_values_that_were_measured(values: list[float], percent: float, expected: float) -> None:
    assert told.percentile(values, percent) == expected
