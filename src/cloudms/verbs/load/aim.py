"""Where a load goes: an address, or the balancer of a group."""

from __future__ import annotations

from cloudms.context import Context
from cloudms.errors import Invalid
from cloudms.workload.sending import Kind
from cloudms.workload.wire import Address, address


def at(ctx: Context, *, url: str | None, group: str | None, kind: Kind) -> Address:
    """Return where a load goes. Raises: Invalid (nothing or two things are named), NotFound, NotReady (no balancer)."""
    if (url is None) == (group is None):
        raise Invalid("a load needs one place to go to", hint="--group NAME, or --url http://127.0.0.1:8080")
    if group is not None:
        return _balancer(ctx, group)
    found = address(url or "")
    if kind == "plate" and "?" in found.path:
        raise Invalid(f"'{url}' has a query, and plates go to /plate below it", hint="--as get takes it as it is")
    return found


def _balancer(ctx: Context, group: str) -> Address:
    from cloudms.balancers.store import for_group

    host, port = for_group(ctx, group).address
    return Address(False, host, port, "")
