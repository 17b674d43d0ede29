"""Rules of security groups in AWS's words and back."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.aws.ippermissions import groups, permissions, rules
from cloudms.model import Rule

GROUP = {"GroupId": "sg-1", "OwnerId": "111"}
ANY4, ANY6 = {"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}


def told(*parts: dict[str, Any], way: str = "IpPermissions") -> list[str]:
    """Return the rules that AWS's parts are, in words."""
    return [rule.text for rule in rules({**GROUP, way: list(parts)}, {"sg-2": "front"})]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(first=80, last=80),
        Rule(),
        Rule(protocol="udp", first=1, last=9, remote="10.0.0.0/8"),
        Rule(protocol="icmp"),
        Rule(protocol="icmp", remote="2001:db8::/32"),
        Rule(protocol="any", remote="192.0.2.7/32"),
        Rule(direction="egress", protocol="any"),
    ],
    ids=lambda rule: rule.text,
)
def test_a_rule_comes_back_as_it_was_said(rule: Rule) -> None:
    key = "IpPermissions" if rule.direction == "ingress" else "IpPermissionsEgress"
    assert told(*permissions(rule), way=key) == [rule.text]


def test_a_rule_names_a_group_by_its_id() -> None:
    (part,) = permissions(Rule(first=5432, last=5432, remote="front"), "sg-2")
    assert part["UserIdGroupPairs"] == [{"GroupId": "sg-2"}]
    assert told(part) == ["in tcp 5432 from front"]
    assert groups({**GROUP, "IpPermissions": [part]}) == ["sg-2"]


def test_everybody_is_asked_for_by_both_families_and_icmp_by_its_own_number() -> None:
    four, six = permissions(Rule(protocol="icmp"))
    assert (four["IpProtocol"], four["IpRanges"]) == ("icmp", [ANY4])
    assert (six["IpProtocol"], six["Ipv6Ranges"]) == ("icmpv6", [ANY6])
    assert [part["IpProtocol"] for part in permissions(Rule(protocol="any"))] == ["-1", "-1"]


def test_one_family_alone_is_told_as_it_is() -> None:
    web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    assert told({**web, "IpRanges": [ANY4]}) == ["in tcp 80 from 0.0.0.0/0"]
    assert told({**web, "Ipv6Ranges": [ANY6]}) == ["in tcp 80 from ::/0"]
    assert told({**web, "IpRanges": [ANY4]}, {**web, "Ipv6Ranges": [ANY6]}) == ["in tcp 80"]
    assert told({**web, "IpRanges": [ANY4, {"CidrIp": "10.0.0.0/8"}], "Ipv6Ranges": [ANY6]}) == [
        "in tcp 80", "in tcp 80 from 10.0.0.0/8",
    ]  # fmt: skip


def test_what_others_have_said_is_told_too() -> None:
    """Types of ICMP, other protocols, lists of prefixes and groups of other accounts have no words of ours."""
    assert told({"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [ANY4]}) == [
        "in icmp/8 from 0.0.0.0/0"
    ]  # fmt: skip
    assert told({"IpProtocol": "50", "IpRanges": [ANY4]}) == ["in 50 from 0.0.0.0/0"]
    assert told({"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1"}]}) == ["in any from pl-1"]
    theirs = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-9", "UserId": "222"}]}
    ours = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1", "UserId": "111"}]}
    assert told(theirs, ours) == ["in any from 222/sg-9", "in any from sg-1"]
    assert told({"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [ANY4]}) == [
        "in tcp from 0.0.0.0/0"
    ]  # fmt: skip
