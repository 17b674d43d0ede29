"""Rules of security groups between Neutron's words and the house's.

https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from cloudms.errors import Invalid
from cloudms.model import Rule

Row = Mapping[str, Any]
Identity = tuple[str, str, str, int, int, str]
"""Direction, family, protocol, first and last port, and from or to where."""

EVERYBODY = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmp", "ipv6-icmp": "icmp", "icmpv6": "icmp", "0": "any"}
_ICMP = {"IPv4": "icmp", "IPv6": "ipv6-icmp"}
_MOST_PORTS = 65535


def identity(row: Row) -> Identity:
    """Return what tells a rule of Neutron apart; two that mean the same are the same."""
    family = str(row.get("ethertype") or "IPv4")
    protocol = str(row.get("protocol") or "any").lower()
    first, last = int(row.get("port_range_min") or 0), int(row.get("port_range_max") or 0)
    if (first, last) == (1, _MOST_PORTS):
        first, last = 0, 0
    remote = str(row.get("remote_group_id") or row.get("remote_ip_prefix") or EVERYBODY.get(family, ""))
    return str(row.get("direction")), family, _PROTOCOLS.get(protocol, protocol), first, last, remote


def shown(rows: Iterable[Row], names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of a group; what IPv4 and IPv6 are both let through is one rule for everybody.

    Parameters: `names` are those of groups by id.
    """
    known = {identity(row): str(row.get("id") or "") for row in rows}
    found: dict[tuple[Any, ...], Rule] = {}
    for (direction, family, protocol, first, last, remote), ident in known.items():
        others = [
            (direction, other, protocol, first, last, EVERYBODY[other] if remote == EVERYBODY.get(family) else remote)
            for other in EVERYBODY
        ]
        both = all(each in known for each in others)
        everybody = remote == EVERYBODY.get(family) and both
        said = "" if everybody else names.get(remote, remote)
        rule = Rule(direction=direction, protocol=protocol, first=first, last=last, remote=said, id=ident)
        found.setdefault((direction, protocol, first, last, said), rule)
    return tuple(sorted(found.values(), key=lambda rule: (rule.direction != "ingress", rule.text)))


def bodies(rule: Rule, group: str = "") -> list[dict[str, Any]]:
    """Return the rules of Neutron that are a rule of the house; `group` is the id of the group in `remote`.

    Raises: Invalid.
    """
    _check(rule)
    return [
        {
            "direction": rule.direction, "ethertype": family, **_protocol(rule, family), **_ports(rule),
            **({"remote_group_id": group} if group else {"remote_ip_prefix": _prefix(rule, family)}),
        }
        for family in _families(rule, group)
    ]  # fmt: skip


def is_network(text: str) -> bool:
    """Whether text is an address or a network of addresses."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _families(rule: Rule, group: str) -> Sequence[str]:
    if group or not rule.remote:
        return tuple(EVERYBODY)
    return ("IPv6",) if ":" in rule.remote else ("IPv4",)


def _prefix(rule: Rule, family: str) -> str:
    return str(ip_network(rule.remote, strict=False)) if rule.remote else EVERYBODY[family]


def _protocol(rule: Rule, family: str) -> dict[str, str]:
    if rule.protocol == "any":
        return {}
    return {"protocol": _ICMP[family] if rule.protocol == "icmp" else rule.protocol}


def _ports(rule: Rule) -> dict[str, int]:
    return {"port_range_min": rule.first, "port_range_max": rule.last or rule.first} if rule.first else {}


def _check(rule: Rule) -> None:
    """Refuse what cannot be a rule. Raises: Invalid."""
    if rule.direction not in ("ingress", "egress"):
        raise Invalid(f"'{rule.direction}' is no direction", hint="ingress or egress")
    last = rule.last or rule.first
    if rule.first and rule.protocol in ("any", "icmp"):
        raise Invalid(f"{rule.protocol} has no ports", hint="give tcp or udp with ports")
    if not 0 <= rule.first <= last <= _MOST_PORTS or (rule.last and not rule.first):
        raise Invalid(f"{rule.first}-{rule.last} are no ports", hint="numbers from 1 to 65535, the smaller first")
