"""Rules in AWS's words: an `IpPermission` holds protocol and ports, and any number of sources by address or group.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cloudms.model import Rule

EVERYBODY = ("0.0.0.0/0", "::/0")
_LAST = 65535
_WORDS = {"-1": "any", "1": "icmp", "58": "icmp", "icmpv6": "icmp", "6": "tcp", "17": "udp"}
_SOURCES = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId"}

Row = Mapping[str, Any]


def rules(group: Row, names: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of a described group; `names` are those of groups by id.

    What holds for every IPv4 and every IPv6 address is one rule for everybody.
    """
    ways = {"IpPermissions": "ingress", "IpPermissionsEgress": "egress"}
    parts = [(part, way) for key, way in ways.items() for part in group.get(key) or ()]
    found = [rule for part, way in parts for rule in _rules(part, way, group, names)]
    texts = {rule.text for rule in found}
    shown: dict[str, Rule] = {}
    for rule in found:
        whole = all(rule.with_(remote=block).text in texts for block in EVERYBODY)
        rule = rule.with_(remote="") if whole and rule.remote in EVERYBODY else rule
        shown.setdefault(rule.text, rule)
    return tuple(shown.values())


def _rules(part: Row, way: str, group: Row, names: Mapping[str, str]) -> Iterator[Rule]:
    protocol, first, last = _what(part)
    plain = Rule(direction=way, protocol=protocol, first=first, last=last)
    for key, word in _SOURCES.items():
        for each in part.get(key) or ():
            yield plain.with_(remote=str(each.get(word)))
    for pair in part.get("UserIdGroupPairs") or ():
        yield plain.with_(remote=_named(pair, group, names))


def _what(part: Row) -> tuple[str, int, int]:
    """Return protocol, first and last port; a type of ICMP is told with the protocol."""
    word = str(part.get("IpProtocol"))
    protocol = _WORDS.get(word, word)
    first, last = int(part.get("FromPort") or 0), int(part.get("ToPort") or 0)
    if protocol.startswith("icmp"):
        kind = [str(part[name]) for name in ("FromPort", "ToPort") if part.get(name, -1) != -1]
        return "/".join((protocol, *kind)), 0, 0
    every = protocol == "any" or (first <= 0 and last in (-1, 0, _LAST))
    return (protocol, 0, 0) if every else (protocol, first, last)


def _named(pair: Row, group: Row, names: Mapping[str, str]) -> str:
    """Return the name of the group in a rule; that of another account has its number before it."""
    ident, account = str(pair.get("GroupId") or ""), str(pair.get("UserId") or "")
    name = names.get(ident) or str(pair.get("GroupName") or ident)
    return f"{account}/{name}" if account and account != group.get("OwnerId", account) else name


def groups(group: Row) -> list[str]:
    """Return the ids of the groups that the rules of a described group name."""
    parts = [*(group.get("IpPermissions") or ()), *(group.get("IpPermissionsEgress") or ())]
    pairs = [pair for part in parts for pair in part.get("UserIdGroupPairs") or ()]
    return sorted({str(pair["GroupId"]) for pair in pairs if pair.get("GroupId")})


def permissions(rule: Rule, group: str = "") -> list[dict[str, Any]]:
    """Return a rule as `IpPermissions` with one source each; `group` is the id of the group it names, if any."""
    what: dict[str, Any] = {"IpProtocol": "-1" if rule.protocol == "any" else rule.protocol}
    if rule.protocol in ("tcp", "udp"):
        what |= {"FromPort": rule.first, "ToPort": rule.last or _LAST}
    elif rule.protocol == "icmp":
        what |= {"FromPort": -1, "ToPort": -1}
    if group:
        return [{**what, "UserIdGroupPairs": [{"GroupId": group}]}]
    return [_from(block, what) for block in ([rule.remote] if rule.remote else EVERYBODY)]


def _from(block: str, what: Row) -> dict[str, Any]:
    """Return a permission for the addresses of a block; ICMP has a number of its own in IPv6."""
    if ":" not in block:
        return {**what, "IpRanges": [{"CidrIp": block}]}
    protocol = "icmpv6" if what["IpProtocol"] == "icmp" else what["IpProtocol"]
    return {**what, "IpProtocol": protocol, "Ipv6Ranges": [{"CidrIpv6": block}]}
