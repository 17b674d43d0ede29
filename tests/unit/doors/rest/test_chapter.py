"""Groups, runs, experiments and clusters stand in every door; what does not is named here, with its reason."""

from __future__ import annotations

import io
import tarfile

import pytest

from cloudms import registry
from cloudms.cluster import store
from cloudms.cluster.control import Control, over
from cloudms.context import Context
from cloudms.doors.rest.routes import routes
from cloudms.engine import keys
from cloudms.verb import DOORS
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import Do, problem

CHAPTER = ("group", "run", "put", "get", "experiment", "node", "cluster", "inventory", "ansible")
ELSEWHERE = {("ansible",): "it becomes a program of the person's own, on their terminal, with a playbook of theirs"}
"""What stands in all doors but REST, and why; docs/ansible.md says it, too."""


def test_every_command_of_the_chapter_stands_in_every_door() -> None:
    over_rest = {route.entry.path for route in routes()}
    entries = [entry for entry in registry.index().verbs if entry.path[0] in CHAPTER]
    assert {entry.path[0] for entry in entries} == set(CHAPTER)
    missing = {
        (" ".join(entry.path), door)
        for entry in entries
        for door in DOORS
        if door not in entry.doors or (door == "rest" and entry.path not in over_rest)
    }
    assert missing == {(" ".join(path), "rest") for path in ELSEWHERE}


def test_the_files_of_a_run_come_as_an_archive(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web1")
    run = do("get", remote="/etc/hostname", on=["web1"])
    assert run["state"] == "done"
    got = client.get("/v1/run/fetch")
    assert (got.status_code, got.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(got.content), mode="r:") as found:
        names = found.getnames()
    assert names[0] == "run-1"
    assert "run-1/records.json" in names


def test_files_are_put_on_vms_as_they_are_sent(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web1")
    sent = client.post("/v1/put", data={"remote": "/opt/setup.sh", "on": "web1"}, files={"local": ("x", b"#!/bin/sh")})
    assert sent.status_code == 202, sent.text
    refused = client.post("/v1/put", json={"local": "/etc/passwd", "remote": "/opt/x", "on": ["web1"]})
    assert (refused.status_code, problem(refused)["code"]) == (422, "invalid")


def test_a_slurm_elsewhere_is_added_with_a_key_by_its_name(
    ctx: Context, client: TestClient, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(Control, "jobs", lambda self: asked.append(over(self.cluster)) or [])
    own = keys.ensure_own(ctx)
    assert do("cluster/add", name="hpc", ssh="ada@login.example.org", key=own.name)["state"] == "done"
    assert do("cluster/add", name="hpctwo", ssh="login")["state"] == "done"
    assert (store.find(ctx, "hpc").ssh_key, store.find(ctx, "hpctwo").ssh_key) == (own.private_path, "")
    first, second = asked
    assert first[first.index("-i") + 1] == own.private_path
    assert first[-2:] == ["--", "ada@login.example.org"]
    assert "-i" not in second
    for key in ("/home/ada/.ssh/id_ed25519", "../cloudms", "nobody"):
        refused = client.post("/v1/cluster/add", json={"name": "third", "ssh": "login", "key": key})
        assert (refused.status_code, problem(refused)["code"]) == (404, "not_found")
    for place in ("-oProxyCommand=touch /tmp/x", "a b", ""):
        refused = client.post("/v1/cluster/add", json={"name": "third", "ssh": place})
        assert refused.status_code == 422
