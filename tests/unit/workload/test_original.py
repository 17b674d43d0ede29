"""What the original autoscaler's service and client did wrong, and these do not.

There a request was one message on a connection of its own, the result came back on another, and a virtual machine was
known by its address: a request whose machine died was lost for ever, a result from an address that was not known ended
the thread that received results, connecting to a machine that did not answer held a lock over everything for three
seconds, and a word in the place of a number ended the thread that read the console.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cloudms.clock import ManualClock, SystemClock
from cloudms.doors.cli import main
from cloudms.workload import profile
from cloudms.workload.ledger import Ledger, Lines, prove
from cloudms.workload.load import OpenLoop
from cloudms.workload.meter import Meter
from cloudms.workload.sending import Aim, Request, Sender
from cloudms.workload.service import Desk, Slots, StoreClient
from cloudms.workload.store import Store, answers_of
from cloudms.workload.wire import Reply, Wire, address
from tests.unit.workload.conftest import TOKEN, Memory, answer, desk_of, serving

PLATE = "KL-12-AB-3456"


class Members:
    """Two members behind one address; the first dies with the third request in its slot, as by kill -9."""

    def __init__(self, store: StoreClient, *, after_storing: bool) -> None:
        self.first = Desk(store, Slots(1), member="vm-1")
        self.second = Desk(store, Slots(1), member="vm-2")
        self.after_storing = after_storing
        self.died: list[str] = []

    def __call__(self, request: Request) -> Reply:
        """Answer by the first member while it lives."""
        document = {"id": request.id, "plate": request.plate}
        if self.died:
            return Reply(status=200, document=self.second.answer(document))
        if request.id.endswith("003"):
            self.died.append(request.id)
            if self.after_storing:
                self.first.answer(document)  # it had stored, and died before it could answer
            return Reply(reason="the connection was closed")
        return Reply(status=200, document=self.first.answer(document))


@pytest.mark.parametrize("after_storing", [False, True])
def test_the_request_of_a_member_that_dies_is_answered_by_another(
    after_storing: bool, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    """Defect 3: a VM dying while busy lost its request; 3 were sent and 2 answered."""
    members = Members(StoreClient(store.url, TOKEN), after_storing=after_storing)
    book = Ledger(tmp_path / "ledger", run="aa", url="")
    meter = Meter(10.0)
    sender = Sender(members, clock=clock, meter=meter, ledger=book, give_up=60.0)
    load = OpenLoop(sender, profile.constant(1, 6), clock=clock, run="aa", random=Random(1))
    load.begin()
    load.check()
    book.close()
    verdict = prove(Lines(tmp_path / "ledger"), answers_of(store.url, TOKEN, "aa-"))
    assert (verdict.good, verdict.sent, verdict.answered, verdict.stored) == (True, 6, 6, 6)
    assert members.died == ["aa-000003"]
    kept = store.answers.find("aa-000003")
    assert kept
    assert kept.member == ("vm-1" if after_storing else "vm-2")
    assert verdict.members == {"vm-1": 3, "vm-2": 3} if after_storing else {"vm-1": 2, "vm-2": 4}


def test_a_dead_member_is_used_again_when_it_is_back(store: Store) -> None:
    """Defect 3: the slot of a VM that died stayed busy for ever. Here one that is started anew has all."""
    for _life in range(2):
        desk = Desk(StoreClient(store.url, TOKEN), Slots(1), member="vm-1")
        with serving(desk) as url, Wire(address(url), timeout=30) as wire:
            assert wire.ask("GET", "/stats").document["busy"] == 0
            assert wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).status == 200
    assert store.answers.counts() == {"answers": 1, "tries": 1}


def test_results_that_nobody_asked_for_end_nothing(store: Store) -> None:
    """Defect 4: one result from an unknown address killed the receiver; 4 were sent and 3 answered."""
    strange: list[Any] = [
        answer("never-asked", "10.9.9.9").to_document(), {"id": "r"}, [], "KL-12-AB-3456", {"member": "unknown"},
        {**answer("r-0").to_document(), "hash": "sha256:salt"},
    ]  # fmt: skip
    with Wire(address(store.url), timeout=30, headers={"Authorization": f"Bearer {TOKEN}"}) as wire:
        statuses = [wire.ask("POST", "/answers", document).status for document in strange]
    assert statuses == [200, 422, 400, 400, 422, 422]
    with socket.create_connection((store.host, store.port), timeout=30) as stream:
        stream.sendall(b"3f2a9c:91\n")  # the original's own message
    client = StoreClient(store.url, TOKEN)
    for number in range(4):
        assert client.keep(answer(f"r-{number}").to_document())["id"] == f"r-{number}"


def test_an_answer_to_something_else_ends_nothing_and_is_not_taken(clock: ManualClock, tmp_path: Path) -> None:
    """Defect 4, seen from the client: the wrong answer is refused, the request sent again, the load goes on."""
    wrong = [{}, {"id": "someone-else", "hash": "ab"}, {"hash": "ab"}, {"id": 7}]
    desk = desk_of(Memory())

    class Wire_:  # noqa: N801 (stands for a connection)
        def ask(self, _method: str, _path: str, document: Any) -> Reply:
            return Reply(status=200, document=wrong.pop() if wrong else desk.answer(document))

    aim = Aim(address("http://127.0.0.1:1"), "plate", 1.0)
    aim._kept.wire = Wire_()
    book = Ledger(tmp_path / "ledger", run="aa", url="")
    sender = Sender(aim, clock=clock, meter=Meter(10.0), ledger=book, give_up=60.0)
    load = OpenLoop(sender, profile.constant(1, 4), clock=clock, run="aa", random=Random(1))
    load.begin()
    load.check()
    assert not wrong
    assert prove(Lines(tmp_path / "ledger")).answered == 4


def test_a_member_that_does_not_answer_holds_up_no_other() -> None:
    """Defect 7: connecting took three seconds under a lock over everything. Here twenty wait and one is answered."""
    hanging, go = threading.Event(), threading.Event()
    answered: list[str] = []

    def ask(request: Request) -> Reply:
        if not request.id.endswith("000020"):
            hanging.set()
            assert go.wait(60)
        else:
            answered.append(request.id)
            go.set()
        return Reply(status=200, document={"id": request.id})

    clock = SystemClock()
    book = Ledger(None, run="aa", url="")
    sender = Sender(ask, clock=clock, meter=Meter(10.0), ledger=book, give_up=1.0)
    load = OpenLoop(sender, profile.constant(10_000, 0.002), clock=clock, run="aa", random=Random(1), width=20)
    load.begin()
    assert load.ended.wait(60)
    assert hanging.is_set()
    assert answered == ["aa-000020"]


def test_a_store_that_does_not_answer_one_member_holds_up_no_other_request() -> None:
    """Defect 7, inside the service: a slow call to the store holds its own slot and nothing else."""
    began, go = threading.Event(), threading.Event()
    memory = Memory()
    find = memory.find

    def slow(ident: str) -> dict[str, Any] | None:
        if ident == "r-slow":
            began.set()
            assert go.wait(60)
        return find(ident)

    memory.find = slow  # type: ignore[method-assign]

    def ask_slowly(url: str) -> None:
        with Wire(address(url), timeout=60) as wire:
            wire.ask("POST", "/plate", {"id": "r-slow", "plate": PLATE})

    with serving(desk_of(memory, slots=1)) as url:
        thread = threading.Thread(target=ask_slowly, args=(url,))
        thread.start()
        assert began.wait(60)
        with Wire(address(url), timeout=60) as wire:
            assert wire.ask("GET", "/health").status == 200
            assert wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).status == 200
        go.set()
        thread.join(60)
    assert set(memory.answers) == {"r-1", "r-slow"}


@pytest.mark.parametrize(
    "words",
    [
        ["--delta", "abc"], ["--delta", ""], ["--delta", "0"], ["--delta", "-1"], ["--delta", "nan"],
        ["--delta", "inf"],
        ["--rate", "many"], ["--rate", "-5"], ["--rate", "nan"], ["--rate", "1e99"], ["--closed", "two"],
        ["--closed", "0"], ["--steps", "terminate"], ["--ramp", "1"], ["--day", ":"], ["--for", "soon"],
        ["--timeout", "x"], ["--timeout", "0"], ["--every", "nan"], ["--width", "0"], ["--seed", "x"],
        ["--rate", "1", "--steps", "1:1"], ["--as", "plates"], ["--give-up", "-1"], ["--count", "0"],
        ["--count", "all"],
    ],
)  # fmt: skip
def test_a_word_in_the_place_of_a_number_is_one_clear_line(
    words: list[str], own_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Defect 7: a word where the original asked for delta ended the thread that read it."""
    assert main(["load", "run", "--url", "http://127.0.0.1:1", *words]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) <= 2
    assert "Traceback" not in told.err


@pytest.mark.parametrize("delta", ["abc", None, "1;2", [], {}])
def test_a_word_in_the_place_of_a_number_ends_no_member(delta: Any) -> None:
    with serving(desk_of(Memory())) as url, Wire(address(url), timeout=30) as wire:
        assert wire.ask("POST", "/plate", {"id": delta, "plate": json.dumps(delta)}).status == 422
        assert wire.ask("POST", "/plate", {"id": "r-1", "plate": PLATE}).status == 200
