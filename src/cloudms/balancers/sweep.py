"""Balancers that nobody wants any more: interrupted while they were made, without their group, or named by no row."""

from __future__ import annotations

from cloudms import paths
from cloudms.balancers import store
from cloudms.balancers.base import BalancerInfo
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.engine.operation import observed
from cloudms.engine.process import alive
from cloudms.model import Operation, OperationState


def unwanted(ctx: Context) -> dict[str, str]:
    """Return the names of balancers that nobody wants, each with the reason."""
    rows = {info.name: info for info in store.every(ctx)}
    folder = paths.home() / "balancers"
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    found = {name: "no balancer of that name is known" for name in folders if name not in rows}
    for name, info in rows.items():
        why = _why(ctx, info)
        if why:
            found[name] = why
    return found


def _why(ctx: Context, info: BalancerInfo) -> str:
    """Return why a balancer is not wanted, or nothing. What the catalog knows of its group is enough to keep it."""
    if not info.made and not _worked_on(ctx, info.name):
        return "its creation was interrupted"
    if groups.described(ctx, info.name) is None:
        known = groups.all_vms(ctx, fresh=False)
        if not any(vm.group == info.name and vm.state not in groups.GONE for vm in known):
            return "its group is gone"
    return ""


def _worked_on(ctx: Context, name: str) -> bool:
    running = (observed(Operation.from_document(row.document)) for row in ctx.catalog.find("operation"))
    return any(
        operation.state is OperationState.RUNNING and alive(operation.process)
        for operation in running
        for step in operation.steps
        if step.target == name and step.action.startswith("balancer.")
    )


def settle(ctx: Context, name: str) -> str:
    """End a balancer that still nobody wants, and return a sentence."""
    if name not in unwanted(ctx):
        return "left alone: it is no longer as it was found"
    if ctx.catalog.get("balancer", name) is not None:
        store.end(ctx, name)
    else:
        store.opened(ctx, BalancerInfo(name=name)).down()
    return "ended"
