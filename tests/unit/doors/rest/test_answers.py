"""Lists, nouns, text, plans, operations and errors, as clients get them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.rest.app import Door
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import CONFIG, Do, ended, events, problem


def test_a_list_says_how_old_it_is_and_who_did_not_answer(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    fresh = client.get("/v1/vm/list").json()
    assert (fresh["kind"], fresh["schema"], fresh["cached"], fresh["failed"], fresh["next"]) == (
        "list", 1, False, {}, None,
    )  # fmt: skip
    assert fresh["items"][0]["name"] == "web"
    cached = client.get("/v1/vm/list?cached=true").json()
    assert cached["cached"] is True
    assert cached["fetched"] == cached["items"][0]["fetched"]
    assert cached["age_seconds"] >= 0


def test_a_silent_cloud_is_named_and_hides_no_other(client: TestClient, do: Do, home: Path) -> None:
    do("vm/boot", image="micro", name="web")
    fault = json.dumps([{"fault": "denied", "call": "list_vms", "times": 0}])
    (home / "fake" / "other.json.faults.json").write_text(fault)
    response = client.get("/v1/vm/list")
    assert response.status_code == 200
    assert response.headers["cms-partial"] == "other"
    body = response.json()
    assert [item["name"] for item in body["items"]] == ["web"]
    assert body["failed"]["other"]["code"] == "denied"
    alone = client.get("/v1/vm/list?cloud=other")
    assert (alone.status_code, problem(alone)["code"]) == (403, "denied")
    assert 'cms_cloud_errors_total{cloud="other",code="denied"} 2.0' in client.get("/metrics").text


def test_pages_follow_each_other_to_the_end(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web", count=7)
    seen: list[str] = []
    after = ""
    for _ in range(4):
        page = client.get("/v1/vm/list", params={"limit": 2, "cached": "true", **({"after": after} if after else {})})
        seen += [item["name"] for item in page.json()["items"]]
        after = page.json()["next"]
        if not after:
            break
    assert seen == [f"web-{number}" for number in range(1, 8)]


def test_one_look_serves_all_pages_and_a_page_without_it_looks_again(
    client: TestClient, door: Door, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    do("vm/boot", image="micro", name="web", count=5)
    route = next(route for route in door.routes if route.path == "/v1/vm/list")
    assert route.parameters and route.lists
    asked: list[int] = []
    real = route.verb.function

    def counted(*args: Any, **values: Any) -> Any:
        asked.append(1)
        return real(*args, **values)

    monkeypatch.setitem(route.__dict__, "verb", route.verb.with_(function=counted))
    first = client.get("/v1/vm/list?limit=2").json()
    do("vm/delete", names=["web-1", "web-2"])
    second = client.get("/v1/vm/list", params={"limit": 2, "after": first["next"]}).json()
    assert ([vm["name"] for vm in second["items"]], second["cached"], len(asked)) == (["web-3", "web-4"], True, 1)
    other = client.get("/v1/vm/list", params={"limit": 2, "after": first["next"], "state": "running"}).json()
    assert ([vm["name"] for vm in other["items"]], len(asked)) == (["web-3", "web-4"], 2)
    door._answers._looks._known.clear()
    third = client.get("/v1/vm/list", params={"limit": 2, "after": second["next"]}).json()
    assert ([vm["name"] for vm in third["items"]], third["next"], len(asked)) == (["web-5"], None, 3)


def test_the_newest_first_go_on_where_they_ended_although_more_has_happened(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web", count=3)
    first = client.get("/v1/event/list?limit=2").json()
    do("vm/boot", image="micro", name="more", count=40)
    second = client.get("/v1/event/list", params={"limit": 1000, "after": first["next"]}).json()
    before = {(event["target"], event["text"]) for event in first["items"]}
    assert len(second["items"]) >= 7
    assert all(event["target"].startswith("web") for event in second["items"])
    assert not before & {(event["target"], event["text"]) for event in second["items"]}


def test_one_thing_is_as_json_shows_it(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    found = client.get("/v1/vm/info?name=web").json()
    assert (found["kind"], found["name"], found["state"]) == ("vm", "web", "running")
    assert client.get("/v1/cloud/roles").json()["items"][0]["name"]


def test_text_is_text(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    config = client.get("/v1/ssh-config")
    assert config.headers["content-type"] == "text/plain; charset=utf-8"
    assert config.text.startswith("Host web\n")


def test_lines_come_as_text_or_as_events(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    text = client.get("/v1/vm/console?name=web&lines=2").text
    stream = client.get("/v1/vm/console?name=web&lines=2", headers={"accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    told = events(stream.text)
    assert [event.name for event in told] == ["line", "line", "end"]
    assert "".join(f"{event.data}\n" for event in told[:-1]) == text


def test_an_error_of_lines_is_the_reply_while_it_still_can_be(client: TestClient) -> None:
    for accept in ("text/plain", "text/event-stream"):
        response = client.get("/v1/vm/console?name=nobody", headers={"accept": accept})
        assert response.status_code == 404
        assert problem(response)["code"] == "not_found"


def test_an_error_after_lines_is_an_event(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    whole = client.get("/v1/vm/ping?names=web&timeout=0.1")
    assert whole.status_code == 404
    told = events(client.get("/v1/vm/ping?names=web&timeout=0.1", headers={"accept": "text/event-stream"}).text)
    assert [event.name for event in told] == ["line", "error"]
    assert told[-1].data["error"]["message"] == "no answer from web"


def test_a_change_is_accepted_and_its_place_is_named(client: TestClient) -> None:
    begun = client.post("/v1/vm/boot", json={"image": "micro", "name": "web"})
    assert begun.status_code == 202
    body = begun.json()
    assert (body["kind"], body["operation"]["verb"]) == ("accepted", "vm boot")
    assert any("lease" in note for note in body["notes"])
    name = body["operation"]["name"]
    assert begun.headers["location"] == f"/v1/operation/show?name={name}"
    assert ended(client, name)["state"] == "done"
    assert client.get(begun.headers["location"]).json()["state"] == "done"


def test_a_dry_run_changes_nothing(client: TestClient) -> None:
    response = client.post("/v1/vm/boot", json={"image": "micro", "name": "web", "count": 2, "dry_run": True})
    assert response.status_code == 200
    plan = response.json()
    assert (plan["kind"], [step["target"] for step in plan["steps"]]) == ("plan", ["web-1", "web-2"])
    assert client.get("/v1/operation/list").json()["items"] == []
    assert client.get("/v1/vm/list").json()["items"] == []


def test_a_listing_of_a_changing_verb_is_a_list(client: TestClient) -> None:
    response = client.post("/v1/sweep", json={})
    assert (response.status_code, response.json()["kind"]) == (200, "list")
    assert client.post("/v1/sweep", json={"apply": True}).status_code == 202


def test_warnings_stand_where_there_is_place(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web")
    assert client.get("/v1/vm/status?names=nobody").json()["warnings"] == ["no VM named 'nobody'; all VMs are shown"]
    assert client.get("/v1/vm/status?names=web").json()["warnings"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/redoc", 404, "not_found"),
        ("GET", "/v1/vm/list/", 404, "not_found"),
        ("GET", "/v1/vm/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/vm/ssh", 404, "not_found"),
        ("GET", "/v1/config/cat", 404, "not_found"),
        ("POST", "/v1/vm/list", 405, "invalid"),
        ("GET", "/v1/vm/boot", 405, "invalid"),
        ("OPTIONS", "/v1/vm/boot", 405, "invalid"),
        ("GET", "/v1/vm/info?name=nobody", 404, "not_found"),
        ("GET", "/v1/vm/info", 422, "invalid"),
        ("GET", "/v1/vm/list?cloud=nowhere", 404, "not_found"),
        ("GET", "/v1/operation/show?name=op-99", 404, "not_found"),
        ("GET", "/v1/operation/events/op-99", 404, "not_found"),
    ],
)
def test_every_error_has_one_shape(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    response = client.request(method, path)
    assert response.status_code == status, response.text
    told = problem(response)
    assert told["code"] == code
    assert told["message"]
    assert told["hint"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/vm/create", "POST /v1/vm/boot"),
        ("/v1/keypair/list", "GET /v1/key/list"),
        ("/v1/vm/lits", "did you mean /v1/vm/list"),
        ("/v1/vm/ssh", "cms vm ssh works on the machine of the service only"),
        ("/v2", "GET /openapi.json lists every path"),
    ],
)
def test_a_path_that_is_none_has_the_way_on(client: TestClient, path: str, hint: str) -> None:
    response = client.get(path)
    assert (response.status_code, problem(response)["hint"]) == (404, hint)


def test_a_bug_is_a_500_that_tells_nothing_and_a_trace_in_the_log(
    client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    def broken(_ctx: Context) -> None:
        raise ZeroDivisionError("hidden-word")

    route = next(route for route in door.routes if route.path == "/v1/cloud/roles")
    monkeypatch.setitem(route.__dict__, "verb", route.verb.with_(function=broken))
    response = client.get("/v1/cloud/roles")
    assert response.status_code == 500
    assert problem(response)["message"] == "this is a bug in cloudms: ZeroDivisionError"
    assert "hidden-word" not in response.text
    assert "test_answers.py" in said.getvalue()
    assert client.get("/healthz").text == "ok\n"


def test_many_ask_while_the_configuration_changes(client: TestClient, home: Path) -> None:
    paths = ("cloud/list", "vm/list", "vm/list?cached=true", "flavor/list", "default", "cloud/check")

    def ask(number: int) -> int:
        if number % 5 == 0:
            (home / "new.yaml").write_text(f"{CONFIG}    more{number}: {{cm: {{kind: fake, active: true}}}}\n")
            (home / "new.yaml").chmod(0o600)
            (home / "new.yaml").replace(home / "cloudmesh.yaml")
        status: int = client.get(f"/v1/{paths[number % len(paths)]}").status_code
        return status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(60))) == {200}


def test_what_the_configuration_says_is_seen_at_once(client: TestClient, home: Path) -> None:
    assert [item["name"] for item in client.get("/v1/cloud/list").json()["items"]] == ["local", "fake", "other"]
    (home / "cloudmesh.yaml").write_text(CONFIG + "    third: {cm: {kind: fake, active: true}}\n")
    assert "third" in [item["name"] for item in client.get("/v1/cloud/list").json()["items"]]
    (home / "cloudmesh.yaml").write_text("cloudmesh: [")
    broken = client.get("/v1/cloud/list")
    assert (broken.status_code, problem(broken)["code"]) == (422, "config")
    (home / "cloudmesh.yaml").write_text(CONFIG)
    assert client.get("/v1/cloud/list").status_code == 200
