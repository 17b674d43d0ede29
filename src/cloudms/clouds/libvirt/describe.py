"""A domain as the noun Vm: states, tags, addresses. Nothing here raises for a domain that is odd.

States and their reasons: https://libvirt.org/html/libvirt-libvirt-domain.html (virDomainState and its reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from cloudms.clock import age
from cloudms.clouds.libvirt import tags as tagging
from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.view import View, origin_of
from cloudms.model import DEADLINES, Vm, VmState
from cloudms.record import Record

RUNNING, BLOCKED, PAUSED, SHUTDOWN, SHUTOFF, CRASHED, PMSUSPENDED = 1, 2, 3, 4, 5, 6, 7

STARTING = (PAUSED, 11)

PAUSED_REASONS: Mapping[int, tuple[VmState, str]] = {
    2: (VmState.SUSPENDED, "it is being migrated"),
    3: (VmState.SUSPENDING, "its memory is being saved"),
    4: (VmState.SUSPENDED, "its memory is being dumped"),
    5: (VmState.ERROR, "paused by a disk error, mostly a full disk of the host: free space, then resume"),
    6: (VmState.ERROR, "paused by its watchdog"),
    8: (VmState.STOPPING, "it is shutting down"),
    9: (VmState.SUSPENDED, "a snapshot is being taken"),
    10: (VmState.ERROR, "its kernel crashed"),
    11: (VmState.PENDING, "it is starting"),
}
"""Reason of a pause → state; every other one is a suspension by a person."""

OFF_REASONS: Mapping[int, tuple[VmState, str]] = {
    3: (VmState.ERROR, "it crashed"),
    6: (VmState.ERROR, "it did not start"),
}
"""Reason of being off → state; every other one is a plain stop."""

INTENTS: Mapping[str, tuple[VmState, str]] = {
    "delete": (VmState.TERMINATING, "its deletion was begun"),
    "rebuild": (VmState.REBUILDING, "it is getting a fresh disk"),
}


class Seen(Record):
    """A domain as it was read: libvirt's `state` and `reason` numbers, its parsed XML and our tags on it."""

    uuid: str
    name: str
    xml: str
    root: Any
    tags: Tags | None = None
    state: int = 0
    reason: int = 0
    saved: bool = False
    ips: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether a QEMU process runs for it."""
        return self.state in (RUNNING, BLOCKED, PAUSED, SHUTDOWN, PMSUSPENDED)


def parse(xml: str) -> Element:
    """Return the parsed XML of a domain; an empty domain when it cannot be read."""
    try:
        return fromstring(xml)  # noqa: S314 (written by libvirt)
    except ParseError:
        return Element("domain")


def vm(seen: Seen, view: View) -> Vm:
    """Return the noun of a domain."""
    tags = seen.tags or Tags()
    state, reason = state_of(seen, view.now)
    forwarded = tuple(tags.forwards)
    host, port = ssh_of(tags, seen.ips)
    return Vm(
        name=seen.name, cloud=view.cloud, id=seen.uuid, labels=dict(tags.labels), fetched=view.now,
        raw={"xml": seen.xml, "state": seen.state, "reason": seen.reason}, state=state, reason=reason,
        image=tags.image, flavor=tags.flavor or size_of(seen.root), public_ips=forwarded + seen.ips,
        private_ips=(tags.private_ip,) if tags.private_ip else (), group=tags.group, owner=tags.owner,
        created=tags.created, expires=tags.expires, origin=origin_of(seen.tags, view.owner), protected=tags.protected,
        keep_stopped=tags.keep_stopped, token=tags.token, login=tags.login, ssh_host=host, ssh_port=port,
        ssh_key=tags.key_name, price_per_hour=0.0,
    )  # fmt: skip


def ssh_of(tags: Tags, ips: tuple[str, ...]) -> tuple[str, int]:
    """Return host and port where SSH answers: the first forward to port 22, else port 22 of the first own address."""
    for address, ports in tags.forwards.items():
        for port, guest in ports.items():
            if guest == 22:
                return address, port
    return (ips[0] if ips else ""), 22


def size_of(root: Element) -> str:
    """Return processors and memory of a domain without a flavor, for people: `2x1024`."""
    vcpu = root.find("vcpu")
    count = vcpu.get("current") or vcpu.text or "?" if vcpu is not None else "?"
    memory = root.findtext("currentMemory") or root.findtext("memory") or "0"
    return f"{count}x{int(memory) // 1024}" if memory.isdigit() else count


def state_of(seen: Seen, now: float) -> tuple[VmState, str]:
    """Return the state of a domain and why it is in it."""
    tags = seen.tags or Tags()
    if tags.intent in INTENTS:
        return INTENTS[tags.intent]
    if seen.state in (RUNNING, BLOCKED):
        return _running(tags, now)
    if seen.state == PAUSED:
        if tags.intent == "copy":
            return VmState.SUSPENDED, "paused while its disk is copied"
        return PAUSED_REASONS.get(seen.reason, (VmState.SUSPENDED, ""))
    if seen.state == SHUTDOWN:
        return VmState.STOPPING, ""
    if seen.state == PMSUSPENDED:
        return VmState.SUSPENDED, "the guest sleeps"
    if seen.state == CRASHED:
        return VmState.ERROR, "it crashed"
    if seen.state == SHUTOFF:
        return _off(seen, tags, now)
    return VmState.UNKNOWN, f"libvirt says state {seen.state}"


def _running(tags: Tags, now: float) -> tuple[VmState, str]:
    if tags.intent == "stop" and tags.intent_at is not None:
        waited = max(now - tags.intent_at, 0.0)
        if waited < DEADLINES[VmState.STOPPING]:
            return VmState.STOPPING, "the guest was asked to shut down"
        return VmState.RUNNING, f"the guest was asked {age(waited)} ago to shut down and did not"
    return VmState.RUNNING, ""


_EARLY_S = 5.0
"""Seconds that a guest may end itself before its lease does: it counts whole ones, and by a clock of its own."""


def _off(seen: Seen, tags: Tags, now: float) -> tuple[VmState, str]:
    if tags.intent == "create":
        return VmState.PENDING, "its creation was begun and has not ended"
    if seen.saved:
        return VmState.SAVED, ""
    ended = tags.expires is not None and tags.expires - _EARLY_S <= now and not tags.protected
    return OFF_REASONS.get(seen.reason, (VmState.STOPPED, "its lease has ended" if ended else ""))


def netdev(root: Element) -> str:
    """Return QEMU's name of the first user-mode card of a running domain, or an empty string."""
    for card in root.iterfind("devices/interface[@type='user']"):
        alias = card.find("alias")
        return f"host{alias.get('name', '')}" if alias is not None else ""
    return ""


