"""Changes that go on after the reply: followed, cancelled, repeated, and ended with the service."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cloudms import paths
from cloudms.context import Context
from cloudms.doors.rest import work
from cloudms.doors.rest.app import Door
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.uploads import Uploads, clean_up
from cloudms.engine.plan import Plan, action
from cloudms.engine.process import this_process
from cloudms.errors import NotReady
from cloudms.model import Operation, OperationState, Step, Vm
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import BASE, Do, ended, events, problem

HELD = threading.Event()
BEGUN = threading.Semaphore(0)


@action("test.held")
def _held(step: Any) -> Vm:
    BEGUN.release()
    step.report("is held")
    while not HELD.wait(0.02):
        step.ctx.pause(0.01)
    return Vm(name=step.step.target)


@pytest.fixture(autouse=True)
def _loose() -> Any:
    HELD.clear()
    while BEGUN.acquire(blocking=False):
        pass
    yield
    HELD.set()


@pytest.fixture
def held(door: Door, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let `vm wait` be a change that goes on until it is let go, and return its path."""

    def plan(ctx: Context, names: list[str], **_options: Any) -> Plan:
        steps = tuple(Step(action="test.held", cloud="fake", target=name) for name in names)
        return Plan(verb="vm wait", summary="wait", steps=steps)

    route = next(route for route in door.routes if route.path == "/v1/vm/wait")
    assert route.parameters  # known before the function is another one
    monkeypatch.setitem(route.__dict__, "verb", route.verb.with_(function=plan))
    return "/v1/vm/wait"


