"""`cms workload`: the script that makes a member, and the services of this machine until they are stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms import paths
from cloudms.context import Context
from cloudms.errors import Conflict, Denied, Exists, Invalid, NotFound
from cloudms.workload import token
from cloudms.workload.service import StoreClient
from cloudms.workload.wire import Wire, address
from tests.unit.calling import Call
from tests.unit.workload.conftest import answer


def test_user_data_are_for_their_owner_alone(call: Call, ctx: Context, tmp_path: Path) -> None:
    file = tmp_path / "plates.sh"
    assert call("workload user-data", file, slots=2, seconds=0.5) == f"{file}\n"
    text = file.read_text()
    secret = token.read(paths.home() / "workload" / "token")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (text.count(secret), text.count('"store": "http://10.0.2.2:8322"')) == (1, 1)
    assert secret not in "".join(ctx.notes)
    call("workload user-data", file, store="http://127.0.0.1:9000")
    assert '"store": "http://127.0.0.1:9000"' in file.read_text()
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == ["plates.sh"]


def test_user_data_are_written_over_nothing_else(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "mine.sh"
    file.write_text("#!/bin/sh\necho mine\n")
    with pytest.raises(Exists, match="something else"):
        call("workload user-data", file)
    assert file.read_text().endswith("echo mine\n")
    with pytest.raises(Denied, match="cannot be written"):
        call("workload user-data", tmp_path / "no" / "plates.sh")
    with pytest.raises(Invalid):
        call("workload user-data", tmp_path / "plates.sh", store="plates")


def test_a_boot_with_it_shows_no_token(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "plates.sh"
    call("workload user-data", file)
    plan = call("vm boot", "micro", name="web-1", user_data=file, dry_run=True)
    assert token.read(paths.home() / "workload" / "token") not in repr(plan.to_document())
    assert "******" in repr(plan.shows)


def test_store_and_service_go_on_until_they_are_stopped(call: Call, ctx: Context, tmp_path: Path) -> None:
    stores = call("workload store", port=0, file=tmp_path / "answers.sqlite")
    url = next(stores).removeprefix("listening at ")
    port = url.rpartition(":")[2]
    secret = paths.home() / "workload" / "token"
    assert [next(stores) for _ in range(3)] == [
        f"guests with user-mode networking reach it at http://10.0.2.2:{port}",
        f"the token is in {secret}",
        f"answers are in {tmp_path / 'answers.sqlite'}",
    ]
    serves = call("workload serve", port=0, store=url, member="desk")
    at = next(serves).removeprefix("listening at ")
    with pytest.raises(Conflict, match="cannot be listened at"):
        next(call("workload store", port=int(port)))
    StoreClient(url, token.read(secret)).keep(answer("r-1").to_document())
    ctx.stop()
    assert list(serves) == ["stopped; 0 requests were done"]
    assert list(stores) == ["stopped; 1 answers are stored"]
    with Wire(address(at), timeout=30) as wire:
        assert wire.ask("GET", "/health").status == 0


def test_other_machines_reach_neither(call: Call) -> None:
    for words in ("workload store", "workload serve"):
        with pytest.raises((Denied, NotFound)) as error:
            next(call(words, host="192.0.2.1", port=0))
        assert "other machines" in error.value.message


@pytest.mark.parametrize(
    "url", ["postgresql://ada:secret@127.0.0.1/plates", "postgres://ada:s:e@127.0.0.1/plates?sslmode=require"]
)
def test_a_password_on_the_command_line_is_refused(call: Call, url: str) -> None:
    with pytest.raises(Denied) as error:
        next(call("workload store", database=url, port=0))
    assert "secret" not in error.value.message + error.value.hint


def test_what_is_no_database_is_said(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Denied, match="PLATES_URL has no value"):
        next(call("workload store", database="env:PLATES_URL", port=0))
    monkeypatch.setenv("PLATES_URL", "mysql://ada:secret@127.0.0.1/plates")
    with pytest.raises(Invalid) as error:
        next(call("workload store", database="env:PLATES_URL", port=0))
    assert "secret" not in error.value.message + error.value.hint
    with pytest.raises(Invalid, match="two places"):
        next(call("workload store", database="env:PLATES_URL", file=tmp_path / "a", port=0))
    with pytest.raises(Invalid, match="is no port"):
        next(call("workload store", port=70000))


def test_a_service_without_a_store_of_its_own_is_said(call: Call) -> None:
    with pytest.raises(NotFound, match="there is no token"):
        next(call("workload serve", port=0))
