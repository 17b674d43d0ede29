"""Who is let in, and what every reply carries."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest

from cloudms.doors.rest.app import Door
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.hosts import is_loopback, name_of
from cloudms.errors import Denied, Invalid
from tests.unit.doors.rest.client import TestClient
from tests.unit.doors.rest.conftest import Do, problem


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "bearer x{}", "Bearer {} {}"]
)
def test_nobody_comes_in_without_the_token(client: TestClient, token: Token, header: str) -> None:
    value = token.file.read_text().strip()
    for path in ("/v1/vm/list", "/metrics", "/openapi.json", "/nowhere"):
        response = client.get(path, headers={"authorization": header.replace("{}", value)})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="cloudms"'
        assert problem(response)["code"] == "denied"


def test_only_whether_it_lives_is_told_to_everybody(client: TestClient) -> None:
    response = client.get("/healthz", headers={"authorization": ""})
    assert (response.status_code, response.text) == (200, "ok\n")


def test_the_scheme_of_the_token_is_spelled_in_any_case(client: TestClient, token: Token) -> None:
    value = token.file.read_text().strip()
    assert client.get("/v1/vm/list", headers={"authorization": f"bearer {value}"}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8321", "127.0.0.1", "127.9.9.9:1", "[::1]:8321", "LOCALHOST.",
                                  "cms.example.org", "CMS.example.org:443"])  # fmt: skip
def test_names_of_this_machine_are_its_own(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.example.org", "localhost.evil", "10.0.0.1", "",
                                  "[::2]", "[", "a b", "127.0.0.1@evil.example.org"])  # fmt: skip
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    for path in ("/healthz", "/v1/vm/list"):
        response = client.get(path, headers={"host": host})
        assert response.status_code == 403
        assert problem(response)["code"] == "denied"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example.org"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8321"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post("/v1/sweep", headers=headers)
    assert response.status_code == 403
    assert problem(response)["message"] == "pages of other sites are refused"
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_its_own_pages_are_let_in(client: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:8321", "sec-fetch-site": "same-origin"}
    assert client.get("/v1/vm/list", headers=own).status_code == 200


def test_a_browser_that_asks_first_gets_no_permission(client: TestClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    response = client.options("/v1/vm/boot", headers=asked)
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    whole = client.post("/v1/vm/boot", content=b" " * (9 << 20), headers={"content-type": "application/json"})
    parts = client.post(
        "/v1/vm/boot", content=(b" " * (1 << 20) for _ in range(9)), headers={"content-type": "application/json"}
    )
    for response in (whole, parts):
        assert response.status_code == 413
        assert problem(response)["code"] == "invalid"


def test_the_body_of_who_is_not_let_in_is_not_waited_for(client: TestClient) -> None:
    assert client.post("/v1/sweep", headers={"authorization": "x"}).headers["connection"] == "close"
    assert client.post("/v1/sweep", headers={"origin": "http://evil.example"}).headers["connection"] == "close"
    assert client.get("/v1/nowhere").headers.get("connection") != "close"


def test_who_hangs_up_before_the_body_is_there_begins_nothing_and_is_no_bug(
    client: TestClient, door: Door, token: Token, said: io.StringIO
) -> None:
    messages = [{"type": "http.request", "body": b'{"image": "mi', "more_body": True}, {"type": "http.disconnect"}]
    answered: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        answered.append(message)

    headers = {"host": "127.0.0.1:8321", "authorization": f"Bearer {token.file.read_text().strip()}",
               "content-type": "application/json", "content-length": "20"}  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": "/v1/vm/boot", "raw_path": b"/v1/vm/boot", "query_string": b"",
        "scheme": "http", "http_version": "1.1", "root_path": "", "server": ("127.0.0.1", 8321), "client": ("peer", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(door.gate(scope, receive, send))
    assert messages == []
    assert [message.get("body", message.get("status")) for message in answered] == [499, b""]
    assert "peer POST /v1/vm/boot 499" in said.getvalue()
    assert "bug" not in said.getvalue()
    assert client.get("/v1/operation/list").json()["items"] == []


@pytest.mark.parametrize("path", ["/healthz", "/v1/vm/list", "/v1/vm/info", "/nowhere"])
def test_every_reply_has_the_headers_that_keep_browsers_quiet(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert not {"server", "set-cookie", "strict-transport-security"} & set(headers)


def test_the_log_has_a_line_per_request_and_no_secret(
    client: TestClient, token: Token, said: io.StringIO, do: Do
) -> None:
    value = token.file.read_text().strip()
    client.get(f"/v1/vm/list?token={value}")
    client.get(f"/{value}%0d%0aforged line")
    client.get("/v1/vm/list", headers={"authorization": f"Bearer {value}"})
    do("vm/boot", image="micro", name="web")
    told = said.getvalue()
    assert value not in told
    assert "testclient GET /v1/vm/list 422" in told
    assert "GET (none) 404" in told
    assert "forged" not in told
    assert len(told.splitlines()) == 5


def test_no_secret_of_the_configuration_is_in_any_reply(client: TestClient, do: Do) -> None:
    do("vm/boot", image="micro", name="web", cloud="fake")
    paths = [path for path, item in client.get("/openapi.json").json()["paths"].items() if "get" in item]
    asked = {"/v1/vm/info": {"name": "web"}, "/v1/scaler/simulate": {"days": "1", "step": "1h"}}
    read = 0
    for path in paths:
        if "{" not in path:
            response = client.get(path, params=asked.get(path, {}))
            assert "hidden-fake" not in response.text
            read += response.status_code == 200
    assert read >= 15


# The token


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "token"
    Token(file).provide()
    first = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(first.strip()) >= 40
    Token(file).provide()
    assert file.read_text() == first


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("x" * 40)
    file.chmod(0o644)
    with pytest.raises(Denied, match="others can read"):
        Token(file).provide()


def test_a_token_that_others_may_read_meanwhile_lets_nobody_in(client: TestClient, token: Token) -> None:
    token.file.chmod(0o644)
    assert client.get("/v1/cloud/list").status_code == 401
    token.file.chmod(0o600)
    assert client.get("/v1/cloud/list").status_code == 200


def test_a_pipe_is_no_token_and_nobody_waits_for_it(client: TestClient, token: Token) -> None:
    kept = token.file.rename(token.file.with_suffix(".kept"))
    os.mkfifo(token.file, 0o600)
    assert client.get("/v1/cloud/list").status_code == 401
    with pytest.raises(Denied):
        token.provide()
    kept.replace(token.file)
    assert client.get("/v1/cloud/list").status_code == 200


@pytest.mark.parametrize("text", ["", "short", "two words of a kind that is long"])
def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(Invalid, match="holds no token"):
        Token(file).provide()


def test_a_token_that_is_replaced_counts_at_once(client: TestClient, token: Token) -> None:
    old = {"authorization": f"Bearer {token.file.read_text().strip()}"}
    new = "n" * 43
    token.file.write_text(new)
    os.utime(token.file, ns=(1, 1))
    assert client.get("/v1/vm/list", headers=old).status_code == 401
    assert client.get("/v1/vm/list", headers={"authorization": f"Bearer {new}"}).status_code == 200
    token.file.unlink()
    assert client.get("/v1/vm/list", headers={"authorization": f"Bearer {new}"}).status_code == 401


def test_names_and_addresses() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("10.0.0.1") and not is_loopback("example.org")
    assert (name_of("[::1]:80"), name_of("a:b:c"), name_of("x.org.")) == ("::1", "a", "x.org")
