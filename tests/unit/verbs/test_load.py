"""`cms load`: load on a service of this process, on a clock that is told to move, and what its ledger proves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.balancers.store import for_group
from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.errors import Denied, Exists, Invalid, NotFound, NotReady, Partial
from cloudms.verbs.load.aim import at
from cloudms.workload import service, token
from cloudms.workload.ledger import Ledger
from cloudms.workload.store import Store, storing
from tests.unit.calling import Call


class Plates:
    """A service with its store; `url` and `more`, the options that name the store."""

    def __init__(self, store: Store, secret: Path) -> None:
        self.store = store
        self.more = {"store": store.url, "token_file": secret}
        settings = {"store": store.url, "token": token.read(secret), "host": "127.0.0.1", "port": 0, "member": "web-1"}
        self.server = service.server(settings)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def plates(tmp_path: Path, clock: ManualClock) -> Iterator[Plates]:
    """Return a service that answers."""
    secret = tmp_path / "token"
    with storing(tmp_path / "answers.sqlite", token.provide(secret), clock=clock) as store:
        made = Plates(store, secret)
        thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def test_a_load_shows_its_rows_and_proves_itself(call: Call, ctx: Context, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    rows = list(call("load run", url=plates.url, steps="2:10,0:5,4:5", ledger=ledger, **plates.more))
    *parts, total = rows
    assert [(row.name, row.sent, row.rate) for row in parts] == [
        ("0:05", 10, 2), ("0:10", 10, 2), ("0:15", 0, 0), ("0:20", 20, 4),
    ]  # fmt: skip
    assert (total.name, total.sent, total.answered, total.failed, total.open) == ("total", 40, 40, 0, 0)
    assert total.members == {"web-1": 40}
    assert (total.ledger["good"], total.ledger["stored"], total.ledger["verified"]) == (True, 40, 40)
    assert ctx.notes == ["each of 40 requests was answered exactly once and stored once"]
    (verdict,) = call("load check", ledger, **plates.more)
    assert (verdict.good, verdict.sent, verdict.stored, verdict.repeated) == (True, 40, 40, 0)


def test_a_ledger_with_a_lost_request_names_it(call: Call, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    list(call("load run", url=plates.url, rate=1.0, for_="5s", ledger=ledger, **plates.more))
    lines = ledger.read_text().splitlines()
    (gone,) = (line for line in lines if '"answered"' in line and "000003" in line)
    lines.remove(gone)
    ledger.write_text("".join(f"{line}\n" for line in lines))
    found = call("load check", ledger, **plates.more)
    verdict = next(found)
    assert [ident.rpartition("-")[2] for ident in verdict.lost] == ["000003"]
    with pytest.raises(Partial, match="1 lost"):
        next(found)


def test_a_service_that_is_not_there_ends_in_part(call: Call, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    found = call("load run", url="http://127.0.0.1:1", delta=1.0, for_="3s", give_up=2.0, ledger=ledger, **plates.more)
    rows = []
    with pytest.raises(Partial, match="3 given up") as error:
        rows.extend(iter(found))
    assert "the connection was refused" in error.value.hint
    (verdict,) = _until_error(call("load check", ledger, **plates.more))
    assert (len(verdict.failed), verdict.stored) == (3, 0)


def _until_error(rows: Iterator[Any]) -> list[Any]:
    found = []
    try:
        found.extend(rows)
    except Partial:
        return found
    raise AssertionError("it ended well")


def test_a_store_that_was_not_asked_is_said(call: Call, ctx: Context, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    *_, total = call("load run", url=plates.url, rate=1.0, for_="2s", ledger=ledger)
    assert total.ledger["stored"] is None
    assert any(warning.startswith("the store was not asked: there is no token") for warning in ctx.warnings)
    with pytest.raises(NotFound, match="there is no token"):
        next(call("load check", ledger))
    other = tmp_path / "other-token"
    token.provide(other)
    with pytest.raises(Denied, match="does not take the token"):
        next(call("load check", ledger, store=plates.store.url, token_file=other))
    with pytest.raises(NotReady):
        next(call("load check", ledger, store="http://127.0.0.1:1", token_file=other))


def test_what_was_measured_is_shown_although_the_store_does_not_answer(
    call: Call, plates: Plates, tmp_path: Path
) -> None:
    more = {**plates.more, "store": "http://127.0.0.1:1"}
    rows: list[Any] = []
    with pytest.raises(NotReady):
        rows.extend(call("load run", url=plates.url, rate=1.0, for_="2s", ledger=tmp_path / "plates.ledger", **more))
    assert rows[-1].answered == 2


def test_any_address_takes_a_load(call: Call, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "health.ledger"
    url = f"{plates.url}/health"
    *_, total = call("load run", url=url, as_="get", closed=1, delta=1.0, for_="10s", ledger=ledger)
    assert (total.sent, total.answered) == (10, 10)
    (verdict,) = call("load check", ledger)
    assert (verdict.good, verdict.stored, verdict.answered) == (True, None, 10)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"url": "http://127.0.0.1:1", "group": "web"}, {"url": "web-1"}, {"url": "http://127.0.0.1:1?a=b"},
        {"url": "http://127.0.0.1:1", "rate": 1.0, "ramp": "1:2"},
        {"url": "http://127.0.0.1:1", "day": "1:2", "for_": "0"},
    ],
)  # fmt: skip
def test_what_makes_no_load_is_said(call: Call, options: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        next(call("load run", **options))


def test_a_group_is_reached_at_its_balancer(ctx: Context) -> None:
    balancer = for_group(ctx, "web", {"kind": "fake"})
    with pytest.raises(NotReady):
        at(ctx, url=None, group="web", kind="plate")
    balancer.up()
    to = at(ctx, url=None, group="web", kind="plate")
    assert (to.host, to.port, to.path, to.secure) == (*balancer.address, "", False)
    balancer.down()


def test_a_group_without_a_balancer_is_said(call: Call) -> None:
    with pytest.raises(NotFound, match="no balancer named 'web'"):
        next(call("load run", group="web"))


def test_a_ledger_is_not_written_over(call: Call, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    Ledger(ledger, run="aa", url="").close()
    with pytest.raises(Exists):
        next(call("load run", url=plates.url, ledger=ledger))


def test_a_load_that_loses_its_reader_ends(call: Call, plates: Plates, tmp_path: Path) -> None:
    ledger = tmp_path / "plates.ledger"
    found = call("load run", url=plates.url, rate=1.0, for_="60s", ledger=ledger, **plates.more)
    next(found)
    found.close()
    assert ledger.read_text().count('"answered"') == plates.store.answers.counts()["answers"]
