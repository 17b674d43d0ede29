"""Instances as EC2 describes them, as nouns; those that are odd, too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudms.clouds.aws import describe
from cloudms.clouds.aws.tags import Tags, listed
from cloudms.clouds.view import View
from cloudms.model import Origin, Vm, VmState

VIEW = View(cloud="aws", owner="ada", now=1_800_000_000.0)
LAUNCH = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
BORN = datetime(2026, 2, 1, 12, 0, 0, tzinfo=UTC)


def row(word: str = "running", tags: Tags | None = None, **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": "i-1", "ImageId": "ami-1", "InstanceType": "t3.micro", "State": {"Name": word, "Code": 16},
        "LaunchTime": LAUNCH, "PublicIpAddress": "203.0.113.7", "PrivateIpAddress": "10.0.0.7",
        "Tags": listed((tags or Tags(token="abc", owner="ada", name="web")).pairs()), **more,
    }  # fmt: skip


def shown(word: str = "running", tags: Tags | None = None, **more: Any) -> Vm:
    return describe.vm(row(word, tags, **more), "us-east-1", VIEW)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", VmState.PENDING), ("running", VmState.RUNNING), ("stopping", VmState.STOPPING),
        ("stopped", VmState.STOPPED), ("shutting-down", VmState.TERMINATING), ("terminated", VmState.TERMINATED),
        ("dreaming", VmState.UNKNOWN),
    ],
)  # fmt: skip
def test_every_state_has_its_word(word: str, state: VmState) -> None:
    assert shown(word).state is state


def test_an_unknown_state_is_told() -> None:
    assert "'dreaming'" in shown("dreaming").reason


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("Client.UserInitiatedShutdown", "User initiated shutdown", "a user of the account terminated it"),
        ("Client.InstanceInitiatedShutdown", "", "it was shut down from inside, as at the end of its lease"),
        ("", "", ""),
        ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: taken back", "taken back"),
        ("Server.InsufficientInstanceCapacity", "", "Server.InsufficientInstanceCapacity"),
        ("Client.InternalError", "Client.InternalError: Client error on launch", "Client error on launch"),
    ],
)  # fmt: skip
def test_the_reason_is_what_this_catalog_may_not_have_asked_for(code: str, message: str, reason: str) -> None:
    assert shown("terminated", StateReason={"Code": code, "Message": message}).reason == reason
    wanted = code in ("Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", "")
    assert shown("stopped", StateReason={"Code": code, "Message": message}).reason == ("" if wanted else reason)


def test_when_it_came_into_its_state() -> None:
    said = "User initiated (2026-03-02 10:20:30 GMT)"
    assert (
        shown("stopped", StateTransitionReason=said).since == datetime(2026, 3, 2, 10, 20, 30, tzinfo=UTC).timestamp()
    )
    assert shown().since == LAUNCH.timestamp()
    assert shown("stopped").since is None


def test_hibernation_is_saved_by_aws_s_word_or_by_our_tag_of_this_launch() -> None:
    ours = Tags(token="abc", owner="ada", name="web", saved=LAUNCH.timestamp())
    hibernated = {"Code": "Client.UserInitiatedHibernate", "Message": "x"}
    assert shown("stopped", StateReason=hibernated).state is VmState.SAVED
    assert shown("stopping", StateReason=hibernated).state is VmState.SUSPENDING
    assert shown("stopped", ours).state is VmState.SAVED
    assert shown("running", ours).state is VmState.RUNNING
    earlier = ours.with_(saved=LAUNCH.timestamp() - 3600)
    assert shown("stopped", earlier).state is VmState.STOPPED


def test_addresses_of_all_cards_each_once() -> None:
    cards = [
        {
            "Attachment": {"AttachTime": BORN}, "Association": {"PublicIp": "203.0.113.7"},
            "PrivateIpAddresses": [
                {"PrivateIpAddress": "10.0.0.7"},
                {"PrivateIpAddress": "10.0.0.8", "Association": {"PublicIp": "203.0.113.8"}},
            ],
            "Ipv6Addresses": [{"Ipv6Address": "2001:db8::7"}],
        }
    ]  # fmt: skip
    vm = shown(NetworkInterfaces=cards)
    assert vm.public_ips == ("203.0.113.7", "203.0.113.8", "2001:db8::7")
    assert vm.private_ips == ("10.0.0.7", "10.0.0.8")
    assert vm.ssh_host == "203.0.113.7"
    assert vm.created == BORN.timestamp()
    assert shown(PublicIpAddress=None).ssh_host == "10.0.0.7"


def test_whose_it_is() -> None:
    assert shown().origin is Origin.OWN
    assert shown(tags=Tags(token="abc", owner="ada", adopted=True)).origin is Origin.ADOPTED
    assert shown(tags=Tags(token="abc", owner="grace")).origin is Origin.FOREIGN
    foreign = shown(tags=Tags(name="db"))
    assert (foreign.origin, foreign.name, foreign.token) == (Origin.FOREIGN, "db", "")
    assert describe.vm({"InstanceId": "i-9", "State": {"Name": "running"}}, "r", VIEW).name == "i-9"


def test_image_and_login_by_tag_then_setting_then_guess() -> None:
    tagged = Tags(token="abc", owner="ada", image="debian-12", login="admin")
    assert (shown(tags=tagged).image, shown(tags=tagged).login) == ("debian-12", "admin")
    assert (shown().image, shown().login) == ("ami-1", "ec2-user")
    assert describe.vm(row(), "r", VIEW.with_(login="core")).login == "core"


@pytest.mark.parametrize(
    "odd",
    [
        {"State": "running"}, {"NetworkInterfaces": [7]}, {"Tags": [3]}, {"NetworkInterfaces": {"a": 1}},
        {"StateReason": ["x"]},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_understood_is_unknown_with_its_id_and_the_reason(odd: dict[str, Any]) -> None:
    vm = shown(**odd)
    assert (vm.state, vm.id, vm.region) == (VmState.UNKNOWN, "i-1", "us-east-1")
    assert "cannot be understood" in vm.reason


def test_the_raw_reply_is_json_with_times_as_text_and_without_secrets() -> None:
    vm = shown(UserData="secret-4711", Extra={"When": LAUNCH, "Blob": b"x"})
    text = json.dumps(vm.raw)
    assert '"LaunchTime": "2026-03-01T12:00:00Z"' in text
    assert "secret-4711" not in text


def test_times_as_text_are_read_as_well() -> None:
    assert describe.seconds("2026-03-01T12:00:00.000Z") == LAUNCH.timestamp()
    assert describe.seconds("2026-03-01T12:00:00") == LAUNCH.timestamp()
    assert describe.seconds("yesterday") is describe.seconds(None) is None
