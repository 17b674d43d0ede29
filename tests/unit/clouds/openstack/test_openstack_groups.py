"""Security groups: rules in Neutron's words and the house's, groups made once, and who is in them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, Told, neutron, opened, server

from cloudms.clouds.openstack import marks, rules
from cloudms.clouds.openstack.secgroups import Grouping
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Rule, SecGroup


def wire(ident: str = "", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": ident, "direction": "ingress", "ethertype": "IPv4", "protocol": None, "port_range_min": None,
        "port_range_max": None, "remote_ip_prefix": None, "remote_group_id": None,
    }  # fmt: skip
    return found | more


OUT = [wire("o4", direction="egress"), wire("o6", direction="egress", ethertype="IPv6")]


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        (OUT, ["out any"]),
        (OUT[:1], ["out any to 0.0.0.0/0"]),
        ([wire(protocol="tcp", port_range_min=22, port_range_max=22)], ["in tcp 22 from 0.0.0.0/0"]),
        ([wire(protocol="6", port_range_min=1, port_range_max=65535, remote_ip_prefix="10.0.0.0/8")],
         ["in tcp from 10.0.0.0/8"]),
        ([wire(protocol="icmp"), wire(protocol="ipv6-icmp", ethertype="IPv6")], ["in icmp"]),
        ([wire(protocol="tcp", remote_ip_prefix="0.0.0.0/0"), wire(protocol="tcp", ethertype="IPv6")], ["in tcp"]),
        ([wire(remote_group_id="g2"), wire(remote_group_id="g2", ethertype="IPv6")], ["in any from other"]),
        ([wire(remote_group_id="g3")], ["in any from g3"]),
        ([wire(protocol="vrrp", ethertype="IPv6", remote_ip_prefix="fd00::/8")], ["in vrrp from fd00::/8"]),
        ([], []),
    ],
)  # fmt: skip
def test_rules_are_shown_as_people_write_them(rows: list[dict[str, Any]], texts: list[str]) -> None:
    assert [rule.text for rule in rules.shown(rows, {"g2": "other"})] == texts


@pytest.mark.parametrize(
    "rule",
    [Rule(first=80, last=443), Rule(protocol="icmp"), Rule(protocol="any"), Rule(direction="egress", first=25),
     Rule(first=22, last=22, remote="10.0.0.0/8"), Rule(protocol="udp", first=53, last=53, remote="fd00::/8")],
)  # fmt: skip
def test_what_is_asked_for_is_shown_the_same(rule: Rule) -> None:
    (shown,) = rules.shown([wire(**body) for body in rules.bodies(rule)], {})
    assert shown.text == rule.with_(last=rule.last or rule.first).text


def test_everybody_is_a_rule_of_each_family() -> None:
    assert rules.bodies(Rule(first=22, last=22)) == [
        {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22,
         "remote_ip_prefix": "0.0.0.0/0"},
        {"direction": "ingress", "ethertype": "IPv6", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22,
         "remote_ip_prefix": "::/0"},
    ]  # fmt: skip
    assert [body["remote_group_id"] for body in rules.bodies(Rule(protocol="any", remote="web"), "g1")] == ["g1", "g1"]


@pytest.mark.parametrize(
    "rule",
    [Rule(direction="sideways"), Rule(protocol="icmp", first=8), Rule(protocol="any", first=1), Rule(first=9, last=8),
     Rule(first=1, last=70000), Rule(last=5), Rule(first=-1, last=5)],
)  # fmt: skip
def test_what_cannot_be_a_rule(rule: Rule) -> None:
    with pytest.raises(Invalid):
        rules.bodies(rule)


WEB = {"id": "g1", "name": "web", "description": marks.description("t9", OWNER, "servers"), "security_group_rules": OUT}
GROUP = SecGroup(name="web", id="g1", region="R1")


def groups(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "network GET /security-groups": {"security_groups": list(rows)},
        **{f"network GET /security-groups/{row['id']}": {"security_group": row} for row in rows},
        "network GET /ports": {"ports": [
            {"device_id": "s1", "device_owner": "compute:nova", "security_groups": ["g1"]},
            {"device_id": "s9", "device_owner": "compute:nova", "security_groups": ["g1"]},
            {"device_id": "r1", "device_owner": "network:router_gateway", "security_groups": ["g1"]},
        ]},
        "compute GET /servers/s1": {"server": server()}, **more,
    }  # fmt: skip


def test_groups_are_listed_with_their_rules_and_vms() -> None:
    (found,) = opened(Grouping, Told(groups(WEB))).list_secgroups()
    assert (found.name, found.description, found.token, found.owner) == ("web", "servers", "t9", OWNER)
    assert (found.vms, [rule.text for rule in found.rules]) == (("web",), ["out any"])


def test_a_group_is_made_once() -> None:
    link = Told(groups(**{"network POST /security-groups": {"security_group": WEB}}))
    assert opened(Grouping, link).create_secgroup("web", "servers", "t9").token == "t9"
    (body,) = link.said("network POST /security-groups")
    assert body == {"security_group": {"name": "web", "description": f"servers [cms:token=t9 cms:owner={OWNER}]"}}
    link = Told(groups(WEB))
    assert opened(Grouping, link).create_secgroup("web", "servers", "t9").id == "g1"
    with pytest.raises(Exists, match="already has a security group"):
        opened(Grouping, link).create_secgroup("web", "", "other")
    with pytest.raises(NotFound, match="region"):
        opened(Grouping, link).create_secgroup("more", "", "other", "R9")
    assert not link.said("network POST .*")


def test_a_group_is_deleted_unless_vms_are_in_it() -> None:
    link = Told(groups(WEB, **{"network DELETE /security-groups/g1": {}}))
    opened(Grouping, link).delete_secgroup(GROUP)
    assert len(link.said("network DELETE .*")) == 1
    opened(Grouping, Told(groups())).delete_secgroup(GROUP)
    used = groups(WEB, **{"network DELETE /security-groups/g1": neutron("SecurityGroupInUse")})
    with pytest.raises(Conflict, match="VMs are in"):
        opened(Grouping, Told(used)).delete_secgroup(GROUP)


def test_the_same_rule_again_is_success() -> None:
    rows = groups(WEB, **{"network POST /security-group-rules": [neutron("SecurityGroupRuleExists"), {}]})
    link = Told(rows)
    opened(Grouping, link).add_rule(GROUP, Rule(first=80, last=80))
    families = [body["security_group_rule"]["ethertype"] for body in link.said("network POST .*")]
    assert families == ["IPv4", "IPv6"]
    full = groups(WEB, **{"network POST /security-group-rules": neutron("OverQuota", 409, "Quota exceeded")})
    with pytest.raises(Exception, match="Quota"):
        opened(Grouping, Told(full)).add_rule(GROUP, Rule(first=80, last=80))


def test_a_rule_about_another_group_is_named_by_name_or_id() -> None:
    other = {**WEB, "id": "g2", "name": "db", "description": ""}
    rows = groups(
        WEB, **{"network POST /security-group-rules": {}, "network GET /security-groups/g2": {"security_group": other}}
    )
    rows["network GET /security-groups"] = lambda _body, query: {
        "security_groups": [each for each in (WEB, other) if query.get("name", [each["name"]]) == [each["name"]]]
    }
    for word in ("db", "g2"):
        link = Told(dict(rows))
        opened(Grouping, link).add_rule(GROUP, Rule(protocol="any", remote=word))
        assert {body["security_group_rule"]["remote_group_id"] for body in link.said("network POST .*")} == {"g2"}
    with pytest.raises(NotFound, match="no security group 'nowhere'"):
        opened(Grouping, Told(dict(rows))).add_rule(GROUP, Rule(protocol="any", remote="nowhere"))


def test_a_rule_is_taken_away_in_both_families_and_one_that_is_not_there_is_success() -> None:
    link = Told(groups(WEB, **{"network DELETE /security-group-rules/.*": {}}))
    cloud = opened(Grouping, link)
    cloud.remove_rule(GROUP, Rule(direction="egress", protocol="any"))
    assert [said[-2:] for said, *_rest in link.asked if "DELETE" in said] == ["o4", "o6"]
    cloud.remove_rule(GROUP, Rule(first=80, last=80))
    cloud.remove_rule(GROUP, Rule(protocol="any", remote="nowhere"))
    assert len(link.said("network DELETE .*")) == 2
    with pytest.raises(NotFound):
        opened(Grouping, Told(groups())).remove_rule(GROUP, Rule(first=80, last=80))
