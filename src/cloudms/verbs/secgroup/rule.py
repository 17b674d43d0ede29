"""`cms secgroup rule add` and `remove`: what a group lets through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from cloudms.clouds.base import SecGroups
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, things
from cloudms.errors import Invalid, NotFound
from cloudms.model import Noun, Rule, SecGroup
from cloudms.verb import Doc, Short, verb
from cloudms.verbs.lists import CloudName
from cloudms.verbs.secgroup.look import GroupName, groups_of, one_group
from cloudms.verbs.secgroup.words import rules

Port = Annotated[str | None, Doc("ports, such as 80,443 or 8000-8100, or all"), Short("p")]
Protocol = Annotated[Literal["tcp", "udp", "icmp", "any"], Doc("protocol")]
Remote = Annotated[
    str | None, Doc("addresses (CIDR) or security group at the other end, to which --egress leads; everybody otherwise")
]
Egress = Annotated[bool, Doc("what its VMs may reach, instead of what may reach them")]
_COLUMNS = ("name", "cloud", "rules")


@verb("secgroup", "rule", "add", changes=True, columns=_COLUMNS,
      example="cms secgroup rule add web --port 80,443 --from 10.0.0.0/8")  # fmt: skip
def add(
    ctx: Context,
    group: GroupName,
    *,
    port: Port = None,
    protocol: Protocol = "tcp",
    from_: Remote = None,
    egress: Egress = False,
    cloud: CloudName = None,
) -> Plan:
    """Let something through to the VMs of a security group, or from them. What is let through already is success."""
    wanted = rules(port, protocol, from_, egress=egress)
    found = _group(ctx, group, cloud)
    return _plan("add", found, wanted, f"let {_shown(wanted)} through for {found.name}")


@verb("secgroup", "rule", "remove", changes=True, aliases=["delete"], columns=_COLUMNS,
      example="cms secgroup rule remove web --port 443 --from 10.0.0.0/8")  # fmt: skip
def remove(
    ctx: Context,
    group: GroupName,
    *,
    port: Port = None,
    protocol: Protocol = "tcp",
    from_: Remote = None,
    egress: Egress = False,
    id: Annotated[str | None, Doc("the rule of this id instead (cms secgroup info)")] = None,  # noqa: A002 (the option)
    cloud: CloudName = None,
) -> Plan:
    """Stop letting something through, said in the words with which it was added, or by the rule's id.

    What is not let through is success.
    """
    if id and (port or from_ or egress or protocol != "tcp"):
        raise Invalid(
            "--id names one rule, and needs no other words", hint=f"cms secgroup rule remove {group} --id {id}"
        )
    said = [] if id else rules(port, protocol, from_, egress=egress)
    asked = _group(ctx, group, cloud)
    found = things.current(ctx, asked, groups_of) or asked
    wanted = [_with_id(found, id)] if id else said
    known = {rule.text for rule in found.rules}
    for rule in wanted:
        if rule.text not in known:
            ctx.warn(f"{found.name} has no rule '{rule.text}'")
    return _plan("remove", found, wanted, f"stop letting {_shown(wanted)} through for {found.name}")


def _group(ctx: Context, name: str, cloud: str | None) -> SecGroup:
    found = one_group(ctx, name, cloud)
    things.able(ctx, found.cloud, SecGroups)
    return found


def _with_id(group: SecGroup, ident: str) -> Rule:
    """Return the rule of a group with that id. Raises: NotFound."""
    for rule in group.rules:
        if rule.id == ident:
            return rule
    raise NotFound(f"{group.name} has no rule with the id '{ident}'", hint=f"cms secgroup info {group.name}")


def _shown(wanted: Sequence[Rule]) -> str:
    return ", ".join(f"'{rule.text}'" for rule in wanted)


def _plan(deed: str, group: SecGroup, wanted: Sequence[Rule], summary: str) -> Plan:
    said = [rule.to_document() for rule in wanted]
    steps = things.steps(f"secgroup.rule.{deed}", [group], rules=said)
    return Plan(verb=f"secgroup rule {deed}", summary=summary, steps=steps)


@action("secgroup.rule.add")
def _add(work: Work) -> Noun:
    return _each(work, "add_rule", "lets through")


@action("secgroup.rule.remove")
def _remove(work: Work) -> Noun:
    return _each(work, "remove_rule", "lets no longer through")


def _each(work: Work, call: str, text: str) -> SecGroup:
    """Call the cloud for one rule after another, each of which it may have seen to before."""
    cloud, group = things.load(work, SecGroup)
    wanted = [Rule(**each) for each in work.step.params["rules"]]
    for rule in wanted:
        work.report(rule.text)
        after: SecGroup = getattr(cloud, call)(group, rule)
        group = after.with_(token=group.token, vms=after.vms or group.vms)
    return things.changed(work, group, group, f"{text}: {', '.join(rule.text for rule in wanted)}")
