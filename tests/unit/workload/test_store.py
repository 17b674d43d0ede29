"""The store of answers: the first one stays, for everyone who has the token."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.errors import Conflict, Denied, Invalid, NotFound, NotReady
from cloudms.workload import store as stores
from cloudms.workload import token
from cloudms.workload.answers import Answer, SqliteAnswers
from cloudms.workload.service import StoreClient
from cloudms.workload.store import Store, answers_of, opened, storing
from cloudms.workload.wire import Wire, address
from tests.unit.workload.conftest import TOKEN, answer

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def wire(store: Store, **headers: str) -> Wire:
    """Return a connection to a store."""
    return Wire(address(store.url), timeout=30, headers={**HEADERS, **headers})


def test_the_first_answer_stays(store: Store, clock: ManualClock) -> None:
    with wire(store) as one:
        first = one.ask("POST", "/answers", answer("r-1").to_document()).document
        second = one.ask("POST", "/answers", answer("r-1", "web-2", "ff" * 16).to_document()).document
    assert first["member"] == second["member"] == "web-1"
    assert first["stored"] == clock.now()
    assert (first["tries"], second["tries"]) == (1, 2)
    assert second["hash"] == answer("r-1").hash


def test_many_who_come_at_once_get_one_answer(store: Store) -> None:
    start, told = threading.Barrier(8), []

    def bring(number: int) -> None:
        start.wait(30)
        told.append(StoreClient(store.url, TOKEN).keep(answer("r-1", f"web-{number}", f"{number:032x}").to_document()))

    threads = [threading.Thread(target=bring, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(told) == 8
    assert len({found["hash"] for found in told}) == 1
    assert store.answers.counts() == {"answers": 1, "tries": 8}


def test_answers_outlive_their_store(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "kept" / "answers.sqlite"
    with storing(file, TOKEN, clock=clock) as first:
        StoreClient(first.url, TOKEN).keep(answer("r-1").to_document())
    with storing(file, TOKEN, clock=clock) as again:
        found = StoreClient(again.url, TOKEN).find("r-1")
        assert found
        assert found["hash"] == answer("r-1").hash
        assert StoreClient(again.url, TOKEN).find("r-2") is None
    loose = [each for each in tmp_path.rglob("*") if each.stat().st_mode & 0o077]
    assert not loose


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_without_the_token_nothing_is_told(store: Store, header: str) -> None:
    store.answers.keep(answer("r-1"))
    with wire(store, Authorization=header) as one:
        for method, path in (("GET", "/answers/r-1"), ("GET", "/answers"), ("GET", "/stats"), ("POST", "/answers")):
            reply = one.ask(method, path, answer("r-1").to_document() if method == "POST" else None)
            assert (reply.status, reply.document.keys()) == (401, {"error"})
        assert one.ask("GET", "/health").status == 200


def test_bytes_that_are_no_text_are_no_token(store: Store) -> None:
    with socket.create_connection((store.host, store.port), timeout=30) as stream:
        stream.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        assert b" 401 " in stream.recv(200)


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"id": "a/b"}, {"salt": "xyz"}, {"salt": "0" * 31}, {"hash": 7}, {"rounds": "1"}, {"rounds": 0},
        {"rounds": True}, {"rounds": 2**40}, {"member": ""}, {"member": None}, {"hash": "G" * 64},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_stored(store: Store, change: dict[str, Any]) -> None:
    with wire(store) as one:
        reply = one.ask("POST", "/answers", {**answer("r-1").to_document(), **change})
        assert reply.status == 422
        assert one.ask("GET", "/nothing").status == 404
        assert one.ask("GET", "/answers/%27%3B--").status == 404
    assert store.answers.counts()["answers"] == 0


def test_all_answers_of_a_load_come_in_order_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PAGE", 3)
    for number in range(8):
        store.answers.keep(answer(f"aa-{number}"))
    for ident in ("a-1", "aaa-1", "ab-1", "AA-1"):
        store.answers.keep(answer(ident))
    found = list(answers_of(store.url, TOKEN, "aa-"))
    assert [each.id for each in found] == [f"aa-{number}" for number in range(8)]
    assert all(isinstance(each, Answer) for each in found)
    with pytest.raises(Denied, match="does not take the token"):
        list(answers_of(store.url, "another", "aa-"))


def test_a_store_that_is_gone_is_said(store: Store, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotReady, match="does not answer"):
            list(answers_of(f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN, "a"))
    (tmp_path / "other").write_text("this is no database, whatever its name says" * 30)
    with pytest.raises(NotReady, match="is no store of answers"):
        SqliteAnswers(tmp_path / "other")


def test_a_disk_that_fails_is_a_reply_and_no_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_ident: str) -> None:
        raise NotReady("the store of answers: disk I/O error")

    with wire(store) as one:
        monkeypatch.setattr(store.answers, "find", broken)
        reply = one.ask("GET", "/answers/r-1")
        assert (reply.status, reply.reason) == (503, "503 the store of answers: disk I/O error")
        monkeypatch.undo()
        assert one.ask("GET", "/answers/r-1").status == 404


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "10.0.2.2", "example.org", ""])
def test_it_listens_where_no_other_machine_reaches(host: str, tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(Denied, match="other machines"), storing(tmp_path / "a", TOKEN, clock=clock, host=host):
        pass


def test_a_port_that_is_taken_is_said(store: Store, tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(Conflict, match="cannot be listened at"):
        Store(SqliteAnswers(tmp_path / "b"), TOKEN, clock=clock, port=store.port)


def test_a_place_is_a_file_or_a_postgresql() -> None:
    with pytest.raises(Invalid, match="no address of a PostgreSQL"):
        opened("mysql://ada@127.0.0.1/plates")


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "workload" / "token"
    with pytest.raises(NotFound):
        token.read(file)
    made = token.provide(file)
    assert token.provide(file) == token.read(file) == made
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.chmod(0o644)
    with pytest.raises(Denied, match="others can read"):
        token.read(file)
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(Invalid, match="holds no token"):
        token.read(file)
