"""What the page of requests prints can be sent, and what reads is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms import ssh
from cloudms.balancers import for_group
from cloudms.clock import SystemClock
from cloudms.cluster import store as clusters
from cloudms.context import Context
from cloudms.doors.rest.app import Door
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.log import Log
from cloudms.doors.rest.models import model
from cloudms.doors.rest.routes import Route
from cloudms.jobs import store
from cloudms.jobs.asking import tasks_of
from cloudms.model import Cluster, Experiment, Node
from cloudms.scaling import store as scaling
from cloudms.scaling.base import Decision
from cloudms.scaling.spec import ScalingSpec
from tests.house.rest import Asked, lines, own_routes, read, requests
from tests.house.source import DOCS
from tests.unit.doors.rest.client import TestClient

LINES = lines("\n".join(requests()))
ENDLESS = {"/v1/group/watch"}
"""Streams that last until the client leaves; tests/unit/verbs/test_scaler.py looks at what they say."""
ROUTES = {route.path: route for route in own_routes()}
CONFIG = """\
cloudmesh:
  default: {cloud: fake}
  cloud:
    local: {cm: {kind: fake, active: false}}
    fake: {cm: {kind: fake, active: true}, boot_seconds: 0.01}
"""


def route_of(asked: Asked) -> Route:
    return ROUTES[asked.path]


def test_every_route_has_its_line() -> None:
    assert [read(line).path for line in LINES] == list(ROUTES)


@pytest.mark.parametrize("line", LINES, ids=lambda line: read(line).path)
def test_a_line_is_a_request(line: str) -> None:
    asked = read(line)
    route = route_of(asked)
    assert asked.method == route.method
    made = model(route)
    known = {field.alias for field in made.model_fields.values()}
    if asked.body:
        assert asked.headers == {"content-type": "application/json"}
        assert made.model_validate_json(asked.body, strict=True)
    else:
        files = {p.name for p in route.files}
        assert {name for name, _ in (*asked.query, *asked.fields)} <= known | files


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of a service over the fake cloud that has what the examples speak of."""
    home = tmp_path_factory.mktemp("home") / ".cloudmesh"
    home.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDMESH_CONFIG_DIR", str(home))
        patch.setenv("HOME", str(home.parent))
        patch.setattr(ssh, "answers", lambda *_: True)
        (home / "cloudmesh.yaml").write_text(CONFIG)
        (home / "cloudmesh.yaml").chmod(0o600)
        ctx = Context()
        token = Token(home / "rest.token")
        token.provide()
        door = Door(ctx, token, log=Log(SystemClock(), requests=False))
        headers = {"authorization": f"Bearer {token.file.read_text().strip()}"}
        with TestClient(door.gate, base_url="http://127.0.0.1", headers=headers) as made:
            for name in ("web1", "web2", "web3"):
                begun = made.post("/v1/vm/boot", json={"image": "micro", "name": name}).json()
                made.get(f"/v1/operation/events/{begun['operation']['name']}")
            for path, name in (("volume/create", "data1"), ("secgroup/create", "web"), ("group/create", "web")):
                begun = made.post(f"/v1/{path}", json={"name": name}).json()
                made.get(f"/v1/operation/events/{begun['operation']['name']}")
            begun = made.post("/v1/run", json={"names": ["web[1-3]"], "command": ["uptime"]}).json()
            made.get(f"/v1/operation/events/{begun['operation']['name']}")
            _experiment(ctx)
            for_group(ctx, "web", {"kind": "fake"}).up()
            policies = [{"kind": "threshold", "metric": "cpu", "above": 80, "window": "30s"}]
            scaling.put(ctx, "web", ScalingSpec.from_plain({"policies": policies, "min": 1, "max": 3}))
            now = ctx.clock.now()
            for at in (now - 20, now - 10):
                scaling.put_look(ctx, "web", scaling.Look(at=at, statuses={"in_service": 1}))
                decision = Decision(name="web", group="web", at=at, size=1, wished=1, clamped=1, reason="it is enough")
                scaling.put_decision(ctx, decision)
            clusters.save(ctx, Cluster(name="lab", cloud="fake", max=4), "cluster.create", "asked for")
            yield made
        ctx.close()


def _experiment(ctx: Context) -> None:
    """Store an experiment that has ended, with its tasks and a node of it."""
    spec = {"name": "fit", "commands": ["true"], "grid": {"alpha": [1, 2]}, "values": [{"name": "error"}], "repeats": 4}
    experiment = Experiment(name="fit", status="done", spec=spec, tasks=8, done=8)
    store.create(ctx, experiment, [each.with_(status="done", values={"error": 1}) for each in tasks_of(experiment)])
    store.put_node(ctx, Node(name="web1", cloud="fake", experiment="fit", status="released"))


@pytest.fixture(autouse=True)
def _home(client: TestClient, own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> None:
    """Let the service find its own home, not that of the single test."""
    folder = next(tmp_path_factory.getbasetemp().glob("home*/.cloudmesh/rest.token")).parent
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(folder))
    monkeypatch.setattr(ssh, "answers", lambda *_: True)


@pytest.mark.parametrize(
    "line",
    [line for line in LINES if read(line).method == "GET" and read(line).path not in ENDLESS],
    ids=lambda line: read(line).path,
)
def test_what_reads_is_answered(client: TestClient, line: str) -> None:
    asked = read(line)
    response = client.get(asked.path, params=list(asked.query))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("line", [line for line in LINES if read(line).body], ids=lambda line: read(line).path)
def test_what_changes_is_understood(client: TestClient, line: str) -> None:
    asked = read(line)
    response = client.post(asked.path, json={**json.loads(asked.body), "dry_run": True})
    assert response.status_code in (200, 404, 409, 422), response.text
    if response.status_code == 422:
        assert "problems" not in response.json()["error"]["details"]
    elif response.status_code == 200:
        assert response.json()["kind"] in ("plan", "list")


def test_the_page_written_by_hand_speaks_of_what_there_is() -> None:
    text = (DOCS / "rest.md").read_text(encoding="utf-8")
    spoken = set(re.findall(r"/v1/[a-z/-]+[a-z]", text))
    assert len(spoken) >= 8
    assert not spoken - set(ROUTES) - {"/v1/operation/events/op"}
    numbers = {"cms_http_requests_total", "cms_http_request_seconds", "cms_operations_total", "cms_operations_running",
               "cms_vms", "cms_cloud_errors_total"}  # fmt: skip
    assert not [name for name in numbers if f"`{name}`" not in text]
