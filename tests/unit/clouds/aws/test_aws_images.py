"""Images of AWS as nouns: what is guessed of them, and how they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.aws import guess
from cloudms.clouds.aws.driver import AwsCloud
from cloudms.clouds.aws.images import asked, owners
from cloudms.clouds.aws.wire import query
from cloudms.clouds.base import ImageQuery, Setup
from cloudms.errors import Invalid


@pytest.mark.parametrize(
    ("row", "os", "login"),
    [
        ({"Name": "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240501"}, "ubuntu 22.04", "ubuntu"),
        ({"Name": "debian-12-arm64-20240501-1734"}, "debian 12", "admin"),
        ({"Name": "al2023-ami-2023.6.20250101.0-kernel-6.1-x86_64"}, "amazon linux 2023", "ec2-user"),
        ({"Name": "amzn2-ami-kernel-5.10-hvm-2.0.2024-x86_64-gp2"}, "amazon linux 2", "ec2-user"),
        ({"Name": "RHEL-9.4.0_HVM-20240605-x86_64-82-Hourly2-GP3"}, "rhel 9.4", "ec2-user"),
        ({"Name": "Windows_Server-2022-English-Full-Base", "Platform": "windows"}, "windows 2022", "Administrator"),
        ({"Name": "Rocky-9-EC2-Base-9.4-20240523.0.x86_64"}, "rocky 9", "rocky"),
        ({"Name": "FreeBSD 14.1-RELEASE-amd64 UFS"}, "freebsd 14.1", "ec2-user"),
        ({"Name": "my-web", "OwnerId": guess.CANONICAL}, "ubuntu", "ubuntu"),
        ({"Name": "my-web", "PlatformDetails": "Linux/UNIX"}, "Linux/UNIX", "ec2-user"),
        ({}, "", "ec2-user"),
    ],
)
def test_system_and_login_follow_from_name_and_owner(row: dict[str, Any], os: str, login: str) -> None:
    assert guess.system(row) == (os, login)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-05-01T12:34:56.000Z", 1714566896.0),
        ("2024-05-01T12:34:56.250Z", 1714566896.25),
        ("2024-05-01T12:34:56Z", 1714566896.0),
        ("2024-05-01", None), ("2024-13-01T00:00:00.000Z", None), ("", None), (None, None), (17, None),
    ],
)  # fmt: skip
def test_times_of_images(text: Any, wanted: float | None) -> None:
    assert guess.seconds(text) == wanted


def test_an_image_without_any_facts_is_still_one() -> None:
    image = AwsCloud(Setup(name="aws")).image_noun({"ImageId": "ami-1"}, "us-east-1", 5.0)
    assert (image.name, image.id, image.size, image.created, image.public) == ("ami-1", "ami-1", None, None, None)
    assert (image.fetched, image.key) == (5.0, "aws/ami-1")


def test_owners_are_written_by_name_or_number() -> None:
    assert owners(None) == ("self", "amazon", guess.CANONICAL, guess.DEBIAN)
    assert owners("self, canonical 123456789012") == ("self", guess.CANONICAL, "123456789012")
    assert owners(["Debian", "debian", 123456789012]) == (guess.DEBIAN, "123456789012")
    assert owners((), ()) == ()


def test_one_s_own_images_are_always_among_the_usual_ones() -> None:
    cloud = AwsCloud(Setup(name="aws", options={"owners": "debian", "region": "us-east-1"}))
    assert [query.owners for query in cloud.image_queries()] == [("self", guess.DEBIAN)]
    every = cloud.image_queries(ImageQuery(arch="arm64"))
    assert [(query.owners, query.region) for query in every] == [((), "us-east-1")]


@pytest.mark.parametrize("value", ["none", 0, 65, "-1", "1.5"])
def test_walkers_are_a_small_number(value: Any) -> None:
    cloud = AwsCloud(Setup(name="aws", options={"walkers": value, "region": "us-east-1", "endpoint": "http://127.0.0.1:9"},
                           credentials=lambda: {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}))  # fmt: skip
    with pytest.raises(Invalid, match="walkers"):
        list(cloud.walk_images(ImageQuery(region="us-east-1")))


def test_a_request_is_spelled_as_ec2_wants_it() -> None:
    wanted = asked(ImageQuery(owners=("self", "amazon"), arch="arm64", text="a*b"))
    assert query("DescribeImages", {**wanted, "MaxResults": 7, "NextToken": None}) == {
        "Action": "DescribeImages", "Version": "2016-11-15", "Owner.1": "self", "Owner.2": "amazon",
        "Filter.1.Name": "architecture", "Filter.1.Value.1": "arm64", "Filter.2.Name": "name",
        "Filter.2.Value.1": "*a\\*b*", "MaxResults": "7",
    }  # fmt: skip


def test_a_request_is_the_one_that_botocore_writes() -> None:
    from botocore.serialize import create_serializer
    from botocore.session import Session

    params: dict[str, Any] = {
        "Owners": ["self", "1"], "Filters": [{"Name": "name", "Values": ["a", "b"]}], "ImageIds": ["ami-1", "ami-2"],
        "MaxResults": 5, "NextToken": "x",
    }  # fmt: skip
    model = Session().get_service_model("ec2").operation_model("DescribeImages")
    body = create_serializer("ec2").serialize_to_request(params, model)["body"]
    assert query("DescribeImages", params) == {name: str(value) for name, value in body.items()}
