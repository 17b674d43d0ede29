"""Port forwards of a running VM, set through QEMU's monitor: libvirt has no word for those of its user-mode card.

They live in the QEMU process and are lost with it, so `apply` runs after every start, restore, revert and on `mend`.
The monitor answers in prose with success: empty is good for `hostfwd_add`; see QEMU's documentation of the monitor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudms.clouds.libvirt.link import qemu_sdk

HMP = 1  # VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
_LINE = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s", re.MULTILINE)

Forwards = Mapping[str, Mapping[int, int]]
"""Address → host port → guest port."""
Rule = tuple[str, int, int]
"""Address, host port, guest port."""


def rules(forwards: Forwards) -> set[Rule]:
    """Return forwards as single rules."""
    return {(address, port, guest) for address, ports in forwards.items() for port, guest in ports.items()}


def present(domain: Any) -> set[Rule]:
    """Return the forwards that QEMU has now."""
    return parse(_ask(domain, "info usernet"))


def parse(text: str) -> set[Rule]:
    """Return the forwards in the answer to `info usernet`."""
    return {(address, int(port), int(guest)) for address, port, guest in _LINE.findall(text)}


def apply(domain: Any, netdev: str, wanted: Forwards, *, fresh: bool = False) -> list[Rule]:
    """Bring the forwards of a running domain to `wanted` and return the rules QEMU refused.

    Parameters: `netdev`, QEMU's name of the card; `fresh`, it has just started and has none.
    """
    goal, have = rules(wanted), set() if fresh else present(domain)
    for rule in sorted(have - goal):
        remove(domain, netdev, rule)
    return [rule for rule in sorted(goal - have) if not add(domain, netdev, rule)]


def add(domain: Any, netdev: str, rule: Rule) -> bool:
    """Add one rule and tell whether QEMU took it: it does not when the port is taken or not allowed."""
    address, port, guest = rule
    return not _ask(domain, f"hostfwd_add {netdev} tcp:{address}:{port}-:{guest}").strip()


def remove(domain: Any, netdev: str, rule: Rule) -> None:
    """Remove one rule; already gone is success."""
    address, port, _guest = rule
    _ask(domain, f"hostfwd_remove {netdev} tcp:{address}:{port}")


def _ask(domain: Any, command: str) -> str:
    return str(qemu_sdk().qemuMonitorCommand(domain, command, HMP))
