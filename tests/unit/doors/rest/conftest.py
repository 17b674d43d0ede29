"""The REST door over the fake cloud, without a network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.rest.app import Door
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.log import Log
from cloudms.record import Record
from cloudms.registry import Index
from tests.unit.doors.conftest import real
from tests.unit.doors.rest.client import TestClient

CONFIG = """\
cloudmesh:
  default: {cloud: fake}
  cloud:
    local: {cm: {kind: fake, active: false}}
    fake: {cm: {kind: fake, active: true}, boot_seconds: 0.01, credentials: {password: hidden-fake}}
    other: {cm: {kind: fake, active: true}, boot_seconds: 0.01}
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g laptop\n"
BASE = "http://127.0.0.1:8321"


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Leave the real verbs in their place."""
    return real(monkeypatch)


@pytest.fixture
def home(own_home: Path) -> Path:
    """Return the folder of the configuration, with two fake clouds."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700, exist_ok=True)  # the index may have been kept in it
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    (folder / "cloudmesh.yaml").chmod(0o600)
    return folder


@pytest.fixture
def said() -> io.StringIO:
    """Return what the service says while it runs."""
    return io.StringIO()


@pytest.fixture
def token(home: Path) -> Token:
    """Return the token of the service."""
    found = Token(home / "rest.token")
    found.provide()
    return found


@pytest.fixture
def ctx(home: Path) -> Iterator[Context]:
    """Return the context of the service."""
    made = Context()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams look for news more often than people need."""
    monkeypatch.setattr("cloudms.doors.rest.events.LOOK_S", 0.02)


@pytest.fixture
def door(ctx: Context, token: Token, said: io.StringIO) -> Door:
    """Return the door, not yet running."""
    return Door(ctx, token, log=Log(ctx.clock, stream=said), allowed=("cms.example.org",))


@pytest.fixture
def client(door: Door, token: Token) -> Iterator[TestClient]:
    """Return a client that has the token, while the service runs."""
    headers = {"authorization": f"Bearer {token.file.read_text().strip()}"}
    with TestClient(door.gate, base_url=BASE, headers=headers, raise_server_exceptions=False) as found:
        yield found


class Told(Record):
    """One server-sent event."""

    name: str
    data: Any
    number: str = ""


def events(text: str) -> list[Told]:
    """Return the events of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append(Told(name=fields["event"], data=json.loads(fields["data"]), number=fields.get("id", "")))
    return found


@pytest.fixture
def do(client: TestClient) -> Callable[..., dict[str, Any]]:
    """Return a function that makes a change, waits for its end and returns its operation."""

    def make(path: str, **body: Any) -> dict[str, Any]:
        begun = client.post(f"/v1/{path}", json=body)
        assert begun.status_code == 202, begun.text
        return ended(client, begun.json()["operation"]["name"])

    return make


def ended(client: TestClient, name: str) -> dict[str, Any]:
    """Wait for the end of an operation and return it."""
    told = events(client.get(f"/v1/operation/events/{name}").text)
    assert told[-1].name == "end"
    found: dict[str, Any] = told[-1].data
    return found


def problem(response: Any) -> dict[str, Any]:
    """Return the error of a reply, which has the one shape and nothing else."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"kind", "code", "message", "hint", "retryable", "details"}
    found: dict[str, Any] = body["error"]
    return found


Do = Callable[..., dict[str, Any]]
