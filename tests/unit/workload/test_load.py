"""A load on a clock that is told to move: when requests are sent, what latency is, and that none is given up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloudms.clock import ManualClock, SystemClock
from cloudms.errors import NoCapacity
from cloudms.workload import profile
from cloudms.workload.ledger import Ledger, Lines, prove
from cloudms.workload.live import Live, bars
from cloudms.workload.load import ClosedLoop, OpenLoop
from cloudms.workload.meter import Latencies, Meter, moment
from cloudms.workload.sending import Halt, Request, Sender, checked
from cloudms.workload.service import digest
from cloudms.workload.wire import Reply

Answers = Callable[[Request], Reply]


def good(request: Request, member: str = "web-1") -> Reply:
    """Return the answer to a request."""
    salt = "ab" * 16
    hashed = digest(request.plate, salt, 1)
    document = {"id": request.id, "salt": salt, "hash": hashed, "rounds": 1, "member": member, "repeated": False}
    return Reply(status=200, document=document)


class Bench:
    """A load, and what it goes to."""

    def __init__(self, clock: ManualClock, answers: Answers, file: Path | None = None, give_up: float = 60.0) -> None:
        self.clock = clock
        self.sent: list[tuple[float, Request]] = []
        self.begun = clock.monotonic()
        self.meter = Meter(10.0)
        self.book = Ledger(file, run="run", url="http://127.0.0.1:8080")
        self.answers = answers
        self.sender = Sender(self.ask, clock=clock, meter=self.meter, ledger=self.book, give_up=give_up)

    def ask(self, request: Request) -> Reply:
        """Note when a request was sent, and answer it."""
        self.sent.append((self.clock.monotonic() - self.begun, request))
        return self.answers(request)

    def open(self, shape: profile.Profile, length: float = 1e9) -> Any:
        """Run an open loop to its end and return the row of all."""
        load = OpenLoop(self.sender, shape, clock=self.clock, run="run", random=Random(1), length=length)
        load.begin()
        load.check()
        self.book.close()
        return self.meter.whole(load.seconds)


def test_requests_are_sent_when_they_are_due(clock: ManualClock) -> None:
    bench = Bench(clock, good)
    row = bench.open(profile.steps("1:3,4:1"))
    assert [at for at, _ in bench.sent] == pytest.approx([1, 2, 3, 3.25, 3.5, 3.75, 4])
    assert len({request.id for _, request in bench.sent}) == 7
    assert (row.sent, row.answered, row.failed, row.open, row.seconds, row.members) == (7, 7, 0, 0, 4, {"web-1": 7})


def test_latency_counts_from_when_a_request_was_due(clock: ManualClock) -> None:
    """The service stands still for ten seconds: who counts from the sending sees one slow request, not ten."""

    def stall(request: Request) -> Reply:
        clock.sleep(10.0 if request.id == "run-000010" else 0.01)
        return good(request)

    row = Bench(clock, stall).open(profile.constant(1, 100))
    assert row.answered == 100
    assert row.slowest == pytest.approx(10.0, abs=0.1)
    assert row.p95 is not None
    assert 4.0 < row.p95 < 6.5
    assert row.p50 is not None
    assert row.p50 < 0.02


def test_a_load_that_fell_behind_catches_up(clock: ManualClock) -> None:
    def once(request: Request) -> Reply:
        clock.sleep(5.0 if request.id == "run-000001" else 0.0)
        return good(request)

    bench = Bench(clock, once)
    assert bench.open(profile.constant(1, 10)).sent == 10
    assert [round(at) for at, _ in bench.sent] == [1, 6, 6, 6, 6, 6, 7, 8, 9, 10]


def test_a_request_is_sent_again_with_its_id_until_it_is_answered(clock: ManualClock, tmp_path: Path) -> None:
    replies = [
        Reply(reason="the connection was refused"), Reply(status=503, reason="503 busy", wait=1.0),
        Reply(reason="no answer in time"), Reply(status=429, reason="429 slower"),
    ]  # fmt: skip

    def flaky(request: Request) -> Reply:
        return replies.pop(0) if replies else good(request)

    bench = Bench(clock, flaky, tmp_path / "ledger")
    row = bench.open(profile.constant(1, 1))
    assert [request.id for _, request in bench.sent] == ["run-000001"] * 5
    waited = [second[0] - first[0] for first, second in pairwise(bench.sent)]
    assert waited == pytest.approx([0.1, 1.0, 0.4, 0.8], rel=0.26)
    assert (row.sent, row.answered, row.retries, row.failed, row.slowest) == (
        1,
        1,
        4,
        0,
        pytest.approx(sum(waited), abs=1e-3),
    )
    assert set(row.reasons) == {"the connection was refused", "503 busy", "no answer in time", "429 slower"}
    lines = Lines(tmp_path / "ledger")
    assert lines.answers["run-000001"][0]["tries"] == 5
    assert prove(lines).good


def test_a_service_that_asks_for_time_gets_it(clock: ManualClock) -> None:
    replies = [Reply(status=503, reason="503 full", wait=12.0), Reply(status=503, reason="503 full", wait=9999.0)]
    bench = Bench(clock, lambda request: replies.pop(0) if replies else good(request), give_up=600.0)
    bench.open(profile.steps("1:1,0:1"))
    assert [second[0] - first[0] for first, second in pairwise(bench.sent)] == pytest.approx([12, 30], rel=0.26)


def test_what_is_never_answered_is_given_up_and_named(clock: ManualClock, tmp_path: Path) -> None:
    bench = Bench(clock, lambda _: Reply(reason="the connection was refused"), tmp_path / "ledger", give_up=5.0)
    row = bench.open(profile.constant(1, 1))
    assert (row.answered, row.failed, row.open) == (0, 1, 0)
    assert 5 <= bench.sent[-1][0] - 1 < 8
    verdict = prove(Lines(tmp_path / "ledger"))
    assert (verdict.good, verdict.failed) == (False, ("run-000001",))


def test_a_refusal_is_not_tried_again(clock: ManualClock) -> None:
    bench = Bench(clock, lambda _: Reply(status=422, reason="422 plate is a licence plate"))
    row = bench.open(profile.constant(1, 2))
    assert (row.failed, row.retries, len(bench.sent)) == (2, 0, 2)


def test_an_answer_to_another_request_is_none(clock: ManualClock) -> None:
    request = Request(id="a-1", plate="KL-12-AB-3456", due=0.0)
    other = good(request.with_(id="a-2"))
    assert checked(request, other) == Reply(reason="what came is no answer to this request")
    for status in (200, 202, 204, 302):
        assert checked(request, Reply(status=status)).status == 0
    assert checked(request, good(request)).status == 200
    assert checked(request, Reply(status=503)).status == 503


def test_users_wait_for_their_answer_and_then_think(clock: ManualClock) -> None:
    def slow(request: Request) -> Reply:
        clock.sleep(2.0)
        return good(request)

    bench = Bench(clock, slow)
    load = ClosedLoop(bench.sender, 1, clock=clock, run="run", random=Random(1), length=10.0, think=0.5)
    load.begin()
    assert [at for at, _ in bench.sent] == pytest.approx([0, 2.5, 5, 7.5])
    row = bench.meter.whole(load.seconds)
    assert (row.answered, row.p50, load.rate(3.0)) == (4, pytest.approx(2.0, rel=0.02), None)


def test_a_load_ends_after_so_many_requests(clock: ManualClock) -> None:
    def slow(request: Request) -> Reply:
        clock.sleep(0.5)
        return good(request)

    bench = Bench(clock, slow)
    load = ClosedLoop(bench.sender, 3, clock=clock, run="run", random=Random(1), number=7)
    load.begin()
    row = bench.meter.whole(load.seconds)
    assert (row.sent, row.answered, row.seconds) == (7, 7, 3.5)
    even = Bench(clock, good)
    evenly = OpenLoop(even.sender, profile.constant(10), clock=clock, run="run", random=Random(1), number=25)
    evenly.begin()
    assert (even.meter.whole(0).sent, evenly.seconds) == (25, pytest.approx(2.5))


def test_the_same_number_gives_the_same_plates(clock: ManualClock) -> None:
    plates = []
    for _ in range(2):
        bench = Bench(clock, good)
        bench.open(profile.constant(1, 5))
        plates.append([request.plate for _, request in bench.sent])
    assert plates[0] == plates[1]


def test_a_ledger_that_cannot_be_written_ends_the_load(clock: ManualClock, tmp_path: Path) -> None:
    bench = Bench(clock, good, tmp_path / "ledger")

    def full(*_: object) -> None:
        raise NoCapacity("the ledger cannot be written: no space")

    bench.book.sent = full  # type: ignore[method-assign]
    load = OpenLoop(bench.sender, profile.constant(1, 100), clock=clock, run="run", random=Random(1))
    load.begin()
    assert load.ended.is_set()
    with pytest.raises(NoCapacity):
        load.check()
    assert not bench.sent


def test_in_the_background_requests_do_not_wait_for_one_another() -> None:
    """Twenty at once, each of which waits for all others: one after the other they would never end."""
    import threading

    gate = threading.Barrier(20)

    def together(request: Request) -> Reply:
        gate.wait(30)
        return good(request)

    clock = SystemClock()
    meter = Meter(10.0)
    book = Ledger(None, run="run", url="")
    sender = Sender(together, clock=clock, meter=meter, ledger=book, give_up=1.0)
    load = OpenLoop(sender, profile.constant(10_000, 0.002), clock=clock, run="run", random=Random(1), width=32)
    load.begin()
    assert load.ended.wait(60)
    load.check()
    row = meter.whole(load.seconds)
    assert (row.sent, row.answered, row.open) == (20, 20, 0)


def test_a_load_that_is_stopped_ends_what_is_on_its_way_and_begins_nothing(clock: ManualClock) -> None:
    bench = Bench(clock, good)
    load = OpenLoop(bench.sender, profile.constant(1), clock=clock, run="run", random=Random(1))
    bench.answers = lambda request: (load.stop() if request.id == "run-000003" else None, good(request))[1]
    load.begin()
    row = bench.meter.whole(load.seconds)
    assert (row.sent, row.answered, load.problem) == (3, 3, None)


def test_a_load_that_is_abandoned_tries_no_more(clock: ManualClock) -> None:
    bench = Bench(clock, good)
    load = OpenLoop(bench.sender, profile.constant(1), clock=clock, run="run", random=Random(1))
    bench.answers = lambda _: (load.abandon(), Reply(reason="the connection was closed"))[1]
    load.begin()
    row = bench.meter.whole(load.seconds)
    assert (row.sent, row.failed, row.retries, len(bench.sent)) == (1, 1, 0, 1)


def test_rows_tell_each_interval_and_all(clock: ManualClock) -> None:
    def lazy(request: Request) -> Reply:
        clock.sleep(0.5)
        return good(request, "web-2" if request.due > 10 else "web-1")

    bench = Bench(clock, lazy)
    row = bench.open(profile.steps("1:10,0:10,1:10"))
    rows = list(bench.meter.rows(31, bench_rate := profile.steps("1:10,0:10,1:10").rate))
    assert [(each.name, each.rate, each.sent) for each in rows] == [("0:10", 1, 10), ("0:20", 0, 0), ("0:30", 1, 10)]
    assert [each.members for each in rows] == [{"web-1": 9}, {"web-1": 1}, {"web-2": 9}]
    assert list(bench.meter.rows(31, bench_rate)) == []
    assert (row.sent, row.answered, row.p50) == (20, 20, pytest.approx(0.5, rel=0.02))


def test_quantiles_are_right_to_two_percent() -> None:
    found = Latencies()
    assert found.quantile(0.5) is None
    values = [number / 1000 for number in range(1, 10_001)]
    for value in values:
        found.add(value)
    for share in (0.001, 0.5, 0.95, 0.99, 1.0):
        exact = values[max(round(share * len(values)) - 1, 0)]
        assert exact <= (found.quantile(share) or 0) * 1.0001 <= exact * 1.021
    tiny = Latencies()
    tiny.add(0.0)
    tiny.add(-1.0)
    assert tiny.quantile(0.99) == 0.0


def test_the_line_of_now(clock: ManualClock) -> None:
    meter = Meter(5.0)
    live = Live(meter)
    for second in range(1, 4):
        for _ in range(second * 10):
            meter.sent(second)
            meter.answered(second, 0.25, "web-1")
        meter.sent(second)
        shown = live.line(second, 5.0)
    assert shown == "0:03  5.0/s asked  30.0/s answered ▃▆█  3 open  p95 0.25 s"
    assert bars([0, 0]) == "▁▁"
    assert [moment(seconds) for seconds in (5, 750, 3600)] == ["0:05", "12:30", "1:00:00"]


def test_a_halt_lets_nobody_wait(clock: ManualClock) -> None:
    halt = Halt(clock)
    assert halt.wait(3) is False
    halt.stop()
    assert halt.wait(3600) is True
    assert clock.slept == [3]
    real = Halt(SystemClock())
    real.stop()
    assert real.wait(3600) is True
