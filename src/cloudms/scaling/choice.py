"""Who goes and who comes: only members that are known by name, the least missed first."""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.scaling.base import SEATS, MemberState

_ORDER = {"sick": 0, "booting": 1, "warming": 2, "in_service": 3}
"""The sick first, then those that do not serve yet."""


def may_go(members: Sequence[MemberState]) -> list[MemberState]:
    """Return the members that fill a place and are not protected."""
    return [member for member in members if member.status in SEATS and not member.protected]


def leavers(members: Sequence[MemberState], count: int) -> tuple[str, ...]:
    """Return the names of the `count` members to take out.

    Of those that serve, the dearest goes first, then the youngest: what has run longest has proved itself.
    """
    ordered = sorted(
        may_go(members), key=lambda each: (_ORDER[each.status], -(each.price or 0.0), -each.since, each.name)
    )
    return tuple(member.name for member in ordered[: max(count, 0)])


def comers(members: Sequence[MemberState], count: int) -> tuple[str, ...]:
    """Return the names of at most `count` members on standby to bring back, the cheapest first, then the latest."""
    ready = [member for member in members if member.status == "standby"]
    ordered = sorted(ready, key=lambda each: (each.price or 0.0, -each.since, each.name))
    return tuple(member.name for member in ordered[: max(count, 0)])


def sick(members: Sequence[MemberState]) -> list[MemberState]:
    """Return the members to replace, those that have been sick longest first."""
    found = [member for member in members if member.status == "sick"]
    return sorted(found, key=lambda each: (each.since, each.name))