def source_of(root: Element) -> str:
    """Return where the first card leads, as in `domain.Machine.source`."""
    card = root.find("devices/interface")
    if card is None:
        return ""
    kind = card.get("type", "")
    source = card.find("source")
    return kind if kind == "user" or source is None else f"{kind}:{source.get(kind, '')}"


def machine_of(root: Element) -> str:
    """Return the machine type of a domain, which libvirt has made precise (pc-q35-7.2)."""
    kind = root.find("os/type")
    return kind.get("machine", "q35") if kind is not None else "q35"


def firmware_of(root: Element) -> str:
    """Return the firmware of a domain, bios or uefi."""
    asked = root.find("os[@firmware='efi']") is not None
    return "uefi" if asked or root.find("os/loader[@type='pflash']") is not None else "bios"


def console_path(root: Element) -> str:
    """Return the log file of the first serial console, or an empty string."""
    log = root.find("devices/serial/log")
    return "" if log is None else log.get("file", "")


def disk_targets(root: Element) -> dict[str, str]:
    """Return the file of each disk of a domain by its target (vda …)."""
    found = {}
    for disk in root.iterfind("devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        if source is not None and target is not None:
            found[target.get("dev", "")] = source.get("file", "")
    return found


def agent_answers(root: Element) -> bool:
    """Whether the guest agent is connected, as the XML of a running domain says."""
    return root.find("devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']") is not None


def tags_of(root: Element) -> Tags | None:
    """Return our tags of a parsed domain, or None."""
    return tagging.from_domain(root)
