"""Security groups: made once, their rules, the VMs that are in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cloud_subjects import OWNER, Bench, needs

from cloudms.clouds.base import SecGroups, Spread
from cloudms.errors import Conflict, Exists, NotFound
from cloudms.model import Rule, SecGroup, VmState

WEB = Rule(first=80, last=80)
RANGE = Rule(protocol="udp", first=8000, last=8100, remote="10.1.0.0/16")
PING = Rule(protocol="icmp")
ALL = Rule(protocol="any", remote="192.0.2.7/32")
OUT = Rule(direction="egress", first=443, last=443, remote="198.51.100.0/24")
RULES = (WEB, RANGE, PING, ALL, Rule(first=22, last=22, remote="2001:db8::/32"))


@contextmanager
def group_of(cloud: Any) -> Iterator[SecGroup]:
    """Make a security group for a while."""
    token = uuid.uuid4().hex
    group = cloud.create_secgroup(f"cms-contract-{token[:8]}", "for a test", token)
    yield group
    cloud.delete_secgroup(group)


def seen(bench: Bench, group: SecGroup) -> SecGroup:
    """Return a group as a new connection lists it."""
    (row,) = [row for row in bench.open().list_secgroups() if row.id == group.id]  # type: ignore[attr-defined]
    return row  # type: ignore[no-any-return]


def let_in(group: SecGroup) -> list[str]:
    """Return what a group lets in, in words."""
    return sorted(rule.text for rule in group.rules if rule.direction == "ingress")


@needs(SecGroups)
def test_a_group_is_made_once_lets_nothing_in_and_is_deleted(bench: Bench, cloud: Any) -> None:
    token = uuid.uuid4().hex
    name = f"cms-contract-{token[:8]}"
    group = cloud.create_secgroup(name, "for a test", token)
    assert (group.name, group.description, group.cloud, let_in(group)) == (name, "for a test", "bench", [])
    assert cloud.create_secgroup(name, "for a test", token).id == group.id
    with pytest.raises(Exists):
        cloud.create_secgroup(name, "", uuid.uuid4().hex)
    row = seen(bench, group)
    assert (row.name, row.token, row.owner, row.vms) == (name, token, OWNER, ())
    for _ in range(2):
        cloud.delete_secgroup(group)
    assert group.id not in [each.id for each in cloud.list_secgroups()]


@needs(SecGroups)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text)
def test_a_rule_is_added_once_and_taken_away(bench: Bench, cloud: Any, rule: Rule) -> None:
    with group_of(cloud) as group:
        for _ in range(2):
            assert let_in(cloud.add_rule(group, rule)) == [rule.text]
        assert let_in(seen(bench, group)) == [rule.text]
        for _ in range(2):
            assert let_in(cloud.remove_rule(group, rule)) == []
        assert let_in(seen(bench, group)) == []


@needs(SecGroups)
def test_rules_stand_side_by_side(bench: Bench, cloud: Any) -> None:
    with group_of(cloud) as group:
        for rule in RULES:
            cloud.add_rule(group, rule)
        assert let_in(seen(bench, group)) == sorted(rule.text for rule in RULES)
        narrower = WEB.with_(remote="10.1.0.0/16")
        cloud.add_rule(group, narrower)
        cloud.remove_rule(group, WEB)
        assert let_in(seen(bench, group)) == sorted(rule.text for rule in (narrower, *RULES[1:]))


@needs(SecGroups)
def test_what_may_go_out_is_a_rule_of_its_own(bench: Bench, cloud: Any) -> None:
    with group_of(cloud) as group:
        before = let_out(group)
        cloud.add_rule(group, OUT)
        assert let_out(seen(bench, group)) == sorted([*before, OUT.text])
        assert let_in(seen(bench, group)) == []
        assert let_out(cloud.remove_rule(group, OUT)) == before


def let_out(group: SecGroup) -> list[str]:
    """Return what a group lets out, in words."""
    return sorted(rule.text for rule in group.rules if rule.direction == "egress")


@needs(SecGroups)
def test_a_rule_names_another_group(bench: Bench, cloud: Any) -> None:
    with group_of(cloud) as front, group_of(cloud) as back:
        rule = Rule(first=5432, last=5432, remote=front.name)
        assert let_in(cloud.add_rule(back, rule)) == [rule.text]
        assert let_in(seen(bench, back)) == [rule.text]
        assert let_in(cloud.remove_rule(back, rule)) == []
        with pytest.raises(NotFound):
            cloud.add_rule(back, rule.with_(remote="cms-contract-no-such-group"))


@needs(SecGroups)
def test_rules_of_a_group_that_is_gone(cloud: Any) -> None:
    with group_of(cloud) as group:
        pass
    with pytest.raises(NotFound):
        cloud.add_rule(group, WEB)
    with pytest.raises(NotFound):
        cloud.remove_rule(group, WEB)


@needs(SecGroups)
def test_a_vm_is_in_the_groups_that_it_was_booted_with(bench: Bench, cloud: Any) -> None:
    with group_of(cloud) as front, group_of(cloud) as back:
        vm = bench.create(options={"secgroups": [front.name, back.id]})
        bench.wait(vm, VmState.RUNNING)
        assert [seen(bench, group).vms for group in (front, back)] == [(vm.name,), (vm.name,)]
        with pytest.raises(Conflict):
            cloud.delete_secgroup(front)
        bench.delete(vm)
        assert seen(bench, front).vms == ()


@needs(SecGroups)
def test_a_vm_with_a_group_that_is_not_there_is_not_made(bench: Bench, cloud: Any) -> None:
    spec = bench.spec(options={"secgroups": ["cms-contract-no-such-group"]})
    with pytest.raises(NotFound, match="no-such-group"):
        cloud.create_vm(spec)
    assert spec.token not in {vm.token for vm in cloud.list_vms()}


@needs(Spread)
def test_vms_that_are_spread_stand_on_different_hosts(bench: Bench, cloud: Any) -> None:
    spread = uuid.uuid4().hex
    made = [bench.create(options={"spread": spread}) for _ in range(2)]
    hosts = [bench.wait(vm, VmState.RUNNING).raw.get("host") for vm in made]
    assert len(set(hosts)) == len(made) or None in hosts
    for vm in made:
        bench.delete(vm)
