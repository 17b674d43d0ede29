"""How each member of a group is, worked out of what its cloud says, what the balancer says, and what was known before.

(off) ──▶ standby ──▶ booting ──▶ warming ──▶ in_service ──▶ draining ──▶ standby, or gone
                         ▲           │            │
                         └── off     └─▶ sick ◀───┘
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cloudms.model import Vm, VmState
from cloudms.scaling.members import FROZEN, OFF
from cloudms.scaling.store import Member

BOOT_S = 600.0
"""Seconds that a member has to come up."""
ILL_S = 15.0
"""Seconds for which a member may not answer the balancer before it is sick."""
_WATCHED_S = 120.0
"""Seconds since its last look after which a controller does not know who switched a member off."""

SERVING = ("warming", "in_service")
UP = ("booting", "warming", "in_service", "sick")


def seen(
    vm: Vm,
    before: Member | None,
    now: float,
    *,
    warm_up: float,
    watched: bool,
    waking: bool,
    balanced: bool = False,
    server: Any = None,
) -> Member:
    """Return a member as it is now.

    Parameters: `watched`, whether the controller has looked a moment ago, so that it knows what it did itself;
    `waking`, whether it is just being woken; `balanced`, whether there is a balancer; `server`, what that says of it
    (None: nothing).
    """
    fresh = before or Member(name=vm.name, key=vm.key, cloud=vm.cloud, status="", since=vm.since or now)
    fresh = fresh.with_(name=vm.name, price=vm.price_per_hour, protected=vm.protected)
    if before is None and vm.state is VmState.RUNNING:
        fresh = fresh.with_(ran=min(vm.since or now, now))
    if vm.state in (*FROZEN, *OFF):
        return _off(vm, fresh, now, watched=watched, waking=waking)
    if vm.state is VmState.ERROR:
        if waking or fresh.status in ("standby", "draining"):  # one that was replaced may be tried again one day
            return fresh
        return _to(fresh, "sick", now, vm.reason or "its cloud says that it failed")
    if vm.state in (VmState.STOPPING, VmState.SUSPENDING):
        return fresh if fresh.status in ("draining", "off") else _to(fresh, "draining", now, f"it is {vm.state}")
    if vm.state is VmState.UNKNOWN:
        return fresh if fresh.status else _to(fresh, "booting", now, vm.reason)
    if vm.state is not VmState.RUNNING:
        return fresh if fresh.status == "draining" else _coming(fresh, now, f"it is {vm.state}")
    return _running(fresh, now, warm_up=warm_up, balanced=balanced, server=server)


def _off(vm: Vm, member: Member, now: float, *, watched: bool, waking: bool) -> Member:
    if vm.keep_stopped:
        return _to(member, "off", now, "a person stopped it")
    if waking:
        return member
    if member.status in (*SERVING, "booting") and watched:
        return _to(member, "off", now, "it was switched off, and not by the scaler")
    if member.status == "off" and not member.reason.startswith("a person"):
        return member
    return _to(member, "standby", now, "").with_(begun=None, ill=None, hooked=False)


def _coming(member: Member, now: float, reason: str) -> Member:
    begun = member.begun or now
    if now - begun > BOOT_S:
        return _to(member, "sick", now, f"it has not come up within {BOOT_S:g} s")
    return _to(member, "booting", now, reason).with_(begun=begun)


def _running(member: Member, now: float, *, warm_up: float, balanced: bool, server: Any) -> Member:
    if member.status == "draining":
        return member
    if member.status == "sick":
        if not balanced:
            return _coming(member.with_(begun=None), now, "it runs again") if member.hooked else member
        if server is None or str(server.status) != "ready":
            return member
    elif member.status not in SERVING:
        return _coming(member, now, "it does not answer yet")
    if server is not None and str(server.status) == "down":
        ill = member.ill or now
        if now - ill >= ILL_S:
            return _to(member, "sick", now, "it does not answer its health checks").with_(ill=ill)
        return member.with_(ill=ill)
    member = member.with_(ill=None)
    if member.status == "warming" and now - member.since < warm_up:
        return member
    return _to(member, "in_service", now, "")


def admitted(member: Member, now: float, warm_up: float) -> Member:
    """Return a member that takes requests from now on; one that ran before it was first seen has been warm since."""
    since = now if member.ran is None else member.ran
    there = _to(member, "warming" if now - since < warm_up else "in_service", since, "")
    return there.with_(begun=None, ill=None, failed=None, hooked=True, ran=None)


def leaving(member: Member, now: float, reason: str) -> Member:
    """Return a member that is on its way out."""
    return _to(member, "draining", now, reason)


def _to(member: Member, status: str, now: float, reason: str) -> Member:
    if member.status == status:
        return member.with_(reason=reason)
    return member.with_(status=status, since=now, reason=reason)


def of(
    vms: Mapping[str, Vm],
    before: Mapping[str, Member],
    now: float,
    *,
    warm_up: float,
    watched: bool,
    waking: Collection[str],
    servers: Mapping[str, Any] | None,
    balanced: bool,
) -> dict[str, Member]:
    """Return every member by key; those that are gone are left out."""
    return {
        key: seen(
            vm, before.get(key), now, warm_up=warm_up, watched=watched, waking=key in waking,
            balanced=balanced, server=(servers or {}).get(vm.name),
        )
        for key, vm in vms.items()
    }  # fmt: skip


def watched(now: float, last: float | None) -> bool:
    """Whether a controller that last looked then knows what happened since."""
    return last is not None and now - last < _WATCHED_S
