"""What the guest's agent is asked to do. It may be absent, busy or broken: nothing here fails for that.

Commands: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from cloudms.clock import Clock
from cloudms.clouds.libvirt.link import sdk

LEASE, AGENT = 0, 1  # VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_…
ANSWER_S = 2


def set_clock(domain: Any, now: float) -> bool:
    """Set the guest's clock, which stood still while it was frozen or saved, to `now` (epoch seconds)."""
    seconds = int(now)
    return (
        _ask(domain, lambda: domain.setTime({"seconds": seconds, "nseconds": int((now - seconds) * 1e9)})) is not None
    )


def freeze(domain: Any) -> bool:
    """Let the guest write everything to its disks and hold still; tell whether it did."""
    return _ask(domain, domain.fsFreeze) is not None


def thaw(domain: Any) -> bool:
    """Let the guest write again."""
    return _ask(domain, domain.fsThaw) is not None


def addresses(domain: Any, *, agent: bool) -> tuple[str, ...]:
    """Return the IPv4 addresses a domain has on networks of libvirt, from their leases, else from the guest."""
    for source in (LEASE, *((AGENT,) if agent else ())):
        found = _ask(domain, lambda source=source: domain.interfaceAddresses(source, 0))
        listed = tuple(_ipv4(found or {}))
        if listed:
            return listed
    return ()


def run_script(domain: Any, script: str, clock: Clock, limit: float = 30.0) -> bool:
    """Let the guest's root run a shell script within `limit` seconds; tell whether it did and succeeded."""
    order = {"path": "/bin/sh", "arg": ["-s"], "input-data": b64encode(script.encode()).decode()}
    begun = _command(domain, "guest-exec", order)
    end = clock.monotonic() + limit
    while begun and clock.monotonic() < end:
        told = _command(domain, "guest-exec-status", {"pid": begun["pid"]})
        if told is None or told.get("exited"):
            return told is not None and told.get("exitcode") == 0
        clock.sleep(0.2)
    return False


def _command(domain: Any, name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Send the agent a command that libvirt has no call for, and return its answer; None when there is none."""
    import libvirt_qemu

    text = json.dumps({"execute": name, "arguments": arguments})
    answer = _ask(domain, lambda: libvirt_qemu.qemuAgentCommand(domain, text, ANSWER_S, 0))
    found = json.loads(answer)["return"] if isinstance(answer, str) else None
    return found if isinstance(found, dict) else None


def _ipv4(cards: dict[str, Any]) -> list[str]:
    return [
        str(each["addr"])
        for card in cards.values()
        for each in card.get("addrs") or ()
        if each.get("type") == 0 and not str(each["addr"]).startswith(("127.", "169.254."))
    ]


def _ask(domain: Any, question: Any) -> Any:
    """Ask with a short limit; None when there is no answer."""
    try:
        domain.agentSetResponseTimeout(ANSWER_S, 0)
        answer = question()
    except sdk().libvirtError:
        return None
    return True if answer is None else answer
