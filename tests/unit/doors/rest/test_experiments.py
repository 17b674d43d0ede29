"""Experiments over HTTP: a file is sent, the change is followed, and what came of it is read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.doors.rest.app import Door
from cloudms.engine.archive import Archive
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import ended, problem

FILE = """\
commands: echo {a}
parameters: {a: [1, "ä b"]}
values: {said: 'would run: (.*)'}
"""
WHERE = {"size": "2", "image": "micro", "cloud": "fake"}


def test_an_experiment_is_sent_and_followed(client: TestClient) -> None:
    begun = client.post("/v1/experiment/run", data=WHERE, files={"file": ("fit.yaml", FILE)})
    assert begun.status_code == 202, begun.text
    assert ended(client, begun.json()["operation"]["name"])["state"] == "done"
    (listed,) = client.get("/v1/experiment/list").json()["items"]
    assert (listed["name"], listed["status"], listed["done"]) == ("experiment", "done", 2)
    rows = client.get("/v1/experiment/results?name=experiment").json()["items"]
    assert [(row["a"], row["said"], row["node"]) for row in rows] == [
        (1, "echo 1", "experiment-node-1"),
        ("ä b", "echo 'ä b'", "experiment-node-2"),
    ]
    watched = client.get("/v1/experiment/watch?name=experiment")
    assert (watched.status_code, watched.text) == (200, "")
    assert client.get("/v1/experiment/logs?name=experiment/2").text == "would run: echo 'ä b'\n"
    nodes = client.get("/v1/node/list?experiment=experiment").json()["items"]
    assert [(node["status"], node["currentJob"]) for node in nodes] == [("released", [])] * 2
    assert {"name", "status", "currentJob", "history"} <= nodes[0].keys()
    info = client.get("/v1/experiment/info?name=experiment").json()
    assert {"name", "status", "input", "output", "description", "commands"} <= info.keys()
    assert client.get("/v1/vm/list").json()["items"] == []


def test_its_files_come_as_an_archive(client: TestClient, home: Path) -> None:
    begun = client.post("/v1/experiment/run", data={**WHERE, "name": "fit"}, files={"file": ("fit.yaml", FILE)})
    assert ended(client, begun.json()["operation"]["name"])["state"] == "done"
    before = sorted(home.rglob("*"))
    got = client.get("/v1/experiment/fetch?name=fit")
    assert (got.status_code, got.headers["content-type"]) == (200, "application/x-tar")
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''fit.tar"
    with tarfile.open(fileobj=io.BytesIO(got.content), mode="r:") as found:
        names = found.getnames()
        table = found.extractfile("fit/results.csv")
        assert table is not None
        rows = table.read().decode().splitlines()
    assert {"fit", "fit/0001", "fit/0001/stdout", "fit/0002/stdout", "fit/results.csv"} <= set(names)
    assert all(name == "fit" or name.startswith("fit/") for name in names)
    assert rows[0].startswith("task,")
    assert len(rows) == 3
    assert [file for file in sorted(home.rglob("*")) if file not in before and "sqlite" not in file.name] == []


def test_what_cannot_be_fetched_is_refused(client: TestClient) -> None:
    gone = client.get("/v1/experiment/fetch?name=nothing")
    assert (gone.status_code, problem(gone)["code"]) == (404, "not_found")
    for word in ("folder=/tmp/x", "overwrite=true", "dry_run=true"):
        refused = client.get(f"/v1/experiment/fetch?name=fit&{word}")
        name = word.partition("=")[0]
        assert (refused.status_code, problem(refused)["message"]) == (422, f"there is no parameter '{name}'")
    assert client.post("/v1/experiment/fetch", json={"name": "fit"}).status_code == 405


def test_a_service_that_stops_breaks_an_archive_off(
    client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"begun"
        door.work.closing.set()
        yield b"more"
        yield b"never the end"

    begun = client.post("/v1/experiment/run", data={**WHERE, "name": "fit"}, files={"file": ("fit.yaml", FILE)})
    ended(client, begun.json()["operation"]["name"])
    monkeypatch.setattr("cloudms.verbs.experiment.results.tar", lambda *_: Archive(name="x", chunks=chunks()))
    got = client.get("/v1/experiment/fetch?name=fit")
    assert b"never" not in got.content


def test_a_plan_tells_what_would_be_done(client: TestClient) -> None:
    planned = client.post("/v1/experiment/run", data={**WHERE, "dry_run": "true"}, files={"file": ("x", FILE)})
    assert planned.status_code == 200, planned.text
    assert planned.json()["shows"]["tasks"] == "0001  echo 1\n0002  echo 'ä b'"


def test_what_is_sent_reads_nothing_of_the_machine_of_the_service(client: TestClient) -> None:
    for line in ("inputs: [/etc/passwd]", "environment: {A: env:HOME}", "labels: !include /etc/passwd"):
        refused = client.post("/v1/experiment/run", data=WHERE, files={"file": ("x", f"commands: ls\n{line}\n")})
        assert refused.status_code == 422, refused.text
        assert "root:" not in refused.text
        assert "uploads" not in refused.text
    assert "a file that is sent" in problem(refused)["message"] or "section" in problem(refused)["message"]
