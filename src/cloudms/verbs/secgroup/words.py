"""From words to rules: ports, protocol, and where from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

from cloudms.errors import Invalid
from cloudms.model import Rule

PROTOCOLS = ("tcp", "udp", "icmp", "any")
EVERY_PORT = "all"
_LAST = 65535


def rules(port: str | None, protocol: str, remote: str | None, *, egress: bool) -> list[Rule]:
    """Return the rules that words stand for, one per port or range of ports. Raises: Invalid."""
    way = "egress" if egress else "ingress"
    whole = Rule(direction=way, protocol=protocol, remote=address(remote or ""))
    if protocol in ("icmp", "any"):
        if port:
            raise Invalid(f"{protocol} has no ports", hint="--port goes with --protocol tcp or udp")
        return [whole]
    if not port:
        raise Invalid("which ports?", hint=f"--port 80,443 or 8000-8100, or --port {EVERY_PORT}")
    if port.strip() == EVERY_PORT:
        return [whole]
    found = dict.fromkeys(_ports(port))
    return [whole.with_(first=first, last=last) for first, last in found]


def _ports(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last port of each part of `80,8000-8100`. Raises: Invalid."""
    for word in (part.strip() for part in text.split(",")):
        parts = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", word)
        first, last = (int(parts[1]), int(parts[2] or parts[1])) if parts else (0, 0)
        if not 1 <= first <= _LAST or not first <= last <= _LAST:
            raise Invalid(f"{word!a} is not a port", hint="numbers from 1 to 65535, such as --port 80,443 or 8000-8100")
        yield first, last


def address(text: str) -> str:
    """Return what `--from` names: addresses as CIDR, or else the name or id of a group. Raises: Invalid."""
    if not text or not re.search(r"[/:]|^[0-9.]+$", text):
        return text.strip()
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        wide = ip_network(text, strict=False)
    except ValueError:
        raise Invalid(
            f"--from {text!a} are no addresses", hint="such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or a group"
        ) from None
    raise Invalid(f"--from {text} is one address with the size of a network", hint=f"--from {wide}")
