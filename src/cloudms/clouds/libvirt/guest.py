"""What the guest's agent is asked to do. It may be absent, busy or broken: nothing here fails for that.

Commands: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html.
"""

from __future__ import annotations

from typing import Any

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
