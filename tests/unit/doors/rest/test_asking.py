"""What clients may say, and how they are told that they may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import KEY, Do, ended, problem


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("lable=a=b", "there is no parameter 'lable'"),
        ("limit=0", "limit: input should be greater than or equal to 1"),
        ("limit=1001", "limit: input should be less than or equal to 1000"),
        ("limit=x", "limit: input should be a valid integer"),
        ("limit=1&limit=2", "limit is given twice"),
        ("label=web", "label: 'web' is not of the form key=value"),
        ("&".join(["label=a=b"] * 101), "more than 100 of label are given"),
        ("cached=maybe", "cached: input should be a valid boolean"),
        ("names=a%00b", "names.0: string should match pattern"),
        ("after=nonsense", "`after` is not a cursor"),
        ("token=secret", "there is no parameter 'token'"),
    ],
)
def test_a_query_that_is_wrong_is_explained(client: TestClient, query: str, message: str) -> None:
    response = client.get(f"/v1/vm/list?{query}")
    assert response.status_code == 422
    told = problem(response)
    assert told["code"] == "invalid"
    assert told["message"].startswith(message)
    assert told["hint"]


def test_the_nearest_parameter_is_named(client: TestClient) -> None:
    assert problem(client.get("/v1/vm/list?lable=a=b"))["hint"] == "did you mean 'label'"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"count": "3"}, "count: input should be a valid integer"),
        ({"count": 1.5}, "count: input should be a valid integer"),
        ({"count": 10**12}, "count: input should be less than"),
        ({"timeout": 1e12}, "timeout: input should be less than"),
        ({"wait": "never"}, "wait: input should be 'ready', 'running' or 'none'"),
        ({"label": ["a"]}, "label: input should be an object"),
        ({"user_data": "/etc/passwd"}, "there is no parameter 'user_data'"),
        ({"name": "a\nb"}, "name: string should match pattern"),
        ({"model_fields": 1}, "there is no parameter 'model_fields'"),
    ],
)
def test_a_body_that_is_wrong_is_explained(client: TestClient, body: dict[str, Any], message: str) -> None:
    response = client.post("/v1/vm/boot", json=body)
    assert response.status_code == 422
    assert problem(response)["message"].startswith(message)


@pytest.mark.parametrize("content", ["{", "[]", "null", '"x"', "NaN", '{"count": NaN}', "\xff", '{"name": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(client: TestClient, content: str) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/v1/vm/boot", content=content.encode("latin-1"), headers=headers)
    assert response.status_code == 422
    assert problem(response)["code"] == "invalid"


def test_an_empty_body_is_no_parameters(client: TestClient) -> None:
    response = client.post("/v1/sweep")
    assert (response.status_code, response.json()["kind"]) == (200, "list")


def test_other_kinds_of_bodies_are_refused(client: TestClient) -> None:
    for path, kind in (("vm/boot", "application/x-www-form-urlencoded"), ("vm/delete", "multipart/form-data")):
        response = client.post(f"/v1/{path}", content=b"name=x", headers={"content-type": kind})
        assert response.status_code == 415
        assert problem(response)["code"] == "invalid"


def test_a_change_takes_nothing_from_the_query(client: TestClient) -> None:
    response = client.post("/v1/vm/boot?name=web", json={"image": "micro"})
    assert response.status_code == 422
    assert "query" in problem(response)["message"]


def test_words_and_pairs_of_a_query(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web", count=3, label={"tier": "web"})
    do("vm/boot", image="micro", name="db")
    found = client.get("/v1/vm/list", params={"names": ["web-[1-2]", "db"], "cached": "true"}).json()
    assert [item["name"] for item in found["items"]] == ["db", "web-1", "web-2"]
    labelled = client.get("/v1/vm/list?label=tier=web&cached=true").json()
    assert len(labelled["items"]) == 3


def test_a_file_is_sent_as_a_form(client: TestClient) -> None:
    begun = client.post("/v1/key/add", data={"name": "work", "label": "use=lab"}, files={"file": ("x.pub", KEY)})
    assert begun.status_code == 202, begun.text
    assert ended(client, begun.json()["operation"]["name"])["state"] == "done"
    assert client.get("/v1/key/get?name=work").text == KEY
    (key,) = client.get("/v1/key/list").json()["items"]
    assert (key["name"], key["labels"]) == ("work", {"use": "lab"})


def test_a_file_that_must_be_sent_is_never_taken_from_this_machine(client: TestClient) -> None:
    for response in (
        client.post("/v1/key/add", json={"name": "work"}),
        client.post("/v1/key/add", files={"name": (None, "work")}),
    ):
        assert response.status_code == 422
        assert problem(response)["message"] == "file is missing"


def test_files_that_nobody_asked_for_are_refused(client: TestClient) -> None:
    unknown = client.post("/v1/key/add", data={"name": "work"}, files={"fiel": ("x", KEY)})
    twice = client.post("/v1/key/add", data={"name": "work"}, files=[("file", ("x", KEY)), ("file", ("y", KEY))])
    broken = client.post("/v1/key/add", content=b"x", headers={"content-type": "multipart/form-data; boundary=y"})
    for response in (unknown, twice, broken):
        assert response.status_code in (400, 422), response.text
        assert problem(response)["code"] == "invalid"


def test_a_text_in_the_place_of_a_file_is_refused(client: TestClient) -> None:
    response = client.post("/v1/vm/boot", files={"user_data": (None, "/etc/passwd"), "image": (None, "micro")})
    assert response.status_code == 422
    assert problem(response)["message"] == "there is no parameter 'user_data'"
