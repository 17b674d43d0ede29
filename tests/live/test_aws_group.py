"""A group over a pretended AWS and a pretended cloud: its tags, a cloud that breaks off, and the end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aws.emulator import Lab
from tests.live.aws import IMAGE, Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

NEAR = {"near": {"cm": {"kind": "fake", "active": True}, "default": {"image": "micro"}, "boot_seconds": 0.01}}


def test_a_group_stands_on_two_clouds_and_comes_half_way(aws: Lab, tmp_path: Path) -> None:
    cms = Aws(aws, tmp_path, **NEAR)
    made = ["group", "create", "web", "--size", "4", "--cloud", "aws,near", "--image", IMAGE]
    assert {row["name"]: row["cloud"] for row in cms.rows(*made)} == {
        "web": "aws,near", "web-1": "aws", "web-2": "aws", "web-3": "near", "web-4": "near",
    }  # fmt: skip
    assert len(aws.calls("RunInstances")) == 1, "both with one request"
    assert {row["tags"].get("cms:group") for row in aws.things("instance")} == {"web"}
    cms("vm", "boot", IMAGE, "--name", "db", "--cloud", "aws")
    cms("group", "add", "web", "db")
    aws.fail("code", "RunInstances", code="InsufficientInstanceCapacity", times=0)
    told = cms("group", "scale", "web", "8", code=12).stderr
    assert "web-[5-6]" in told or "web-5" in told
    (found,) = cms.rows("group", "info", "web")
    assert (found["size"], found["desired"]) == (7, 8)
    cms("group", "scale", "web", "--cloud", "near")
    cms("group", "stop", "web")
    assert {row["state"] for row in aws.things("instance")} == {"stopped"}
    cms("group", "delete", "web", "--yes")
    (left,) = aws.things("instance")
    (row,) = cms.rows("vm", "list")
    assert (row["name"], row["group"], row["id"]) == ("db", "", left["id"])
    assert "cms:group" not in left["tags"] or not left["tags"]["cms:group"]
    cms.told_no_secret()
