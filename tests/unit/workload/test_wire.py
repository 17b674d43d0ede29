"""One connection to a service: what it answers, or why it does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cloudms.errors import Invalid
from cloudms.workload.sending import Aim, Request
from cloudms.workload.wire import Wire, address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def speaking(*replies: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Listen, answer each connection with the next reply, and close it; give the address and what was received."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(reply)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join(30)


def test_what_comes_back_is_a_reply() -> None:
    busy = b'HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 17\r\n\r\n{"error": "full"}'
    with speaking(busy) as (url, _), Wire(address(url), timeout=30) as wire:
        reply = wire.ask("GET", "/stats")
    assert (reply.status, reply.reason, reply.wait, reply.document) == (503, "503 full", 7.0, {"error": "full"})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "the connection was closed"),
        (b"SSH-2.0-dropbear\r\n", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", "the answer was cut off"),
    ],
)
def test_what_goes_wrong_is_a_reply_too(said: bytes, reason: str) -> None:
    with speaking(said) as (url, _), Wire(address(url), timeout=30) as wire:
        reply = wire.ask("GET", "/")
    assert reply.status == 0
    assert reason in reply.reason


def test_nobody_there_and_nobody_answering_are_told_apart() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with Wire(address(f"http://127.0.0.1:{taken.getsockname()[1]}"), timeout=30) as wire:
            assert wire.ask("GET", "/").reason == "the connection was refused"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        wire = Wire(address(f"http://127.0.0.1:{mute.getsockname()[1]}"), timeout=0.01)
        assert wire.ask("GET", "/").reason == "no answer in time"


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    with speaking(OK, OK) as (url, heard), Wire(address(url), timeout=30) as wire:
        assert wire.ask("GET", "/1").status == 200
        assert wire.ask("GET", "/2").status == 200
    assert [line.split()[1] for line in heard] == [b"/1", b"/2"]


def test_a_reply_that_is_no_json_is_a_reply() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
    with speaking(page) as (url, _), Wire(address(url), timeout=30) as wire:
        reply = wire.ask("GET", "/")
    assert (reply.status, reply.document) == (200, {})


def test_any_address_gets_the_id_in_a_header() -> None:
    request = Request(id="aa-1", plate="KL-12-AB-3456", due=0.0)
    for kind, word in (("get", b"GET"), ("post", b"POST")):
        with speaking(OK) as (url, heard):
            aim = Aim(address(f"{url}/shop?item=1"), kind, 30.0)  # type: ignore[arg-type]
            assert aim(request).status == 200
            aim.close()
        assert heard[0].startswith(word + b" /shop?item=1 HTTP/1.1\r\n")
        assert b"X-Request-Id: aa-1\r\n" in heard[0]
        assert b"KL-12" not in heard[0]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://[::1]/a/b?c=d", "https://[::1]:443/a/b?c=d"),
    ],
)
def test_an_address_is_read(url: str, text: str) -> None:
    assert address(url).text == text


@pytest.mark.parametrize(
    "url", ["", "web-1", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "http://a\r\nb/",
            "http://ada:secret@127.0.0.1", "http://[::1", "http://127.0.0.1:99999", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Invalid):
        address(url)
