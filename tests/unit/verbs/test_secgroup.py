"""Security groups: rules from words, groups made once whatever is killed, VMs that are in them."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms import registry
from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import execute, start
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, Unsupported
from cloudms.model import OperationState, Rule
from cloudms.verbs.secgroup.words import address, rules
from tests.unit.verbs.conftest import Call, events, outcome
from tests.unit.verbs.test_lists import fake
from tests.unit.verbs.test_volume import killed


def texts(result: Any) -> list[str]:
    """Return the rules of a result in words."""
    return [Rule(**rule).text for rule in outcome(result)["rules"]]


@pytest.mark.parametrize(
    ("port", "protocol", "remote", "egress", "said"),
    [
        ("80", "tcp", None, False, ["in tcp 80"]),
        (" 80 , 443", "tcp", None, False, ["in tcp 80", "in tcp 443"]),
        ("7-9,53,53", "udp", "10.0.0.0/8", False, ["in udp 7-9 from 10.0.0.0/8", "in udp 53 from 10.0.0.0/8"]),
        ("all", "tcp", "192.0.2.7", False, ["in tcp from 192.0.2.7/32"]),
        ("1-65535", "tcp", "2001:db8::1", True, ["out tcp 1-65535 to 2001:db8::1/128"]),
        (None, "icmp", "web", False, ["in icmp from web"]),
        (None, "any", "sg-0123456789abcdef0", True, ["out any to sg-0123456789abcdef0"]),
    ],
)  # fmt: skip
def test_rules_are_made_of_words(
    port: str | None, protocol: str, remote: str | None, egress: bool, said: list[str]
) -> None:
    assert [rule.text for rule in rules(port, protocol, remote, egress=egress)] == said


@pytest.mark.parametrize("port", ["0", "65536", "80-", "-80", "90-80", "http", "80,,443", "٨٠", "1e3", "80 443"])
def test_what_is_no_port_is_refused_in_one_line(port: str) -> None:
    with pytest.raises(Invalid, match="is not a port") as caught:
        rules(port, "tcp", None, egress=False)
    assert "--port 80,443" in caught.value.hint


@pytest.mark.parametrize("protocol", ["icmp", "any"])
def test_what_has_no_ports_takes_none(protocol: str) -> None:
    with pytest.raises(Invalid, match="has no ports"):
        rules("80", protocol, None, egress=False)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ports_are_not_opened_by_leaving_them_out(protocol: str) -> None:
    with pytest.raises(Invalid, match="which ports"):
        rules(None, protocol, None, egress=False)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "300.1.1.1", "1.2.3", "10.0.0.0/8/8", "::1::", "a/b"])
def test_what_are_no_addresses_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="are no addresses"):
        address(text)


def test_an_address_with_the_size_of_a_network_is_refused_with_the_network() -> None:
    with pytest.raises(Invalid) as caught:
        address("10.1.2.3/8")
    assert caught.value.hint == "--from 10.0.0.0/8"


def test_create_open_list_delete(ctx: Context, call: Call) -> None:
    made = outcome(call("secgroup create", "web", description="for everybody"))
    assert (made["name"], made["cloud"], made["description"], made["rules"]) == ("web", "one", "for everybody", [])
    assert texts(call("secgroup rule add", "web", port="80,443")) == ["in tcp 80", "in tcp 443"]
    assert texts(call("secgroup rule add", "web", port="80,443")) == ["in tcp 80", "in tcp 443"]
    assert texts(call("secgroup rule add", "web", protocol="icmp", from_="web"))[-1] == "in icmp from web"
    (listed,) = call("secgroup list").items
    assert [rule.text for rule in listed.rules] == ["in tcp 80", "in tcp 443", "in icmp from web"]
    assert call("secgroup info", "web").token == made["token"]
    assert texts(call("secgroup rule remove", "web", port="443")) == ["in tcp 80", "in icmp from web"]
    ident = call("secgroup info", "web").rules[1].id
    assert texts(call("secgroup rule remove", "web", id=ident)) == ["in tcp 80"]
    assert outcome(call("secgroup delete", ["web"]))["name"] == "web"
    assert call("secgroup list").items == ()
    said = [event.partition(": ")[2] for event in events(ctx)]
    assert said[:3] == ["asked for", "created", "lets through: in tcp 80, in tcp 443"]


def test_a_rule_that_is_not_there_is_success_with_a_warning(ctx: Context, call: Call) -> None:
    call("secgroup create", "web")
    assert call("secgroup rule remove", "web", port="80").state is OperationState.DONE
    assert ctx.warnings[-1] == "web has no rule 'in tcp 80'"
    with pytest.raises(NotFound, match="no rule with the id"):
        call("secgroup rule remove", "web", id="none")
    with pytest.raises(Invalid, match="needs no other words"):
        call("secgroup rule remove", "web", id="none", port="80")


def test_what_may_go_out_is_a_rule_of_its_own(call: Call) -> None:
    call("secgroup create", "web")
    assert texts(call("secgroup rule add", "web", port="443", egress=True)) == ["out tcp 443"]
    assert texts(call("secgroup rule remove", "web", port="443")) == ["out tcp 443"]
    assert texts(call("secgroup rule remove", "web", port="443", egress=True)) == []


def test_a_name_stands_once_on_a_cloud_and_its_places(ctx: Context, call: Call) -> None:
    call("secgroup create", "web")
    call("secgroup create", "web", cloud="two")
    with pytest.raises(Exists):
        call("secgroup create", "web")
    call("secgroup create", "web", region="fake-west-1")
    for _ in range(2):
        with pytest.raises(Conflict, match="means several"):
            call("secgroup info", "web")
    (west,) = [group for group in call("secgroup list").items if group.region == "fake-west-1"]
    assert call("secgroup info", west.id).region == "fake-west-1"
    assert call("secgroup info", "web", cloud="two").cloud == "two"
    fake(ctx, "one").create_secgroup("theirs", "", "somebody's")
    with pytest.raises(Exists, match="theirs"):
        call("secgroup create", "theirs")


def test_the_intent_is_written_before_the_call_and_a_resume_makes_it_once(ctx: Context, call: Call) -> None:
    name = killed(ctx, call("secgroup create", "web", dry_run=True))
    assert [row.document["id"] for row in ctx.catalog.find("secgroup")] == [""]
    assert fake(ctx, "one").calls("create_secgroup") == []
    with pytest.raises(Exists, match="being made"):
        call("secgroup create", "web")
    assert call("operation resume", name).state is OperationState.DONE
    assert [group.name for group in call("secgroup list").items] == ["web"]


def test_a_group_whose_reply_was_lost_is_made_once(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("loses_reply", call="create_secgroup")
    assert call("secgroup create", "web").state is OperationState.DONE
    assert len(fake(ctx, "one").store.read()["secgroups"]) == 1


def test_rules_that_were_cut_off_are_completed(ctx: Context, call: Call) -> None:
    call("secgroup create", "web")
    fake(ctx, "one").add_fault("denied", call="add_rule")
    plan = call("secgroup rule add", "web", port="80,443", dry_run=True)
    done = execute(ctx, start(ctx, plan))
    assert outcome(done)["code"] == "denied"
    assert texts(call("operation resume", done.name)) == ["in tcp 80", "in tcp 443"]


def test_a_group_that_never_came_goes(ctx: Context, call: Call, clock: ManualClock) -> None:
    killed(ctx, call("secgroup create", "web", dry_run=True))
    assert len(call("secgroup list", refresh=True).items) == 1
    clock.sleep(601)
    assert call("secgroup list", refresh=True).items == ()
    assert call("secgroup create", "web").state is OperationState.DONE


def test_a_refused_creation_and_one_that_never_began_leave_nothing(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("no_capacity", call="create_secgroup")
    assert outcome(call("secgroup create", "web"))["code"] == "no_capacity"
    operation = start(ctx, call("secgroup create", "web", dry_run=True))
    ctx.stop()
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ctx.stopping.clear()
    assert ctx.catalog.find("secgroup") == []
    assert ctx.catalog.find("secgroup-name") == []


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("words", ["secgroup create", "secgroup info", "secgroup rule add"])
def test_a_cloud_without_groups_is_refused_with_those_that_have_them(call: Call, words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        call(words, "web", cloud="plain", **({"port": "80"} if words.endswith("add") else {}))
    assert caught.value.hint.startswith("these clouds can: one, two")


@pytest.mark.usefixtures("plain")
def test_clouds_without_groups_are_left_out_of_lists(call: Call) -> None:
    call("secgroup create", "web")
    assert [group.cloud for group in call("secgroup list", refresh=True).items if group.name == "web"] == ["one"]


def test_vms_are_in_the_groups_they_are_booted_with(call: Call) -> None:
    for name in ("web", "db"):
        call("secgroup create", name)
    call("vm boot", name="both", secgroup=["web, db"])
    call("vm boot", name="front", secgroup=["web", "web"])
    assert {group.name: group.vms for group in call("secgroup list").items} == {
        "web": ("both", "front"), "db": ("both",),
    }  # fmt: skip
    with pytest.raises(Conflict, match="used by both"):
        call("secgroup delete", ["db"])
    call("vm delete", ["both"])
    assert call("secgroup delete", ["db"]).state is OperationState.DONE
    with pytest.raises(NotFound):
        call("secgroup delete", ["db"])
    assert call("secgroup delete", ["db"], missing_ok=True).steps == ()


def test_groups_that_name_each_other_are_deleted_together(ctx: Context, call: Call) -> None:
    for name in ("a", "b", "c"):
        call("secgroup create", name)
    for group, other in (("a", "b"), ("b", "a"), ("c", "a"), ("a", "a")):
        call("secgroup rule add", group, port="80", from_=other)
    refused = call("secgroup delete", ["a"])
    assert outcome(refused)["code"] == "conflict"
    assert len(call("secgroup info", "a").rules) == 2
    assert call("secgroup delete", ["a", "b", "c"]).state is OperationState.DONE
    assert fake(ctx, "one").store.read()["secgroups"] == {}


def test_groups_that_are_not_there_are_refused_before_anything_is_reserved(ctx: Context, call: Call) -> None:
    call("secgroup create", "web")
    with pytest.raises(NotFound, match="'wbe'") as caught:
        call("vm boot", name="web1", secgroup=["wbe"])
    assert "web" in caught.value.hint
    with pytest.raises(NotFound, match="not in fake-west-1"):
        call("vm boot", name="web1", secgroup=["web"], region="fake-west-1")
    with pytest.raises(Invalid, match="names no security group"):
        call("vm boot", name="web1", secgroup=["web,"])
    assert ctx.catalog.find("name") == []
    assert fake(ctx, "one").calls("create_vm") == []


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("option", [{"secgroup": ["web"]}, {"spread": True}])
def test_clouds_that_cannot_refuse_groups_and_spread_at_boot(call: Call, option: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as caught:
        call("vm boot", "micro", cloud="plain", **option)
    assert "one, two" in caught.value.hint


@pytest.mark.parametrize("cloud", ["one", "two"])
def test_vms_that_are_spread_stand_on_different_hosts(ctx: Context, call: Call, cloud: str) -> None:
    call("vm boot", "micro", name="web", count=4, spread=True, cloud=cloud)
    world = fake(ctx, cloud).store.read()
    assert len({vm["host"] for vm in world["vms"].values()}) == 4
    assert len({vm["options"]["spread"] for vm in world["vms"].values()}) == 1
    refused = call("vm boot", "micro", name="many", count=9, spread=True, cloud=cloud)
    assert {step.error["code"] for step in refused.steps if step.error} == {"no_capacity"}


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("sec group add", "secgroup create"),
        ("sec group list", "secgroup list"),
        ("sec group delete", "secgroup delete"),
        ("sec list", "secgroup list"),
        ("sec rule add", "secgroup rule add"),
        ("sec rule delete", "secgroup rule remove"),
    ],
)
def test_the_ancestors_words_lead_to_ours(words: str, ours: str) -> None:
    entry, rest = registry.index().find([*words.split(), "web"])
    assert (" ".join(entry.path), rest) == (ours, ["web"])