def test_a_stream_tells_the_state_at_once_every_step_and_the_end(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web", count=2)
    begun = client.post("/v1/vm/stop", json={"names": ["web-1", "web-2"]}).json()["operation"]["name"]
    response = client.get(f"/v1/operation/events/{begun}")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("retry: 2000\n\n")
    told = events(response.text)
    assert (told[0].name, told[-1].name) == ("operation", "end")
    assert [step["state"] for step in told[-1].data["steps"]] == ["done", "done"]
    numbers = [int(event.number.partition("-")[2]) for event in told]
    assert numbers == sorted(numbers)


def test_who_was_away_hears_what_was_missed_and_nothing_after_the_end(client: TestClient, do: Do) -> None:
    name = do("vm/boot", image="micro", name="web")["name"]
    (whole,) = [event for event in events(client.get(f"/v1/operation/events/{name}").text) if event.name == "operation"]
    life, _, last = whole.number.partition("-")
    again = client.get(f"/v1/operation/events/{name}", headers={"last-event-id": f"{life}-1"})
    told = events(again.text)
    assert [int(event.number.partition("-")[2]) for event in told] == list(range(2, int(last) + 1))
    assert {event.name for event in told} == {"step", "progress", "end"}
    done = client.get(f"/v1/operation/events/{name}", headers={"last-event-id": told[-1].number})
    assert (done.status_code, done.text) == (204, "")
    for unknown in ("other-1", f"{life}-99999", "x", f"{life}-"):
        told = events(client.get(f"/v1/operation/events/{name}", headers={"last-event-id": unknown}).text)
        assert [event.name for event in told] == ["operation", "end"]


def test_changes_of_other_processes_are_told_from_their_record(client: TestClient, door: Door) -> None:
    steps = (Step(action="vm.stop", cloud="fake", target="web", state="done"),)
    foreign = Operation(name="op-70", verb="vm stop", state=OperationState.DONE, steps=steps, process="elsewhere/1/2")
    door.desk.catalog.put("operation", {"op-70": foreign.to_document()})
    told = events(client.get("/v1/operation/events/op-70").text)
    assert [event.name for event in told] == ["operation", "end"]
    done = client.get("/v1/operation/events/op-70", headers={"last-event-id": told[-1].number})
    assert done.status_code == 204


def test_a_change_that_another_process_has_resumed_is_told_from_its_record(
    client: TestClient, door: Door, do: Do
) -> None:
    name = do("vm/boot", image="none", name="web")["name"]
    (stored,) = door.desk.catalog.find("operation")
    taken = Operation.from_document(stored.document).with_(state=OperationState.CANCELLED, process="elsewhere/1/2")
    door.desk.catalog.put("operation", {name: taken.to_document()})
    assert ended(client, name)["state"] == "cancelled"


def test_a_change_is_cancelled(client: TestClient, held: str) -> None:
    name = client.post(held, json={"names": ["a"]}).json()["operation"]["name"]
    assert BEGUN.acquire(timeout=10)
    assert client.get(f"/v1/operation/show?name={name}").json()["state"] == "running"
    cancel = client.post("/v1/operation/cancel", json={"name": name})
    assert cancel.status_code == 202
    assert ended(client, name)["state"] == "cancelled"


def test_a_change_whose_record_cannot_be_read_ends_for_those_who_listen(
    client: TestClient, held: str, door: Door, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any) -> Any:
        raise NotReady("the catalog is busy", hint="again")

    name = client.post(held, json={"names": ["a"]}).json()["operation"]["name"]
    assert BEGUN.acquire(timeout=10)
    monkeypatch.setattr(work, "find", busy)
    HELD.set()
    assert ended(client, name)["state"] == "interrupted"
    assert door.work.running == 0
    assert f"the record of {name}" in said.getvalue()


def test_only_so_many_run_at_once_and_the_others_wait(client: TestClient, held: str, door: Door) -> None:
    names = [client.post(held, json={"names": [f"vm{i}"]}).json()["operation"]["name"] for i in range(11)]
    for _ in range(8):
        assert BEGUN.acquire(timeout=10)
    assert not BEGUN.acquire(timeout=0.1)
    assert door.work.running == 11
    assert "cms_operations_running 11.0" in client.get("/metrics").text
    HELD.set()
    assert {ended(client, name)["state"] for name in names} == {"done"}


def test_the_end_of_the_service_stops_what_runs_cancels_what_waits_and_both_can_be_resumed(
    door: Door, token: Token, held: str, ctx: Context
) -> None:
    headers = {"authorization": f"Bearer {token.file.read_text().strip()}"}
    with TestClient(door.gate, base_url=BASE, headers=headers) as client:
        names = [client.post(held, json={"names": [f"vm{i}"]}).json()["operation"]["name"] for i in range(10)]
        assert BEGUN.acquire(timeout=10)
    stored = [Operation.from_document(ctx.catalog.get("operation", name).document) for name in names]  # type: ignore[union-attr]
    assert {operation.state for operation in stored} == {OperationState.CANCELLED}
    assert door.work.running == 0
    with pytest.raises(NotReady, match="stopping"):
        door.work.begin(Plan(verb="vm wait", summary="", steps=()), {}, None)
    HELD.set()
    from cloudms.engine import resume

    assert resume(ctx, names[-1]).state is OperationState.DONE


# The same request twice


def test_the_same_key_is_the_same_operation(client: TestClient, do: Do) -> None:
    headers = {"idempotency-key": "a1"}
    body = {"image": "micro", "name": "web"}
    first = client.post("/v1/vm/boot", json=body, headers=headers)
    again = client.post("/v1/vm/boot", json=dict(reversed(body.items())), headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["operation"]["name"] == again.json()["operation"]["name"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = client.post("/v1/vm/boot", json={**body, "name": "db"}, headers=headers)
    assert other.status_code == 422
    assert "belongs to op-1" in problem(other)["message"]
    assert len(client.get("/v1/operation/list").json()["items"]) == 1


def test_many_at_once_with_one_key_begin_one_change(client: TestClient) -> None:
    def send(number: int) -> str:
        key = {"idempotency-key": f"key-{number % 3}"}
        response = client.post("/v1/vm/boot", json={"image": "micro", "name": f"web{number % 3}"}, headers=key)
        assert response.status_code == 202, response.text
        found: str = response.json()["operation"]["name"]
        return found

    with ThreadPoolExecutor(12) as pool:
        names = list(pool.map(send, range(12)))
    assert len(set(names)) == 3
    for name in set(names):
        assert ended(client, name)["state"] == "done"
    assert len(client.get("/v1/vm/list").json()["items"]) == 3


def test_a_key_survives_the_service(client: TestClient, door: Door, ctx: Context) -> None:
    key = {"idempotency-key": "k" * 255}
    body = {"image": "micro", "name": "web"}
    first = client.post("/v1/vm/boot", json=body, headers=key).json()["operation"]["name"]
    ended(client, first)
    log = door.log
    other = Door(ctx, door.gate._token, log=log)
    headers = {**key, "authorization": client.headers["authorization"]}
    with TestClient(other.gate, base_url=BASE, headers=headers) as second:
        again = second.post("/v1/vm/boot", json=body)
        assert (again.json()["operation"]["name"], again.json()["operation"]["state"]) == (first, "done")


def test_a_resume_has_its_key_as_well(client: TestClient, held: str) -> None:
    name = client.post(held, json={"names": ["a"]}, headers={"idempotency-key": "first"}).json()["operation"]["name"]
    assert BEGUN.acquire(timeout=10)
    client.post("/v1/operation/cancel", json={"name": name})
    assert ended(client, name)["state"] == "cancelled"
    HELD.set()
    for replayed in (None, "true"):
        again = client.post("/v1/operation/resume", json={"name": name}, headers={"idempotency-key": "second"})
        assert (again.status_code, again.headers.get("idempotent-replayed")) == (202, replayed)
        assert again.json()["operation"]["name"] == name
        assert ended(client, name)["state"] == "done"
    first = client.post(held, json={"names": ["a"]}, headers={"idempotency-key": "first"})
    assert (first.json()["operation"]["name"], first.headers["idempotent-replayed"]) == (name, "true")


@pytest.mark.parametrize("key", ["k" * 256, "", "a b", b"\xe9"])
def test_a_key_that_is_none_is_refused(client: TestClient, key: str | bytes) -> None:
    headers = [(b"idempotency-key", key.encode() if isinstance(key, str) else key)]
    response = client.post("/v1/sweep", headers=headers)
    assert response.status_code == 422
    assert "Idempotency-Key" in problem(response)["message"]


# Files


def test_a_file_is_private_and_gone_when_its_change_has_ended(client: TestClient, home: Path) -> None:
    files = {"user_data": ("../../evil", "#cloud-config\n")}
    begun = client.post("/v1/vm/boot", data={"image": "micro", "name": "web", "count": "2"}, files=files)
    assert begun.status_code == 202, begun.text
    assert ended(client, begun.json()["operation"]["name"])["state"] == "done"
    assert not [file for file in (home / "uploads").rglob("*") if file.is_file()]
    assert not list(home.parent.rglob("evil"))


@pytest.mark.parametrize("more", [{"dry_run": "true"}, {"name": "a b c"}, {"count": "x"}])
def test_a_file_is_gone_when_nothing_came_of_it(client: TestClient, home: Path, more: dict[str, str]) -> None:
    files = {"user_data": ("x", "#cloud-config\n")}
    response = client.post("/v1/vm/boot", data={"image": "micro", "name": "web", **more}, files=files)
    assert response.status_code in (200, 422)
    assert not [file for file in (home / "uploads").rglob("*") if file.is_file()]


def test_a_form_that_was_cut_off_changes_nothing(client: TestClient) -> None:
    fields = "".join(f'--B\r\ncontent-disposition: form-data; name="{n}"\r\n\r\nmicro\r\n' for n in ("image", "name"))
    cut = f'{fields}--B\r\ncontent-disposition: form-data; name="user_data"; filename="x"\r\n\r\n#cloud-config\n'
    headers = {"content-type": "multipart/form-data; boundary=B"}
    response = client.post("/v1/vm/boot", content=cut, headers=headers)
    assert response.status_code == 400
    assert "last boundary" in problem(response)["message"]
    assert client.post("/v1/vm/boot", content=f"{cut}\r\n--B--\r\n", headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("path", "name", "more"),
    [("vm/boot", "user_data", {"image": "micro"}), ("key/add", "file", {})],
    ids=("boot", "key"),
)
def test_an_error_of_a_file_does_not_say_where_it_was_kept(
    client: TestClient, home: Path, path: str, name: str, more: dict[str, str]
) -> None:
    response = client.post(f"/v1/{path}", data={"name": "mine", **more}, files={name: ("x", b"\xff\xfe")})
    assert response.status_code == 422
    assert problem(response)["message"].startswith("cannot read the file that was sent: ")
    assert str(home) not in response.text


def test_what_a_killed_service_left_is_removed_and_what_a_living_one_has_stays(home: Path) -> None:
    uploads = Uploads()
    mine = uploads.keep(b"x")
    assert mine.stat().st_mode & 0o777 == 0o600
    assert mine.parent.stat().st_mode & 0o777 == 0o700
    dead = paths.private(home / "uploads" / this_process().rpartition("/")[0].replace("/", ",")) / "x"
    dead.write_text("x")
    other = paths.private(home / "uploads" / "other-host,1,2") / "x"
    other.write_text("x")
    uploads.drop()
    assert not mine.exists()
    clean_up()
    assert not dead.exists()
    assert other.exists()
