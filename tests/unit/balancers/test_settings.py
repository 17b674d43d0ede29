"""The settings of a balancer: what is taken, what is refused, and what HAProxy is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.balancers.haproxy import conf
from cloudms.balancers.settings import Settings
from cloudms.errors import Invalid


def test_what_is_given_is_taken_and_the_rest_is_as_always() -> None:
    given = {"port": "9000", "check": "", "timeout": "30s", "queue": 90, "idempotent": True, "slots": None}
    settings = Settings.from_plain(given)
    assert (settings.port, settings.check, settings.timeout, settings.queue) == (9000, "", 30.0, 90.0)
    assert settings.idempotent
    assert settings.slots == Settings().slots
    plain = {"port": 9000, "check": "", "timeout": 30.0, "queue": 90.0, "idempotent": True}
    assert settings.to_plain() == plain
    assert Settings.from_plain(plain) == settings
    assert Settings().to_plain() == {}


@pytest.mark.parametrize(
    "given",
    [
        {"port": 0}, {"port": 65536}, {"port": "http"}, {"port": True}, {"port": 80.5}, {"slots": 0}, {"slots": -1},
        {"most": 5000}, {"interval": 0}, {"interval": "soon"}, {"interval": "nan"}, {"timeout": float("nan")},
        {"timeout": float("inf")}, {"queue": -1}, {"retries": -1}, {"fall": 0}, {"idempotent": "yes"},
        {"idempotent": 1}, {"check": "health"}, {"check": 5}, {"check": "/a b"}, {"check": "/a\nb"},
        {"check": "/" + "a" * 300}, {"check": "/a#b"}, {"check": "/a\"b"}, {"address": "localhost"},
        {"address": "127.0.0.1 8080"}, {"address": "1.2.3"}, {"address": 5},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        Settings.from_plain(given)
    assert refused.value.hint
    assert "\n" not in refused.value.message


def test_an_unknown_setting_is_told_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="no setting 'slot'") as refused:
        Settings.from_plain({"slot": 4})
    assert refused.value.hint == "did you mean 'slots'"


def test_haproxy_is_told_all_of_it() -> None:
    settings = Settings.from_plain(
        {"slots": 7, "most": 9, "check": "/up", "interval": 2, "fall": 4, "rise": 3, "retries": 1, "connect": "0.5s",
         "timeout": 3, "queue": 4}
    )  # fmt: skip
    text = conf.text(settings, "127.87.0.1", 8081, "cms-web", user="haproxy")
    for line in (
        "bind 127.87.0.1:8081", "option httpchk GET /up", "http-check expect status 200", "retries 1",
        "timeout connect 500ms", "timeout server 3000ms", "timeout queue 4000ms",
        "server-template s 1-9 127.0.0.1:1 disabled", "user haproxy", "group haproxy",
    ):  # fmt: skip
        assert f"    {line}\n" in text, line
    assert " inter 2000ms fastinter 100ms downinter 100ms fall 4 rise 3 " in text
    assert text.rstrip().count(" maxconn 7\n") == 1
    assert text.count("    retries 1\n") == 2, "both passes try so often"
    assert "{hold}" not in text and "{{" not in text


def test_only_what_is_safe_twice_is_done_twice() -> None:
    careful = "http-request disable-l7-retry unless { method GET HEAD OPTIONS }"
    assert careful in conf.text(Settings(), "127.87.0.1", 8080, "cms-web")
    assert careful not in conf.text(Settings(idempotent=True), "127.87.0.1", 8080, "cms-web")


def test_requests_wait_for_a_member_as_long_as_they_may() -> None:
    text = conf.text(Settings(hold=12.5), "127.87.0.1", 8080, "cms-web")
    assert "    lua-load hold.lua\n" in text and "    http-request lua.hold\n" in text
    assert 'while waited < 12500 and txn.f:nbsrv("members") == 0 do' in conf.lua(Settings(hold=12.5))
    assert "lua" not in conf.text(Settings(hold=0), "127.87.0.1", 8080, "cms-web")


def test_without_a_path_a_connection_is_enough() -> None:
    text = conf.text(Settings(check=""), "::1", 8080, "cms-web")
    assert "httpchk" not in text and "http-check" not in text
    assert "bind [::1]:8080" in text
    assert "user " not in text
