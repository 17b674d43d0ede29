"""Every answer of OpenStack's services that is none of success has its class, one line and a hint."""

from __future__ import annotations

import pytest

from cloudms import errors as house
from cloudms.clouds.openstack.errors import answered, code_of, said, status_of, unclear

NOVA = '{{"{word}": {{"code": {status}, "message": "{text}"}}}}'
NEUTRON = '{{"NeutronError": {{"type": "{word}", "message": "{text}", "detail": ""}}}}'


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "Invalid flavorRef", house.Invalid),
        (401, "The request you have made requires authentication", house.Denied),
        (403, "Policy doesn't allow os_compute_api:os-server-diagnostics to be performed", house.Denied),
        (403, "Quota exceeded for cores: Requested 8, but already used 16 of 20 cores", house.NoCapacity),
        (403, "Maximum number of metadata items exceeds 128", house.Invalid),
        (404, "Instance x could not be found", house.NotFound),
        (409, "Cannot 'start' instance x while it is in vm_state active", house.Conflict),
        (409, "Instance x is locked", house.Conflict),
        (409, "Key pair 'a' already exists.", house.Exists),
        (413, "VolumeSizeExceedsAvailableQuota: Requested volume exceeds allowed gigabytes quota", house.NoCapacity),
        (413, "This request was rate-limited. Retry later", house.Throttled),
        (429, "Too many requests", house.Throttled),
        (500, "No valid host was found. There are not enough hosts available.", house.NoCapacity),
        (500, "Unexpected API Error", house.NotReady),
        (501, "not implemented", house.Unsupported),
        (503, "", house.NotReady),
    ],
)
def test_every_answer_has_its_class(status: int, text: str, kind: type[house.CloudmsError]) -> None:
    for shape in (NOVA, NEUTRON):
        error = answered(
            status, shape.format(word="someError", status=status, text=text), "GET /x", "compute", "R1", {}
        )
        assert type(error) is kind
        assert error.message.startswith("nova in R1: ")
        assert "\n" not in error.message
        assert (status_of(error), code_of(error)) == (status, "someError")


@pytest.mark.parametrize(
    ("body", "message", "word"),
    [
        ('{"itemNotFound": {"code": 404, "message": "no such\\nthing."}}', "no such thing", "itemNotFound"),
        ('{"NeutronError": {"type": "NoMore", "message": "none left", "detail": ""}}', "none left", "NoMore"),
        ('{"error": {"code": 401, "title": "Unauthorized", "message": "who are you"}}', "who are you", "Unauthorized"),
        ('{"errors": [{"detail": "no room", "code": "placement.undefined"}]}', "no room", "placement.undefined"),
        ('{"message": "plain"}', "plain", ""),
        ("<html><head><title>404</title></head><h1>404</h1>No image <br /></html>", "404 No image", ""),
        ("Bad Gateway", "Bad Gateway", ""),
        ("", "", ""),
        ("{broken", "{broken", ""),
        ("[1, 2]", "[1, 2]", ""),
    ],
)  # fmt: skip
def test_the_message_is_found_however_it_is_wrapped(body: str, message: str, word: str) -> None:
    assert said(body) == (message, word)


def test_nothing_secret_or_noisy_is_kept() -> None:
    token = "gAAAAABlY2hvLWEtbG9uZy10b2tlbi1vZi1rZXlzdG9uZQ=="
    body = f'{{"e": {{"message": "token {token} bad (HTTP 401) (Request-ID: req-0a1b)"}}}}'
    error = answered(401, body, "GET /x", "identity", "", {})
    assert error.message == "keystone: token (token) bad (401)"


def test_a_wait_is_told_in_seconds() -> None:
    assert answered(429, "", "x", "compute", "R1", {"Retry-After": "12"}).details["retry_after"] == 12.0
    assert answered(429, "", "x", "compute", "R1", {"Retry-After": "tomorrow"}).details["retry_after"] == 0.0


@pytest.mark.parametrize(
    ("status", "lost"), [(400, False), (404, False), (409, False), (429, False), (500, True), (504, True)]
)
def test_only_what_may_have_been_done_is_unclear(status: int, lost: bool) -> None:
    assert unclear(answered(status, "", "POST /servers", "compute", "R1", {})) is lost
