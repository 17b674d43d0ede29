"""`cms` on a pretended AWS, as a person would use it: the life of a VM and of what belongs to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws import images
from tests.aws.emulator import Lab
from tests.live.aws import IMAGE, Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

REGIONS = ("us-east-1", "eu-west-1")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"


@pytest.fixture
def cms(aws: Lab, tmp_path: Path) -> Iterator[Aws]:
    """Return the command with the pretended AWS in two regions as its default cloud."""
    runner = Aws(aws, tmp_path, REGIONS)
    yield runner
    runner.told_no_secret()


def test_a_vm_lives_its_life(cms: Aws, aws: Lab) -> None:
    (made,) = cms.rows("vm", "boot", IMAGE, "--name", "web", "--label", "role=web")
    assert (made["name"], made["state"], made["cloud"], made["region"]) == ("web", "running", "aws", "us-east-1")
    assert made["expires"] is not None
    (there,) = aws.things("instance")
    assert (there["id"], there["tags"]["cms:name"], there["tags"]["cms:token"]) == (made["id"], "web", made["token"])
    assert [row["name"] for row in cms.rows("vm", "list", "--label", "role=web")] == ["web"]
    assert cms.rows("vm", "stop", "web")[0]["state"] == "stopped"
    assert cms.rows("vm", "resize", "web", "t3.small")[0]["flavor"] == "t3.small"
    assert cms.rows("vm", "start", "web")[0]["state"] == "running"
    assert aws.things("instance")[0]["type"] == "t3.small"
    cms("vm", "reboot", "web")
    assert cms("vm", "console", "web").stdout.strip()
    cms("vm", "delete", "web", "--yes")
    assert cms.rows("vm", "list") == []
    assert [row["kind"] for row in aws.things("instance", "volume", "address")] == []
    assert cms.rows("sweep") == []


def test_it_gets_another_name(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    cms("vm", "stop", "web")
    assert cms.rows("vm", "rename", "web", "www")[0]["name"] == "www"
    assert aws.things("instance")[0]["tags"]["cms:name"] == "www"
    assert [row["name"] for row in cms.rows("vm", "list", "--refresh")] == ["www"]


def test_what_is_protected_stays(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    cms("vm", "protect", "web")
    cms.fails(11, "vm", "delete", "web", "--yes")
    assert len(aws.things("instance")) == 1
    cms("vm", "unprotect", "web")
    cms("vm", "delete", "web", "--yes")
    assert aws.things("instance") == []


@pytest.mark.parametrize("words", [("vm", "suspend", "web"), ("vm", "clone", "web")])
def test_what_aws_cannot_is_refused_before_any_call(cms: Aws, aws: Lab, words: tuple[str, ...]) -> None:
    cms.boot("web")
    before = len([call for call in aws.calls() if not call["action"].startswith("Describe")])
    said = cms.fails(9, *words)
    assert "aws" in said
    assert "cms cloud roles" in said
    assert len([call for call in aws.calls() if not call["action"].startswith("Describe")]) == before


def test_what_others_made_is_listed_and_not_deleted(cms: Aws, aws: Lab) -> None:
    ec2 = aws.client()
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "theirs"}]}]
    ami = images.few()[0]["ami_id"]
    ec2.run_instances(ImageId=ami, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=tags)
    ec2.close()
    (row,) = cms.rows("vm", "list")
    assert (row["name"], row["origin"]) == ("theirs", "foreign")
    cms.fails(11, "vm", "delete", "theirs", "--yes")
    cms("sweep", "--apply", "--yes")
    assert len(aws.things("instance")) == 1
    assert cms.rows("vm", "adopt", "theirs")[0]["origin"] == "adopted"
    cms("vm", "delete", "theirs", "--yes")
    assert aws.things("instance") == []


def test_regions_are_listed_together_and_each_vm_is_found_in_its_own(cms: Aws, aws: Lab) -> None:
    cms.boot("near")
    cms.boot("far", "--region", "eu-west-1")
    listed = {row["name"]: row["region"] for row in cms.rows("vm", "list", "--refresh")}
    assert listed == {"near": "us-east-1", "far": "eu-west-1"}
    cms("vm", "stop", "far")
    states = {row["region"]: row["state"] for row in aws.things("instance")}
    assert states == {"us-east-1": "running", "eu-west-1": "stopped"}
    assert {row["region"] or row["name"] for row in cms.rows("location", "list")} >= set(REGIONS)
    cms("vm", "delete", "near", "far", "--yes")
    assert aws.things("instance") == []


def test_a_region_that_is_down_takes_nothing_from_the_others(cms: Aws, aws: Lab) -> None:
    cms.boot("near")
    cms.boot("far", "--region", "eu-west-1")
    cms("volume", "create", "data", "--size", "1")
    aws.fail("down", region="eu-west-1", times=0)
    ec2 = aws.client()
    ec2.stop_instances(InstanceIds=[row["id"] for row in aws.things("instance") if row["region"] == "us-east-1"])
    ec2.close()
    done = cms("vm", "list", "--refresh", "-o", "json", code=12)
    listed = {row["name"]: row["state"] for row in json.loads(done.stdout)}
    assert listed == {"near": "stopped", "far": "running"}
    assert "eu-west-1" in done.stderr
    for noun in ("volume", "key"):
        rows = json.loads(cms(noun, "list", "--cloud", "aws", "--refresh", "-o", "json", code=12).stdout)
        assert [row for row in rows if row["cloud"] == "aws"]
    cms("vm", "start", "near")
    aws.heal()
    assert {row["name"] for row in cms.rows("vm", "list", "--refresh")} == {"near", "far"}


def test_a_volume_comes_goes_with_a_vm_and_stays(cms: Aws, aws: Lab) -> None:
    (vm,) = cms.boot("web")
    cms("volume", "create", "data", "--size", "1")
    assert cms.rows("volume", "attach", "data", "web")[0]["device"]
    (volume,) = [row for row in aws.things("volume") if row["tags"].get("cms:name") == "data"]
    assert volume["instance"] == vm["id"]
    cms.fails(11, "volume", "delete", "data", "--yes")
    cms("volume", "detach", "data")
    cms("vm", "delete", "web", "--yes")
    assert [row["name"] for row in cms.rows("volume", "list")] == ["data"]
    cms("volume", "delete", "data", "--yes")
    assert aws.things("volume") == []


def test_keys_stand_on_the_cloud(cms: Aws, aws: Lab, tmp_path: Path) -> None:
    public = tmp_path / "ada.pub"
    public.write_text(KEY)
    cms("key", "add", "ada", str(public), "--cloud", "aws")
    assert "ada" in {row["name"] for row in aws.things("key")}
    assert "ada" in {row["name"] for row in cms.rows("key", "list", "--cloud", "aws")}
    cms.boot("web", "--key", "ada")
    cms("key", "delete", "ada", "--cloud", "aws", "--yes")
    assert "ada" not in {row["name"] for row in aws.things("key")}


def test_an_address_is_given_and_released(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    cms("vm", "ip", "set", "web")
    (address,) = aws.things("address")
    assert address["name"] in cms.rows("vm", "list", "--refresh")[0]["public_ips"]
    assert address["name"] in {row["name"] for row in cms.rows("vm", "ip", "list", "web")}
    cms("vm", "ip", "remove", "web", address["name"])
    assert aws.things("address") == []


def test_lists_are_followed_to_their_last_page(cms: Aws, aws: Lab) -> None:
    aws.forget_calls()
    flavors = cms.rows("flavor", "list", "--cloud", "aws", "--refresh")
    assert len(flavors) > 1000
    assert {"t3.micro", "t4g.small"} <= {row["name"] for row in flavors}
    assert len(aws.calls("DescribeInstanceTypes")) > 10


def test_three_are_booted_with_one_request(cms: Aws, aws: Lab) -> None:
    made = cms.boot("web", "--count", "3")
    assert len({row["name"] for row in made}) == 3
    assert len(aws.calls("RunInstances")) == 1
    assert {row["id"] for row in aws.things("instance")} == {row["id"] for row in made}
    listed = {row["id"]: row["name"] for row in cms.rows("vm", "list", "--refresh")}
    assert listed == {row["id"]: row["name"] for row in made}
    cms("vm", "delete", made[1]["name"], "--yes")
    assert {row["name"] for row in cms.rows("vm", "list", "--refresh")} == {made[0]["name"], made[2]["name"]}


def test_a_dry_run_asks_for_nothing(cms: Aws, aws: Lab) -> None:
    aws.forget_calls()
    cms("vm", "boot", IMAGE, "--name", "web", "--count", "3", "--dry-run")
    assert [call["action"] for call in aws.calls() if not re.match("Describe|Get|List", call["action"])] == []
    assert cms.rows("vm", "list", "--cached") == []


def test_another_catalog_sees_names_and_owners(cms: Aws, aws: Lab, tmp_path: Path) -> None:
    cms.boot("web", "--count", "2")
    other = Aws(aws, tmp_path / "other", REGIONS)
    rows = other.rows("vm", "list")
    assert {row["name"] for row in rows} == {row["name"] for row in cms.rows("vm", "list")}
    assert {row["id"] for row in rows} == {row["id"] for row in aws.things("instance")}
