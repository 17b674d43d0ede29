"""Groups over REST: every command is a request, a change is followed to its end, and an inventory comes as it is."""

from __future__ import annotations

import json

import pytest

from cloudms import registry
from cloudms.doors.rest.routes import routes
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import Do, problem


def test_every_command_of_a_group_is_a_request() -> None:
    found = {route.path: route.method for route in routes() if route.entry.path[0] == "group"}
    entries = [entry for entry in registry.index().verbs if entry.path[0] == "group"]
    assert found == {f"/v1/{'/'.join(entry.path)}": "POST" if entry.changes else "GET" for entry in entries}
    assert found["/v1/group/scale"] == "POST"
    others = {" ".join(route.entry.path) for route in routes()}
    assert {"inventory", "ssh-config"} <= others
    assert "ansible" not in others, "it runs a program on the terminal of this machine"


def test_a_group_lives_over_rest(client: TestClient, do: Do) -> None:
    made = do("group/create", name="web", size=3, cloud="fake,other", image="micro", label={"a": "b"})
    assert made["state"] == "done"
    (listed,) = client.get("/v1/group/list").json()["items"]
    assert {key: listed[key] for key in ("name", "size", "vms", "cloud")} == {
        "name": "web", "size": 3, "vms": ["web-1", "web-2", "web-3"], "cloud": "fake,other",
    }  # fmt: skip
    told = client.get("/v1/inventory", params={"group": "web"})
    assert told.status_code == 200
    assert "web-3" in told.text
    assert do("group/scale", name="web", size=1)["state"] == "done"
    assert client.get("/v1/group/info", params={"name": "web"}).json()["desired"] == 1
    plan = client.post("/v1/group/delete", json={"name": "web", "dry_run": True}).json()
    assert [step["action"] for step in plan["steps"]] == ["group.delete", "vm.delete"]
    assert do("group/delete", name="web")["state"] == "done"
    assert client.get("/v1/vm/list").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("create", {"name": "a b"}, 422, "invalid"),
        ("scale", {"name": "nobody", "size": 2}, 404, "not_found"),
        ("create", {"name": "web", "size": "many"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_is_refused(client: TestClient, path: str, body: object, status: int, code: str) -> None:
    reply = client.post(f"/v1/group/{path}", json=body)
    assert (reply.status_code, problem(reply)["code"]) == (status, code)
    assert json.dumps(problem(reply)).count("Traceback") == 0
