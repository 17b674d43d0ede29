"""EC2's XML becomes what botocore makes of it, read quickly or thoroughly, and what is broken is said."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tests.aws.replay import Replay, images

from cloudms.clouds.aws import markup, shapes
from cloudms.clouds.aws.describe import jsonable
from cloudms.errors import MissingExtra

ROOT = 'DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'


@cache
def model() -> Any:
    """Return botocore's model of EC2."""
    from botocore.session import Session

    return Session().get_service_model("ec2")


@cache
def shape(operation: str) -> shapes.Shape:
    """Return the table of an operation."""
    return shapes.compiled(shapes.described(), operation)


def botocore(body: bytes, operation: str) -> dict[str, Any]:
    """Return what botocore makes of an answer, its times as the house writes them."""
    from botocore.parsers import create_parser

    response = {"body": body, "headers": {}, "status_code": 200}
    found = create_parser("ec2").parse(response, model().operation_model(operation).output_shape)
    del found["ResponseMetadata"]
    plain: dict[str, Any] = jsonable(found)
    return plain


def answer(inside: str) -> bytes:
    """Return an answer to DescribeImages with one image."""
    return f"<{ROOT}><imagesSet><item>{inside}</item></imagesSet></DescribeImagesResponse>".encode()


@pytest.mark.parametrize(
    ("asked", "operation"),
    [
        ({"Action": "DescribeImages", "MaxResults": "30"}, "DescribeImages"),
        ({"Action": "DescribeImages", "MaxResults": "30", "NextToken": "30"}, "DescribeImages"),
        ({"Action": "DescribeInstances", "MaxResults": "5"}, "DescribeInstances"),
        ({"Action": "DescribeInstances", "NextToken": "9"}, "DescribeInstances"),
    ],
)
def test_both_ways_read_what_botocore_reads(asked: dict[str, str], operation: str) -> None:
    body = Replay(images(40), instances=10).answer(asked)
    wanted = botocore(body, operation)
    assert markup.quick(body, shape(operation)) == wanted
    assert markup.thorough(body, shape(operation)) == wanted


@pytest.mark.parametrize(
    "inside",
    [
        "<imageId>ami-1</imageId><description/><tagSet/><blockDeviceMapping/><stateReason/>",
        "<imageId>ami-1</imageId><description></description><tagSet></tagSet>",
        "<name>a &lt;b&gt; &amp; &quot;c&quot; &apos;d&apos; &#228;&#x20ac; ü 🚀</name>",
        "<name>more > less</name><description> spaces  and\n lines </description>",
        "<isPublic>true</isPublic><enaSupport>false</enaSupport>",
        "<neverHeardOf><item><a>1</a></item><b/></neverHeardOf><name>after</name>",
        "<neverHeardOf>text</neverHeardOf><alsoNot/><name>after</name>",
        "<!-- a comment --><name>a</name>",
        "<name><![CDATA[<raw> & text]]></name>",
        '<name xml:lang="en">with an attribute</name>',
        "<name>one\r\ntwo</name>",
        "<productCodes><item><productCode>x</productCode><type>marketplace</type></item><item/></productCodes>",
        "<tagSet><item><key>k</key><value/></item><item><key>l</key><value>v</value></item></tagSet>",
        "<blockDeviceMapping><item><ebs><volumeSize>8</volumeSize><encrypted>true</encrypted></ebs></item></blockDeviceMapping>",
    ],
)
def test_what_is_odd_is_read_as_botocore_does(inside: str) -> None:
    body = answer(inside)
    assert markup.read(body, shape("DescribeImages")) == botocore(body, "DescribeImages")


def test_an_answer_longer_than_a_part_is_read_whole() -> None:
    text = "ü" * markup._PART
    body = answer(f"<name>{text}</name><description>{text}</description>")
    assert markup.quick(body, shape("DescribeImages")) == botocore(body, "DescribeImages")


def test_no_rows_and_a_token() -> None:
    body = (
        f"<?xml version='1.0'?>\n<{ROOT}>\n<imagesSet/>\n<nextToken>n</nextToken></DescribeImagesResponse>\n".encode()
    )
    assert markup.read(body, shape("DescribeImages")) == {"Images": [], "NextToken": "n"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html><body>Welcome</body></html>",
        b"<DescribeInstancesResponse></DescribeInstancesResponse>",
        answer("<name>a</name>")[:-40],
        answer("<name>a</name>")[: len(answer("")) // 2],
        answer("<name>a</nom>"),
        answer("<name>\xff</name>").replace("ÿ".encode(), b"\xff"),
        answer("<name>a & b</name>"),
        answer("") + b"<more/>",
        answer("<blockDeviceMapping><item><ebs><volumeSize>big</volumeSize></ebs></item></blockDeviceMapping>"),
    ],
    ids=range(11),
)
def test_what_is_broken_is_refused(body: bytes) -> None:
    with pytest.raises(markup.Malformed):
        markup.read(body, shape("DescribeImages"))


def test_every_cut_through_an_answer_is_refused() -> None:
    body = Replay(images(2)).answer({"Action": "DescribeImages"})
    for end in range(0, len(body) - 1, 7):
        with pytest.raises(markup.Malformed):
            markup.read(body[:end], shape("DescribeImages"))


def test_the_tables_are_kept_in_the_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(tmp_path))
    read, described = [], shapes.described
    monkeypatch.setattr(shapes, "described", lambda folder: read.append(folder) or described(folder))
    operations = ("DescribeImages", "DescribeInstances")
    for _ in range(2):
        found = shapes.of(operations)["DescribeImages"]
        body = Replay(images(3)).answer({"Action": "DescribeImages"})
        assert markup.read(body, found) == botocore(body, "DescribeImages")
    assert len(read) == 1
    next((tmp_path / "cache").glob("aws-*.json")).write_text("{broken")
    shapes.of(operations)
    assert len(read) == 2


@pytest.mark.parametrize("operation", ["DescribeImages", "DescribeInstances", "DescribeVolumes", "RunInstances"])
def test_the_tables_know_every_member_that_botocore_knows(operation: str) -> None:
    def same(table: Any, botos: Any) -> None:
        assert {entry[0] for entry in table.values()} == set(botos.members)
        for name, _what, inside, _close in table.values():
            member = botos.members[name]
            while member.type_name == "list":
                member, inside = member.member, inside[1][2]
            if member.type_name == "structure" and name not in above:
                above.append(name)
                same(inside, member)

    above: list[str] = []
    same(shape(operation).table, model().operation_model(operation).output_shape)
    assert above


def test_without_botocore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match="aws"):
        shapes.of(("DescribeImages",))
