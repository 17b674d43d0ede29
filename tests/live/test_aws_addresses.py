"""`cms` on a pretended AWS: addresses that stay, what leftovers cost, and a resize that only the record knows of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.clouds.aws.prices import THINGS
from tests.aws.emulator import Lab
from tests.live.aws import Aws

pytestmark = [pytest.mark.live, pytest.mark.services]


@pytest.fixture
def cms(aws: Lab, tmp_path: Path) -> Iterator[Aws]:
    """Return the command with the pretended AWS in two regions as its default cloud."""
    runner = Aws(aws, tmp_path, ("us-east-1", "eu-west-1"))
    yield runner
    runner.told_no_secret()


def changes(aws: Lab) -> int:
    """Return how many calls were no questions."""
    return len([call for call in aws.calls() if not call["action"].startswith(("Describe", "Get", "List"))])


def test_an_address_is_had_without_a_vm(cms: Aws, aws: Lab) -> None:
    (made,) = cms.rows("ip", "create", "--label", "use=front")
    (there,) = aws.things("address")
    assert (made["name"], made["region"], made["vm"]) == (there["name"], "us-east-1", "")
    assert there["tags"]["cms:token"] == made["token"]
    (listed,) = cms.rows("ip", "list", "--label", "use=front")
    assert (listed["name"], listed["price_per_hour"]) == (made["name"], 0.005)
    cms.boot("web")
    cms("vm", "ip", "set", "web", made["name"])
    assert "cms vm ip remove web" in cms.fails(11, "ip", "delete", made["name"], "--yes")
    cms("vm", "delete", "web", "--yes")
    assert [row["name"] for row in aws.things("address")] == [made["name"]]
    assert cms.rows("sweep") == []
    (row,) = [row for row in cms.rows("cost") if row["what"] == "address"]
    assert row["price_per_hour"] == 0.005
    cms("ip", "delete", made["name"], "--yes")
    assert aws.things("address") == []
    assert cms.rows("ip", "list") == []


def test_an_address_is_taken_in_another_region_and_nowhere_else(cms: Aws, aws: Lab) -> None:
    (made,) = cms.rows("ip", "create", "--region", "eu-west-1")
    assert made["region"] == "eu-west-1"
    assert cms.rows("ip", "list")[0]["price_per_hour"] == pytest.approx(0.0055)
    assert "mars-1" in cms.fails(3, "ip", "create", "--region", "mars-1")
    assert len(aws.things("address")) == 1
    assert len(cms.rows("ip", "list")) == 1


def test_an_address_of_a_vm_is_kept_when_asked(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    cms("vm", "ip", "set", "web")
    (first,) = aws.things("address")
    cms("vm", "ip", "remove", "web", first["name"], "--keep")
    cms("vm", "ip", "set", "web")
    cms("vm", "delete", "web", "--keep-ip", "--yes")
    kept = {row["name"] for row in aws.things("address")}
    assert len(kept) == 2
    assert {row["name"] for row in cms.rows("ip", "list") if row["token"]} == kept
    assert cms.rows("sweep") == []
    cms("ip", "delete", *kept, "--yes")
    assert aws.things("address") == []


def test_a_delete_that_dies_after_keeping_does_not_lose_the_address(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    cms("vm", "ip", "set", "web")
    aws.fail("code", "TerminateInstances", code="UnauthorizedOperation", times=1)
    cms("vm", "delete", "web", "--keep-ip", "--yes", code=5)
    (failed,) = [row for row in cms.rows("operation", "list") if row["state"] == "failed"]
    cms("operation", "resume", failed["name"])
    assert aws.things("instance") == []
    assert len(aws.things("address")) == len(cms.rows("ip", "list")) == 1


def test_a_leftover_tells_what_it_costs(cms: Aws, aws: Lab) -> None:
    (made,) = cms.boot("web")
    cms("vm", "delete", "web", "--yes")
    mark = [{"Key": "cms:token", "Value": made["token"]}, {"Key": "cms:owner", "Value": made["owner"]}]
    ec2 = aws.client()
    ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": mark}])
    ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=73, TagSpecifications=[{"ResourceType": "volume", "Tags": mark}]
    )
    prices = {row["deed"]: row["price_per_hour"] for row in cms.rows("sweep")}
    assert prices == {"remove the address": 0.005, "remove the volume": pytest.approx(0.008)}
    asked = len(aws.calls("GetProducts"))
    cms.rows("sweep")
    assert len(aws.calls("GetProducts")) == asked
    cms("sweep", "--apply", "--yes")
    assert aws.things("address", "volume") == []


def test_a_price_that_nobody_tells_is_unknown(cms: Aws, aws: Lab) -> None:
    aws.fail("code", "GetProducts", code="AccessDeniedException", times=0)
    cms("ip", "create")
    assert cms.rows("ip", "list")[0]["price_per_hour"] is None


def test_a_resize_is_taken_back_by_the_record(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    (row,) = cms.rows("vm", "resize", "web", "t3.small")
    assert (row["flavor"], row["resized_from"], row["confirm_by"]) == ("t3.small", "t3.micro", None)
    assert cms.rows("vm", "list", "--refresh")[0]["resized_from"] == "t3.micro"
    (row,) = cms.rows("vm", "revert", "web")
    assert (row["flavor"], row["resized_from"]) == ("t3.micro", "")
    assert aws.things("instance")[0]["type"] == "t3.micro"
    for words in ("confirm", "revert"):
        before = changes(aws)
        assert f"nothing to {words}" in cms.fails(11, "vm", words, "web")
        assert changes(aws) == before
    cms("vm", "resize", "web", "t3.small")
    assert cms.rows("vm", "confirm", "web")[0]["resized_from"] == ""
    cms.rows("vm", "resize", "web", "t3.medium", "--confirm")
    assert "nothing to revert" in cms.fails(11, "vm", "revert", "web")


def test_deallocate_is_stop(cms: Aws, aws: Lab) -> None:
    cms.boot("web")
    (row,) = cms.rows("vm", "deallocate", "web")
    assert (row["state"], row["keep_stopped"]) == ("stopped", True)
    assert aws.things("instance")[0]["state"] == "stopped"
    assert cms.rows("vm", "start", "web")[0]["state"] == "running"
    (spot,) = cms.boot("cheap", "--spot")
    assert spot["state"] == "running"
    assert "spot" in cms.fails(9, "vm", "deallocate", "cheap")


def test_every_kind_of_thing_that_is_priced_is_told_apart_by_its_usage() -> None:
    row = {"product": {"attributes": {"usagetype": "EU-PublicIPv4:IdleAddress"}}}
    assert THINGS["address"].fits(row)
    assert THINGS["address"].fits({"product": {"attributes": {"usagetype": "PublicIPv4:IdleAddress"}}})
    assert not THINGS["address"].fits({"product": {"attributes": {"usagetype": "PublicIPv4:InUseAddress"}}})
    assert not THINGS["volume_snapshot"].fits({"product": {"attributes": {"usagetype": "XEBS:SnapshotUsage"}}})
