"""What a record keeps of a resize: the flavor that `vm revert` brings back, and until when the cloud is let wait.

On clouds that wait for an answer the record is clean again once they were told, by whomever. On the others the old
flavor is kept until `vm confirm` or `vm revert`, or until somebody else gives the VM another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from cloudms.clock import iso
from cloudms.context import Context
from cloudms.errors import ConfigError, Conflict, Invalid
from cloudms.model import Vm, VmState
from cloudms.units import duration

CLEAN: Mapping[str, Any] = {"resized_from": "", "confirm_by": None}
"""The record of a VM of which no resize is to be decided."""
AT_ONCE = "now"
"""The value of `confirm_within` that lets nothing wait."""

_DAY = 24 * 3600.0
_OPEN = (VmState.AWAITING_CONFIRM, VmState.RESIZING, VmState.ERROR, VmState.UNKNOWN)
"""States in which nothing is decided yet, or nothing is known."""


def within(ctx: Context, cloud: str) -> float:
    """Return the seconds that a resize may wait for its answer, 0 for not at all. Raises: ConfigError."""
    value = ctx.config.cloud(cloud).option("confirm_within")
    if value in (None, ""):
        return _DAY
    if str(value).strip().lower() == AT_ONCE:
        return 0.0
    try:
        return duration(value) or inf
    except Invalid as error:
        text = f"cloud.{cloud}.confirm_within: {error.message}"
        raise ConfigError(text, hint=f"for instance 24h, {AT_ONCE} or never") from None


def deadline(ctx: Context, cloud: str) -> float | None:
    """Return until when a resize of now may wait, or None for ever. Raises: ConfigError."""
    seconds = within(ctx, cloud) or _DAY
    return None if seconds == inf else ctx.clock.now() + seconds


def undecided(vm: Vm) -> bool:
    """Whether a VM was resized and this can be confirmed or reverted."""
    return vm.state is VmState.AWAITING_CONFIRM or vm.resized_from not in ("", vm.flavor)


def kept(stored: Vm, seen: Vm) -> Mapping[str, Any]:
    """Return what stays of a resize in the record of a VM that its cloud has just described."""
    old, flavor = stored.resized_from, seen.flavor or stored.flavor
    if not old:  # somebody else has resized it, and a cloud may know from what
        return {"resized_from": seen.resized_from} if seen.state is VmState.AWAITING_CONFIRM else {}
    if seen.state in _OPEN:
        return {}
    if stored.state is VmState.AWAITING_CONFIRM:
        return CLEAN  # somebody has decided
    if flavor == old:
        return {} if seen.state.transient else CLEAN  # it was refused, or brought back elsewhere
    return CLEAN if flavor != stored.flavor != old else {"confirm_by": None}


def told(vm: Vm) -> Vm:
    """Return a VM that waits for an answer with the reason that says so, and how to give it."""
    if vm.state is not VmState.AWAITING_CONFIRM:
        return vm
    begin = f"resized from {vm.resized_from}" if vm.resized_from else "resized"
    end = f" by {iso(vm.confirm_by)}" if vm.confirm_by else ""
    return vm.with_(reason=f"{begin}: cms vm confirm {vm.name} or cms vm revert {vm.name}{end}")


def check_decided(vm: Vm) -> None:
    """Refuse to change what waits for an answer to its last resize. Raises: Conflict."""
    if vm.state is VmState.AWAITING_CONFIRM:
        raise Conflict(
            f"{vm.name} waits until its resize is confirmed or reverted",
            hint=f"cms vm confirm {vm.name}  or  cms vm revert {vm.name}",
        )
