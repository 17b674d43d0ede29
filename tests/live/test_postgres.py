"""The store of answers in a real PostgreSQL: first one wins there, too, and its end and return are survived."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.clock import SystemClock
from cloudms.errors import NotReady
from cloudms.workload.answers import Answer
from cloudms.workload.postgres import PostgresAnswers
from cloudms.workload.store import answers_of, opened, storing
from tests.live import postgres
from tests.live.plates import Desk
from tests.live.postgres import Server

pytestmark = [pytest.mark.live, pytest.mark.services]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return a PostgreSQL."""
    why = postgres.installed()
    if why:
        pytest.skip(f"there is no PostgreSQL here: {why}")
    with postgres.running() as found:
        yield found


@pytest.fixture
def answers(server: Server) -> Iterator[PostgresAnswers]:
    """Return an empty store in it."""
    found = PostgresAnswers(server.url)
    order(server, "TRUNCATE plate_answers")
    yield found
    found.close()


def order(server: Server, statement: str) -> None:
    """Tell the database something."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server.url) as connection:
        connection.execute(statement)


def answer(ident: str, member: str = "web-1") -> Answer:
    """Return an answer."""
    return Answer(id=ident, salt="ab" * 16, hash="cd" * 32, rounds=1, member=member, stored=1_700_000_000.25)


def test_the_first_answer_stays(answers: PostgresAnswers) -> None:
    assert answers.find("r-1") is None
    assert answers.keep(answer("r-1")) == answer("r-1")
    assert answers.keep(answer("r-1", "web-2")) == answer("r-1").with_(tries=2)
    assert answers.find("r-1") == answer("r-1").with_(tries=2)
    assert answers.counts() == {"answers": 1, "tries": 2}


def test_many_who_come_at_once_make_one_table_and_one_answer(server: Server, answers: PostgresAnswers) -> None:
    order(server, "DROP TABLE plate_answers")
    start, told = threading.Barrier(8), []

    def bring(number: int) -> None:
        start.wait(60)
        one = PostgresAnswers(server.url)
        told.append(one.keep(answer("r-1", f"web-{number}")).member)
        one.close()

    threads = [threading.Thread(target=bring, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(told) == 8
    assert len(set(told)) == 1
    assert answers.counts() == {"answers": 1, "tries": 8}


def test_pages_come_in_the_order_of_characters_whatever_the_language(answers: PostgresAnswers) -> None:
    for ident in ("aa-10", "aa-2", "aa-1", "aa_3", "AA-9", "ab-1", "aa.5"):
        answers.keep(answer(ident))
    assert [each.id for each in answers.page("aa", "", 10)] == ["aa-1", "aa-10", "aa-2", "aa.5", "aa_3"]
    assert [each.id for each in answers.page("aa-", "aa-1", 1)] == ["aa-10"]


def test_a_server_that_ends_is_said_and_one_that_is_back_is_used(server: Server, answers: PostgresAnswers) -> None:
    answers.keep(answer("r-1"))
    server.stop()
    try:
        with pytest.raises(NotReady, match="PostgreSQL") as error:
            answers.find("r-1")
        assert server.password not in str(error.value)
    finally:
        server.start()
    assert answers.find("r-1") == answer("r-1")
    server.stop()
    server.start()
    assert answers.keep(answer("r-1", "web-2")).member == "web-1"


def test_a_wrong_password_is_said_without_it(server: Server) -> None:
    with pytest.raises(NotReady, match="password authentication failed") as error:
        opened(server.url.replace(server.password, "wrong-word"))
    assert "wrong-word" not in str(error.value)


def test_a_load_is_proved_beside_it(server: Server, answers: PostgresAnswers, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.env["PLATES_URL"] = server.url
    ledger = tmp_path / "ledger"
    with (
        desk.serving("workload", "store", "--port", "0", "--database", "env:PLATES_URL") as (_, store),
        desk.serving("workload", "serve", "--port", "0", "--slots", "8", "--store", store) as (_, url),
    ):
        more = ("--ledger", str(ledger), "--store", store, "-o", "json")
        done = desk("load", "run", "--url", url, "--steps", "50:2", *more)
    total = json.loads(done.stdout)[-1]
    assert (total["answered"], total["ledger"]["good"], total["ledger"]["stored"]) == (100, True, 100)
    assert answers.counts()["answers"] == 100
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert server.password.encode() not in written


def test_a_store_lists_its_answers_over_http(server: Server, answers: PostgresAnswers) -> None:
    for number in range(3):
        answers.keep(answer(f"aa-{number}"))
    with storing(server.url, "a-token-that-nobody-guesses", clock=SystemClock()) as store:
        found = list(answers_of(store.url, "a-token-that-nobody-guesses", "aa-"))
    assert found == [answer(f"aa-{number}") for number in range(3)]
