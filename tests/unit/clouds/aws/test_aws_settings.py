"""Keys, regions, zones, endpoints and options of a cloud of kind aws, in every spelling that files have."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.aws import settings
from cloudms.clouds.base import Setup
from cloudms.errors import Denied, Invalid


def read(
    default: dict[str, Any] | None = None, credentials: dict[str, str] | None = None, **options: Any
) -> settings.Settings:
    return settings.read(Setup(name="aws", default=default or {}, options=options), credentials or {})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"EC2_ACCESS_KEY": "id", "EC2_SECRET_KEY": "word"}, ("id", "word", "")),
        ({"EC2_ACCESS_ID": "id", "EC2_SECRET_KEY": "word"}, ("id", "word", "")),
        ({"EC2_ACCESS_ID": "id", "EC2_ACCESS_KEY": "word"}, ("id", "word", "")),
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word", "AWS_SESSION_TOKEN": "t"}, ("id", "word", "t")),
        ({"aws_access_key_id": "id", "aws_secret_access_key": "word", "aws_session_token": "t"}, ("id", "word", "t")),
        ({"access_key": "id", "secret_key": "word"}, ("id", "word", "")),
        ({"key": "id", "secret": "word"}, ("id", "word", "")),
        ({"AWS_ACCESS_KEY_ID": "new", "EC2_ACCESS_KEY": "old", "EC2_SECRET_KEY": "word"}, ("new", "word", "")),
        ({"region": "us-east-2", "AWS_SESSION_TOKEN": "alone"}, ("", "", "")),
        ({}, ("", "", "")),
    ],
)
def test_keys_are_read_in_every_spelling(given: dict[str, str], wanted: tuple[str, str, str]) -> None:
    found = settings.secrets(given)
    assert (found.access, found.secret, found.token) == wanted
    assert "word" not in repr(found)


@pytest.mark.parametrize("given", [{"EC2_ACCESS_KEY": "id"}, {"AWS_SECRET_ACCESS_KEY": "word"}])
def test_half_a_pair_of_keys_is_refused_without_showing_it(given: dict[str, str]) -> None:
    with pytest.raises(Denied) as refused:
        settings.secrets(given)
    assert "word" not in refused.value.message + refused.value.hint
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "region", "zone"),
    [
        ("us-west-1a", "us-west-1", "us-west-1a"),
        ("us-west-1", "us-west-1", ""),
        ("us-gov-west-1b", "us-gov-west-1", "us-gov-west-1b"),
        ("us-west-2-lax-1a", "us-west-2", "us-west-2-lax-1a"),
        ("ap-southeast-2c", "ap-southeast-2", "ap-southeast-2c"),
        ("RegionOne", "RegionOne", ""),
        ("", "", ""),
    ],
)
def test_a_location_is_a_region_or_a_zone_of_one(name: str, region: str, zone: str) -> None:
    assert settings.place(name) == (region, zone)


def test_the_region_comes_from_the_defaults_then_the_options_then_the_credentials() -> None:
    later = {"AWS_REGION": "eu-west-1", "region": "eu-north-1"}
    assert read({"location": "us-west-1a"}, later, region="us-east-2").region == "us-west-1"
    assert read({"region": "us-west-2"}, later).region == "us-west-2"
    assert read({}, later, region="us-east-2").region == "us-east-2"
    assert read({}, later).region == "eu-north-1"
    assert read({}, {"EC2_URL": "https://ec2.ap-south-1.amazonaws.com"}).region == "ap-south-1"
    assert read().region == ""
    assert read({"location": "us-west-1a"}).zone == "us-west-1a"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("us-east-1, eu-west-1", ("us-east-1", "eu-west-1")),
        (["us-east-1", "eu-west-1b", "us-east-1"], ("us-east-1", "eu-west-1")),
        ("all", ("all",)),
        (None, ("us-east-1",)),
    ],
)
def test_regions_are_a_list_text_or_all(value: Any, wanted: tuple[str, ...]) -> None:
    assert read({"location": "us-east-1"}, regions=value).regions == wanted


def test_an_endpoint_is_for_all_services_or_for_each() -> None:
    everywhere = read(endpoint="http://127.0.0.1:5000")
    assert everywhere.endpoint("ec2") == everywhere.endpoint("sts") == "http://127.0.0.1:5000"
    own = read(credentials={"EC2_URL": "https://cloud.example:8773/services/Cloud"})
    assert own.endpoint("ec2") == "https://cloud.example:8773/services/Cloud"
    assert (own.endpoint("sts"), own.reachable("sts"), own.reachable("ec2")) == ("", False, True)
    apart = read(endpoint={"ec2": "http://127.0.0.1:1", "ssm": "http://127.0.0.1:2"})
    assert (apart.endpoint("ssm"), apart.reachable("ssm"), apart.reachable("pricing")) == (
        "http://127.0.0.1:2", True, False,
    )  # fmt: skip
    assert read(credentials={"EC2_URL": "https://ec2.us-east-1.amazonaws.com/"}).endpoints == {}


@pytest.mark.parametrize(
    "options",
    [
        {"imds": "never"}, {"max_retries": "many"}, {"read_timeout": -1}, {"encrypted": "perhaps"},
        {"endpoint": "127.0.0.1:5000"}, {"endpoint": {"ec2": "localhost"}},
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused_with_what_it_may_be(options: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        read(**options)
    assert refused.value.hint


def test_options_may_be_text() -> None:
    found = read(encrypted="no", spot="yes", max_retries="4", connect_timeout="2.5", profile="lab")
    assert (found.encrypted, found.spot, found.max_retries, found.connect_timeout, found.profile) == (
        False, True, 4, 2.5, "lab",
    )  # fmt: skip
    assert read(credentials={"AWS_PROFILE": "lab"}).profile == "lab"


def test_a_group_of_the_older_file_is_no_more_than_a_wish() -> None:
    found = read(credentials={"EC2_SECURITY_GROUP": "cloudmesh"})
    assert (found.security_group, found.older_group) == ("", "cloudmesh")
    assert read(security_group="web, sg-1").security_group == "web, sg-1"


def test_the_sample_text_of_the_paper_is_told_from_keys() -> None:
    with pytest.raises(Denied, match="still the sample text") as refused:
        settings.secrets({"EC2_ACCESS_KEY": "ACCESS KEY", "EC2_SECRET_KEY": "SECRET KEY"})
    assert "EC2_ACCESS_KEY" in refused.value.hint
    assert settings.secrets({"EC2_ACCESS_KEY": "AKIA1", "EC2_SECRET_KEY": "s3/c+r=et"}).secret == "s3/c+r=et"
