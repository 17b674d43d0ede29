"""Addresses that are kept when their VM is not: which clouds can, and what the catalog is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudms.clouds.base import Addresses, AddressPool
from cloudms.context import Context
from cloudms.engine.plan import Work
from cloudms.engine.refresh import list_nouns
from cloudms.errors import CloudmsError, NotFound, Unsupported
from cloudms.model import Address, Vm


def fetch(opened: Any) -> Iterable[Address]:
    """Ask one cloud for its addresses."""
    found: Iterable[Address] = opened.list_addresses()
    return found


def require_pool(ctx: Context, cloud: str, vm: Vm | None = None) -> None:
    """Refuse before any call when a cloud keeps no address without a VM. Raises: Unsupported, naming those that do."""
    reason = ctx.cloud(cloud).supports(AddressPool, vm)
    if not reason:
        return
    able = [each.name for each in ctx.config.clouds() if each.active and _keeps(ctx, each.name)]
    raise Unsupported(
        f"cloud '{cloud}' keeps no address without a VM: {reason}",
        hint=f"these do: {', '.join(able)}" if able else "cms cloud roles shows which clouds can",
        details={"cloud": cloud, "role": AddressPool.name, "able": able},
    )


def _keeps(ctx: Context, cloud: str) -> bool:
    try:
        return issubclass(ctx.cloud_class(cloud), AddressPool)
    except CloudmsError:
        return False


def keep(work: Work, cloud: Any, vm: Vm) -> None:
    """Take from a VM the addresses that can outlive it, and keep them; already taken is success."""
    try:
        seen: Vm = cloud.get_vm(vm)
    except NotFound:
        return
    for address in cloud.list_addresses():
        if address.name in seen.public_ips:
            work.report(f"keeping {address.name}")
            cloud.detach_address(vm, address.name)
    look_again(work.ctx, vm.cloud)


def look_again(ctx: Context, cloud: str) -> None:
    """Bring the addresses of a cloud into the catalog after one was given, taken or kept; a failure is a warning."""
    listing = list_nouns(ctx, "address", [cloud], fetch, fresh=True, role=Addresses)
    for error in listing.failed.values():
        ctx.warn(f"cloud '{cloud}' did not list its addresses: {error['message']}")
