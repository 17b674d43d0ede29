"""Balancers in the catalog: which group has one, of which kind and with which settings.

A row stands here before anything is started, so that a balancer is always found again by its group's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudms import names as naming
from cloudms import paths, registry
from cloudms.balancers.base import Balancer, BalancerInfo, Setup
from cloudms.balancers.settings import Settings
from cloudms.context import Context, not_found
from cloudms.engine.refresh import event, natural
from cloudms.errors import CloudmsError

KIND = "haproxy"
"""The balancer of who chooses none."""


def for_group(ctx: Context, group: str, settings: Mapping[str, Any] | None = None) -> Balancer:
    """Return the balancer of a group, which nothing has started yet.

    Parameters: `settings` (its `kind` among them) are written down for the group before, whether or not it had any;
    without them its own are taken. Raises: NotFound (it has none, or no such kind), Invalid (a setting).
    """
    if settings is None:
        return opened(ctx, find(ctx, group))
    given = dict(settings)
    provider = str(given.pop("kind", None) or KIND)
    plain = Settings.from_plain(given).to_plain()
    stored = ctx.catalog.get("balancer", group)
    if stored is None:
        info = BalancerInfo(name=group, owner=ctx.owner, created=ctx.clock.now())
    else:
        info = BalancerInfo.from_document(stored.document)
    wanted = info.with_(provider=provider, settings=plain)
    balancer = opened(ctx, wanted)
    if stored is None or wanted != info:
        save(ctx, wanted, "balancer.create" if stored is None else "balancer.change", "asked for")
    return balancer


def opened(ctx: Context, info: BalancerInfo) -> Balancer:
    """Return the balancer of a row. Raises: NotFound (no such kind is installed), Invalid (its settings)."""
    naming.valid(info.name)  # it is the name of a folder
    cls: type[Balancer] = registry.load("cloudms.balancers", info.provider)
    settings = Settings.from_plain(info.settings)
    return cls(Setup(name=info.name, folder=folder_of(info.name), clock=ctx.clock, settings=settings))


def find(ctx: Context, group: str) -> BalancerInfo:
    """Return the row of a group's balancer. Raises: NotFound."""
    stored = ctx.catalog.get("balancer", group)
    if stored is None:
        raise not_found("balancer", group, (each.name for each in every(ctx)), f"cms balancer create {group}")
    return BalancerInfo.from_document(stored.document)


def every(ctx: Context) -> list[BalancerInfo]:
    """Return the rows of all balancers in the order of their names."""
    found = [BalancerInfo.from_document(row.document) for row in ctx.catalog.find("balancer")]
    return sorted(found, key=lambda info: natural(info.name))


def save(ctx: Context, info: BalancerInfo, action: str, text: str, operation: str = "") -> BalancerInfo:
    """Store a row together with the event that changed it."""
    kept = BalancerInfo(
        name=info.name, provider=info.provider, settings=info.settings, owner=info.owner, created=info.created,
        made=info.made,
    )  # fmt: skip
    ctx.catalog.put("balancer", {info.key: kept.to_document()}, events=[event(ctx, action, info, text, operation)])
    return info


def end(ctx: Context, group: str, operation: str = "") -> None:
    """End a group's balancer and forget it; a group without one is fine. Raises: Timeout (it does not end)."""
    stored = ctx.catalog.get("balancer", group)
    if stored is None:
        return
    info = BalancerInfo.from_document(stored.document)
    opened(ctx, info.with_(settings={})).down()
    ctx.catalog.delete("balancer", [group], events=[event(ctx, "balancer.delete", info, "deleted", operation)])


def folder_of(group: str) -> Path:
    """Return the folder of a group's balancer."""
    return paths.home() / "balancers" / group


def seen(ctx: Context, info: BalancerInfo) -> BalancerInfo:
    """Return a row with what its balancer says now; one that does not answer says why as its state."""
    try:
        balancer = opened(ctx, info)
        if not balancer.is_up:
            return info.with_(state="stopped")
        (host, port), stats = balancer.address, balancer.stats()
    except CloudmsError as error:
        return info.with_(state=error.message)
    counts: dict[str, int] = {}
    for server in stats.servers:
        counts[server.status] = counts.get(server.status, 0) + 1
    return info.with_(
        state="running", address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}", servers=counts,
        requests=stats.requests, rate=stats.rate, queue=stats.queue, sessions=stats.sessions, busy=stats.busy,
        p50=stats.p50, p95=stats.p95, errors=stats.errors,
    )  # fmt: skip
