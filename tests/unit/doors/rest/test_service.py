"""Where the service listens, and where it does not."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.rest.replies import unreadable
from cloudms.doors.rest.service import Service
from cloudms.errors import CloudmsError, Conflict, Denied, Invalid
from cloudms.verbs.serve import serve


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for tests."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("host", ["10.0.0.1", "example.org", "192.168.0.2", "::"])
def test_nothing_is_exposed_unless_it_is_wanted_and_encrypted(ctx: Context, host: str) -> None:
    with pytest.raises(Denied, match="other machines could reach"):
        Service(ctx, host=host, port=0)
    with pytest.raises(Denied, match="in clear"):
        Service(ctx, host=host, port=0, expose=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_with_a_certificate_it_may_be_exposed(ctx: Context, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    assert Service(ctx, host="10.0.0.1", port=0, expose=True, tls_cert=cert, tls_key=key).host == "10.0.0.1"


@pytest.mark.parametrize("options", [{"tls_cert": Path("x")}, {"tls_key": Path("x")}])
def test_a_certificate_and_its_key_belong_together(ctx: Context, options: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="belong together"):
        Service(ctx, host="127.0.0.1", port=0, **options)


def test_what_is_no_certificate_is_refused(ctx: Context, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(Invalid, match="no certificate"):
        Service(ctx, host="127.0.0.1", port=0, tls_cert=tmp_path / "x", tls_key=tmp_path / "x")


def test_a_port_that_is_taken_is_said(ctx: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match=f"127.0.0.1:{port} cannot be listened at"):
            next(Service(ctx, host="127.0.0.1", port=port).run())


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 65}, {"port": -1}, {"port": 65536}])
def test_numbers_that_make_no_sense_are_refused(ctx: Context, options: dict[str, Any]) -> None:
    with pytest.raises(CloudmsError) as caught:
        next(serve(ctx, **options))
    assert caught.value.code == "invalid"


def test_the_description_is_printed_without_a_service(ctx: Context, home: Path) -> None:
    (text,) = serve(ctx, openapi=True)
    assert json.loads(text)["openapi"] == "3.1.0"
    assert not (home / "rest.token").exists()


def test_it_says_where_it_is_and_where_the_token_is_but_not_the_token(ctx: Context, home: Path) -> None:
    running: Any = Service(ctx, host="127.0.0.1", port=0).run()
    told = [next(running), next(running)]
    running.close()
    assert told[0].startswith("listening at http://127.0.0.1:")
    assert told[1] == f"the token is in {home / 'rest.token'}"
    assert (home / "rest.token").read_text().strip() not in "".join(told)


def test_what_is_no_http_is_refused_in_the_same_shape() -> None:
    error = json.loads(unreadable())["error"]
    assert (error["code"], bool(error["hint"])) == ("invalid", True)
