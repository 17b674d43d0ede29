"""What goes wrong on AWS is one clear line with a hint and the right exit code, doubles nothing, and stays its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.names import expand
from tests.aws.emulator import Lab
from tests.live.aws import IMAGE, Aws

pytestmark = [pytest.mark.live, pytest.mark.services]

FAKE = {"cm": {"kind": "fake", "active": True}}


@pytest.fixture
def cms(aws: Lab, tmp_path: Path) -> Iterator[Aws]:
    """Return the command with the pretended AWS, which is not patient, and a fake cloud with a VM."""
    runner = Aws(aws, tmp_path, fake=FAKE)
    runner("vm", "boot", "micro", "--name", "other", "--cloud", "fake", "--wait", "running")
    yield runner
    runner.told_no_secret()


READS = {
    "throttled": (8, "Request limit"),
    "expired": (5, "expired"),
    "denied": (5, "not allowed to DescribeInstances"),
    "unknown_key": (5, "credentials"),
    "error500": (6, "internal error"),
    "gateway": (6, "AWS"),
    "malformed": (6, "cannot be read"),
    "lost": (6, "not reachable"),
    "down": (6, "not reachable"),
}
"""Fault of a list → exit code and words of the line."""


@pytest.mark.parametrize("fault", READS)
def test_a_list_that_fails_is_one_line_and_the_other_cloud_answers(cms: Aws, aws: Lab, fault: str) -> None:
    code, words = READS[fault]
    aws.fail(fault, "DescribeInstances", times=0)
    said = cms.fails(code, "vm", "list", "--cloud", "aws", "--refresh")
    assert words in said
    done = cms("vm", "list", "--refresh", "-o", "json", code=12)
    assert [row["name"] for row in json.loads(done.stdout)] == ["other"]
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    errors = [line for line in told if line["kind"] == "error" and line["code"] != "partial"]
    assert [(line["cloud"], bool(line["hint"])) for line in errors] == [("aws", True)]
    aws.heal()
    cms("vm", "list", "--refresh")


BOOTS = {
    "throttled": (8, "Request limit"),
    "expired": (5, "expired"),
    "denied": (5, "not allowed to RunInstances"),
    "no_capacity": (7, "capacity"),
    "quota": (7, "vCPU"),
    "error500": (6, "internal error"),
    "gateway": (6, "AWS"),
    "down": (6, "not reachable"),
}
"""Fault of a boot that makes nothing → exit code and words of the line."""


@pytest.mark.parametrize("fault", BOOTS)
def test_a_boot_that_fails_is_one_line_and_leaves_nothing(cms: Aws, aws: Lab, fault: str) -> None:
    code, words = BOOTS[fault]
    aws.fail(fault, "RunInstances", times=0)
    assert words in cms.fails(code, "vm", "boot", IMAGE, "--name", "web", "--cloud", "aws")
    aws.heal()
    cms("sweep", "--apply", "--yes")
    assert aws.things("instance", "volume", "address") == []
    assert [row["name"] for row in cms.rows("vm", "list")] == ["other"]
    assert cms.boot("web", "--cloud", "aws")[0]["name"] == "web"


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fault", ["lost", "malformed", "throttled", "error500", "down", "gateway"])
def test_a_fault_in_passing_is_got_over_and_doubles_nothing(cms: Aws, aws: Lab, fault: str, count: int) -> None:
    aws.fail(fault, "RunInstances", times=1)
    made = cms.boot("web", "--cloud", "aws", "--count", str(count))
    assert len(made) == count
    assert {row["id"] for row in aws.things("instance")} == {row["id"] for row in made}


@pytest.mark.parametrize("fault", ["lost", "malformed"])
def test_an_answer_that_never_comes_doubles_nothing_and_a_second_run_finds_it(cms: Aws, aws: Lab, fault: str) -> None:
    aws.fail(fault, "RunInstances", times=0)
    made = cms.boot("web", "--cloud", "aws")
    aws.heal()
    cms("sweep", "--apply", "--yes")
    listed = [row for row in cms.rows("vm", "list") if row["cloud"] == "aws"]
    assert {row["id"] for row in listed} == {row["id"] for row in aws.things("instance")}
    assert [row["id"] for row in listed] == [row["id"] for row in made]


def test_an_answer_that_takes_too_long_doubles_nothing(aws: Lab, tmp_path: Path) -> None:
    cms = Aws(aws, tmp_path)
    file = cms.folder / "cloudmesh.yaml"
    config = json.loads(file.read_text())
    config["cloudmesh"]["cloud"]["aws"]["options"] |= {"read_timeout": 1, "max_retries": 0}
    file.write_text(json.dumps(config))
    aws.fail("late", "RunInstances", seconds=3, times=1)
    made = cms.boot("web")
    assert [row["id"] for row in aws.things("instance")] == [row["id"] for row in made]
    aws.fail("late", "DescribeInstances", seconds=2, times=0)
    assert "in time" in cms.fails(6, "vm", "list", "--refresh")
    aws.heal()
    cms.told_no_secret()


@pytest.mark.parametrize("fault", ["lost", "malformed", "throttled", "down"])
def test_a_deletion_gets_over_it_too(cms: Aws, aws: Lab, fault: str) -> None:
    cms.boot("web", "--cloud", "aws")
    aws.fail(fault, "TerminateInstances", times=1)
    cms("vm", "delete", "web", "--yes")
    assert aws.things("instance") == []
    assert [row["name"] for row in cms.rows("vm", "list")] == ["other"]


def test_a_deletion_that_is_denied_keeps_it_with_its_open_ports(cms: Aws, aws: Lab) -> None:
    cms.boot("web", "--cloud", "aws", "--open", "80")
    aws.fail("denied", "TerminateInstances", times=0)
    assert "not allowed to TerminateInstances" in cms.fails(5, "vm", "delete", "web", "--yes")
    assert len(aws.things("instance")) == 1
    assert {row["name"] for row in cms.rows("vm", "list", "--refresh")} == {"other", "web"}
    (row,) = aws.client().describe_instances()["Reservations"][0]["Instances"]
    assert len(row["NetworkInterfaces"][0]["Groups"]) == 2


def test_no_room_for_all_is_none_of_them(cms: Aws, aws: Lab) -> None:
    aws.change(capacity=2)
    assert "web-[1-3]" in cms.fails(7, "vm", "boot", IMAGE, "--name", "web", "--count", "3", "--cloud", "aws")
    assert aws.things("instance") == []


@pytest.mark.parametrize(
    ("secret", "code"), [({"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wrong-secret"}, 5), ({}, 5)]
)
def test_wrong_or_no_credentials(aws: Lab, tmp_path: Path, secret: dict[str, str], code: int) -> None:
    aws.change(access_key=aws.credentials["AWS_ACCESS_KEY_ID"])
    cms = Aws(aws, tmp_path)
    file = cms.folder / "cloudmesh.yaml"
    config = json.loads(file.read_text())
    config["cloudmesh"]["cloud"]["aws"]["credentials"] = secret
    file.write_text(json.dumps(config))
    cms.env["AWS_EC2_METADATA_DISABLED"] = "true"
    said = cms.fails(code, "vm", "list", "--refresh")
    assert "credentials" in said
    assert "wrong-secret" not in "".join(cms.printed)


def test_instances_that_appear_late_are_not_taken_for_missing(cms: Aws, aws: Lab) -> None:
    aws.change(visible_seconds=2.0)
    (made,) = cms.boot("web", "--cloud", "aws")
    assert [row["id"] for row in aws.things("instance")] in ([], [made["id"]])
    assert "web" in {row["name"] for row in cms.rows("vm", "list", "--refresh")}
    assert cms.rows("vm", "wait", "web", "--until", "running")[0]["id"] == made["id"]
    assert len(aws.calls("RunInstances")) == 1


def test_a_batch_that_fails_is_told_exactly_and_a_resume_makes_it(cms: Aws, aws: Lab) -> None:
    aws.fail("no_capacity", "RunInstances", skip=1, times=0)
    words = ("vm", "boot", IMAGE, "--name", "web", "--count", "1000", "--cloud", "aws", "--wait", "none")
    done = cms(*words, "-o", "name", code=12)
    made = done.stdout.split()
    assert len(made) == 500
    assert len(aws.things("instance")) == 500
    assert len(aws.calls("RunInstances")) >= 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    told = set(expand(error.split(": ")[2]))
    assert len(told) == 500
    assert told.isdisjoint(made)
    aws.heal()
    operation = cms.rows("operation", "list")[0]["name"]
    cms("operation", "resume", operation)
    names = [row["name"] for row in cms.rows("vm", "list", "--cloud", "aws", "--refresh")]
    assert len(names) == len(set(names)) == len(aws.things("instance")) == 1000


@pytest.mark.parametrize(("times", "state"), [(1, "running"), (0, "stopped")])
def test_a_resize_without_room_goes_back_to_the_old_flavor(cms: Aws, aws: Lab, times: int, state: str) -> None:
    cms.boot("web", "--cloud", "aws")
    aws.fail("no_capacity", "StartInstances", times=times)
    said = cms.fails(7, "vm", "resize", "web", "t3.large")
    assert ("it has its old flavor" if state == "running" else "it is off, with its old flavor t3.micro") in said
    (row,) = aws.things("instance")
    assert (row["state"], row["type"]) == (state, "t3.micro")
    aws.heal()
    cms("sweep", "--apply", "--yes")
    (row,) = aws.things("instance")
    assert (row["state"], row["type"]) == ("running", "t3.micro")
    assert "cms:intent" not in row["tags"]


def test_a_key_that_aws_refuses_comes_with_the_first_boot(cms: Aws, aws: Lab) -> None:
    aws.fail("code", "ImportKeyPair", code="InvalidKey.Format", message="Key length is not supported", times=0)
    cms.boot("web", "--cloud", "aws")
    (call,) = aws.calls("RunInstances")
    assert "KeyName" not in call["params"]
    assert "ssh-ed25519" in base64.b64decode(call["params"]["UserData"]).decode()


def test_a_volume_may_be_called_like_a_vm(cms: Aws, aws: Lab) -> None:
    cms.boot("web", "--cloud", "aws")
    assert cms.rows("volume", "create", "web", "--size", "1", "--cloud", "aws")[0]["name"] == "web"
    assert "taken" in cms.fails(4, "volume", "create", "web", "--size", "1", "--cloud", "aws")
    assert len(aws.things("volume")) == 2


def test_spot_and_hibernation_exclude_each_other(cms: Aws, aws: Lab) -> None:
    words = ("vm", "boot", IMAGE, "--name", "web", "--cloud", "aws", "--spot")
    assert "spot" in cms.fails(9, *words, "--hibernate")
    assert aws.things("instance") == []


def test_one_that_ended_behind_our_back_is_forgotten_with_the_reason(cms: Aws, aws: Lab) -> None:
    ids = [row["id"] for row in cms.boot("web", "--cloud", "aws", "--count", "2")]
    aws.power_off(ids[0])
    aws.client().terminate_instances(InstanceIds=[ids[1]])
    assert [row["name"] for row in cms.rows("vm", "list", "--refresh")] == ["other"]
    told = {row["target"]: row["text"] for row in cms.rows("event", "list") if row["action"] == "vm.forget"}
    assert "from inside" in told["web-1"]
    assert "terminated it" in told["web-2"]
    assert cms.boot("web-1", "--cloud", "aws")[0]["name"] == "web-1"


@pytest.mark.parametrize("action", ["CreateTags", "StopInstances", "ModifyInstanceAttribute", "StartInstances"])
def test_a_resize_that_loses_an_answer_is_done_and_runs(cms: Aws, aws: Lab, action: str) -> None:
    cms.boot("web", "--cloud", "aws")
    aws.fail("lost", action, times=1)
    cms("vm", "resize", "web", "t3.small")
    (row,) = aws.things("instance")
    assert (row["state"], row["type"]) == ("running", "t3.small")
    cms("sweep", "--apply", "--yes")
    assert "cms:intent" not in aws.things("instance")[0]["tags"]


def test_a_resize_that_could_not_stop_it_is_not_done_later(cms: Aws, aws: Lab) -> None:
    cms.boot("web", "--cloud", "aws")
    aws.fail("denied", "StopInstances", times=0)
    cms.fails(5, "vm", "resize", "web", "t3.small")
    aws.heal()
    aws.forget_calls()
    cms("sweep", "--apply", "--yes")
    (row,) = aws.things("instance")
    assert (row["state"], row["type"]) == ("running", "t3.micro")
    assert "cms:intent" not in row["tags"]
    assert aws.calls("StopInstances") == []


def test_what_knows_no_client_token_is_made_once_though_its_answer_is_lost(cms: Aws, aws: Lab) -> None:
    file = cms.folder / "cloudmesh.yaml"  # botocore itself repeats, too, unless it is told not to
    config = json.loads(file.read_text())
    del config["cloudmesh"]["cloud"]["aws"]["options"]["max_retries"]
    file.write_text(json.dumps(config))
    cms.boot("web", "--cloud", "aws")
    aws.fail("lost", "AllocateAddress", times=1)
    (shown,) = cms.rows("vm", "ip", "set", "web")
    assert [row["name"] for row in aws.things("address")] == shown["public_ips"]
    aws.fail("lost", "CreateSnapshots", times=1)
    cms("vm", "snapshot", "create", "web", "before")
    assert len(aws.things("snapshot")) == 1
    aws.fail("throttled", "CreateSnapshots", times=1)
    cms("vm", "snapshot", "create", "web", "after")
    assert len(aws.things("snapshot")) == 2


@pytest.mark.parametrize(("place", "code"), [("mars-1", 3), ("us-east-1b", 7)])
def test_a_boot_that_fails_in_a_place_of_its_own_leaves_no_row(cms: Aws, aws: Lab, place: str, code: int) -> None:
    aws.fail("no_capacity", "RunInstances", times=0)
    cms.fails(code, "vm", "boot", IMAGE, "--name", "web", "--cloud", "aws", "--region", place, "--open", "80")
    assert [row["name"] for row in cms.rows("vm", "list")] == ["other"]
    assert [row["name"] for row in aws.things("group") if "ports" in row["name"]] == []
