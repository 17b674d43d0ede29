"""The licence-plate service: what it answers, how many at once, and what it does not take."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from cloudms.workload.service import Desk, Refused, Slots, StoreClient, digest, end, server
from cloudms.workload.store import Store
from cloudms.workload.wire import Wire, address
from tests.unit.workload.conftest import TOKEN, Memory, desk_of, serving

PLATE = "KL-12-AB-3456"


def test_a_plate_becomes_the_salted_hash_that_is_stored(memory: Memory) -> None:
    found = desk_of(memory, rounds=3).answer({"id": "r-1", "plate": PLATE})
    assert found["hash"] == digest(PLATE, found["salt"], 3)
    assert len(found["salt"]) == 32
    assert found == {**memory.answers["r-1"], "repeated": False}
    assert PLATE not in json.dumps(memory.answers)


def test_the_same_plate_has_another_salt_each_time(memory: Memory) -> None:
    desk = desk_of(memory)
    first, second = (desk.answer({"id": ident, "plate": PLATE}) for ident in ("r-1", "r-2"))
    assert first["salt"] != second["salt"]
    assert first["hash"] != second["hash"]


def test_a_repeated_id_gets_the_first_answer_and_no_slot(memory: Memory) -> None:
    desk = desk_of(memory)
    first = desk.answer({"id": "r-1", "plate": PLATE})
    desk.slots.number = 0
    again = desk.answer({"id": "r-1", "plate": PLATE})
    assert again == {**first, "repeated": True}
    assert desk.stats() | {"slots": 2} == {
        "member": "web-1", "slots": 2, "busy": 0, "waiting": 0, "done": 1, "repeated": 1, "refused": 0, "failed": 0,
    }  # fmt: skip


def test_two_members_give_one_answer(memory: Memory) -> None:
    """Both began before either had stored; the first to store wins, and both say the same."""
    other = desk_of(memory)
    late: list[Any] = []
    desk = Desk(
        memory, Slots(1), member="web-2", seconds=1.0,
        hold=lambda _: late.append(other.answer({"id": "r-1", "plate": PLATE})),
    )  # fmt: skip
    found = desk.answer({"id": "r-1", "plate": PLATE})
    assert found == {**late[0], "repeated": True}
    assert (found["member"], found["hash"]) == ("web-1", digest(PLATE, found["salt"], 1))


def test_a_slot_is_held_as_long_as_stated(memory: Memory) -> None:
    seen: list[tuple[float, int]] = []
    desk = desk_of(memory)
    desk._seconds = 0.75
    desk._hold = lambda seconds: seen.append((seconds, desk.slots.busy))
    desk.answer({"id": "r-1", "plate": PLATE})
    assert seen == [(0.75, 1)]
    assert desk.slots.busy == 0


def test_no_more_work_at_once_than_there_are_slots(memory: Memory) -> None:
    most, lock, gate = [0, 0], threading.Lock(), threading.Barrier(2)

    def hold(_seconds: float) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        gate.wait(30)
        with lock:
            most[0] -= 1

    desk = Desk(memory, Slots(2), member="web-1", seconds=1.0, hold=hold)
    threads = [
        threading.Thread(target=desk.answer, args=({"id": f"r-{number}", "plate": PLATE},)) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(memory.answers) == 6
    assert most == [0, 2]


def test_one_id_works_once_at_a_time_however_often_it_is_asked(memory: Memory) -> None:
    began, go = threading.Event(), threading.Event()
    held: list[int] = []

    def hold(_seconds: float) -> None:
        held.append(1)
        began.set()
        assert go.wait(30)

    desk = Desk(memory, Slots(4), member="web-1", seconds=1.0, hold=hold)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(desk.answer({"id": "r-1", "plate": PLATE}))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert began.wait(30)
    go.set()
    for thread in threads:
        thread.join(30)
    assert held == [1]
    assert [found["repeated"] for found in answers].count(False) == 1
    assert len({found["hash"] for found in answers}) == 1


def test_who_finds_no_slot_is_sent_away_and_may_come_again(memory: Memory) -> None:
    slots = Slots(2, queue=6)
    with ExitStack() as inside:
        for _ in range(8):
            inside.enter_context(slots.line(2.0))
        with pytest.raises(Refused) as error, slots.line(2.0):
            pass
        assert (error.value.status, error.value.wait, slots.waiting) == (503, 8.0, 8)
    waiting = Slots(1, queue=5, wait=0.0)
    with waiting.one(), pytest.raises(Refused, match="no slot became free"), waiting.one():
        pass
    assert (waiting.busy, slots.waiting) == (0, 0)


def test_who_is_sent_away_costs_the_store_nothing_and_is_told_when_to_come(memory: Memory) -> None:
    memory.find = lambda ident: 1 / 0  # type: ignore[assignment, return-value]
    desk = Desk(memory, Slots(1, queue=0), member="web-1", seconds=5.0)
    with serving(desk) as url, Wire(address(url), timeout=30) as wire, desk.slots.line(5.0):
        reply = wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE})
        assert (reply.status, reply.wait) == (503, 5.0)
    assert desk.stats()["failed"] == 1


def test_no_more_than_there_are_slots_ask_the_store_at_once(memory: Memory) -> None:
    """A small machine that lets its whole line ask at once gets no answer in time for any of it."""
    most, lock, go = [0, 0], threading.Lock(), threading.Event()

    def find(_ident: str) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
            if most[0] == 2:
                go.set()
        assert go.wait(30)
        with lock:
            most[0] -= 1

    memory.find = find  # type: ignore[method-assign]
    desk = desk_of(memory)
    threads = [threading.Thread(target=desk.answer, args=({"id": f"r-{n}", "plate": PLATE},)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [0, 2]
    assert len(memory.answers) == 12


def test_without_the_store_nothing_is_answered_and_the_slot_is_free_again(memory: Memory) -> None:
    desk = desk_of(memory)
    memory.lost = True
    with pytest.raises(Refused) as error:
        desk.answer({"id": "r-1", "plate": PLATE})
    assert error.value.status == 503
    memory.lost = False
    assert desk.answer({"id": "r-1", "plate": PLATE})["repeated"] is False
    assert (desk.slots.busy, desk.stats()["failed"]) == (0, 1)


@pytest.mark.parametrize(
    "request_",
    [
        {}, {"id": "r-1"}, {"plate": PLATE}, {"id": 5, "plate": PLATE}, {"id": "", "plate": PLATE},
        {"id": "../r", "plate": PLATE}, {"id": "x" * 65, "plate": PLATE}, {"id": "r-1", "plate": "kl-12-ab-3456"},
        {"id": "r-1", "plate": 12}, {"id": "r-1", "plate": "KL-12-AB-3456\n"}, {"id": "r-1\n", "plate": PLATE},
        {"id": "r-1", "plate": None},
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(request_: dict[str, Any], memory: Memory) -> None:
    with pytest.raises(Refused) as error:
        desk_of(memory).answer(request_)
    assert error.value.status == 422
    assert not memory.answers


def raw(url: str, data: bytes) -> bytes:
    """Send bytes and return what comes until the other end closes."""
    to = address(url)
    with socket.create_connection((to.host, to.port), timeout=30) as stream:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: stream.recv(65536), b""))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", b"411"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\n\r\n", b"411"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01", b"400"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nnull", b"400"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", b"400"),
        (b"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b"422"),
        (b"GET /../secret HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"DELETE /plate HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"[" * 65537, b"414"),
    ],
)
def test_whatever_comes_is_answered_and_the_service_goes_on(data: bytes, status: bytes, memory: Memory) -> None:
    with serving(desk_of(memory)) as url:
        reply = raw(url, data)
        assert status in reply[:400]
        assert b"Traceback" not in reply
        with Wire(address(url), timeout=30) as wire:
            assert wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).document["member"] == "web-1"
            assert wire.ask("GET", "/health").status == 200


def test_a_bug_in_one_request_ends_no_other(memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    memory.find = lambda ident: 1 / 0  # type: ignore[assignment, return-value]
    with serving(desk_of(memory)) as url, Wire(address(url), timeout=30) as wire:
        assert wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).status == 500
        assert wire.ask("GET", "/health").status == 200
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_many_requests_go_over_one_connection(memory: Memory) -> None:
    with serving(desk_of(memory)) as url:
        to = address(url)
        connection = http.client.HTTPConnection(to.host, to.port, timeout=30)
        for number in range(3):
            connection.request("POST", "/plate", json.dumps({"id": f"r-{number}", "plate": PLATE}))
            reply = connection.getresponse()
            assert json.loads(reply.read())["id"] == f"r-{number}"
            assert not reply.will_close
        connection.close()


def test_a_service_that_ends_says_so_and_ends_what_it_has(memory: Memory) -> None:
    desk = desk_of(memory)
    with serving(desk) as url, Wire(address(url), timeout=30) as wire:
        desk.ending.set()
        assert wire.ask("GET", "/health").status == 503
        refused = wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE})
        assert (refused.status, refused.wait) == (503, 1.0)
    assert desk.slots.drained(0)


def test_the_settings_of_the_file_make_a_member_of_the_store(store: Store) -> None:
    made = server({"store": store.url, "token": TOKEN, "host": "127.0.0.1", "port": 0, "slots": 3, "member": "web-9"})
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    try:
        with Wire(address(f"http://127.0.0.1:{made.server_port}"), timeout=30) as wire:
            found = wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).document
            assert wire.ask("GET", "/stats").document["slots"] == 3
    finally:
        end(made)
        thread.join()
        made.server_close()
    kept = store.answers.find("r-1")
    assert kept
    assert (kept.hash, kept.member) == (found["hash"], "web-9")


def test_what_is_no_store_is_not_taken_for_one(memory: Memory) -> None:
    with serving(desk_of(memory)) as url, pytest.raises(Refused, match="is no store"):
        StoreClient(url, TOKEN).keep({"id": "r-1"})


def test_a_store_that_refuses_the_token_is_asked_once(store: Store) -> None:
    with pytest.raises(Refused, match="it answers 401"):
        StoreClient(store.url, "another-token", pause=60.0).find("r-1")


def test_a_store_that_is_not_there_is_tried_and_then_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refused, match="the store does not answer"):
            StoreClient(url, TOKEN, tries=3, pause=0.0).find("r-1")
    with pytest.raises(ValueError, match="http://host:port"):
        StoreClient("https://127.0.0.1:1", TOKEN)
