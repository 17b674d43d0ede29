"""`cms balancer list`, `info` and `stats`: what there is, and how it does."""

from __future__ import annotations

from typing import Annotated

from cloudms.balancers import store
from cloudms.balancers.base import BalancerInfo, Server
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.verb import Doc, Names, verb

OneBalancer = Annotated[str, Doc("name of the balancer, which is that of its group"), Names("balancer")]


@verb("balancer", "list", columns=BalancerInfo.columns, example="cms balancer list")
def list_(ctx: Context) -> Listing:
    """List the balancers, where they listen, their members and what they measure."""
    return Listing(items=tuple(store.seen(ctx, info) for info in store.every(ctx)))


@verb("balancer", "info", example="cms balancer info web")
def info(ctx: Context, name: OneBalancer) -> BalancerInfo:
    """Show everything that is known of one balancer; `balancer stats` shows its members."""
    found = store.seen(ctx, store.find(ctx, name))
    if found.address:
        ctx.note(f"curl http://{found.address}/")
    return found


@verb("balancer", "stats", columns=Server.columns, example="cms balancer stats web")
def stats(ctx: Context, name: OneBalancer) -> Listing:
    """List the members behind a balancer: what each is given, works on, and has answered."""
    return Listing(items=tuple(store.opened(ctx, store.find(ctx, name)).servers()))
