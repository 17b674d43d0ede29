"""Ceilings: how many VMs may run, and what they may cost per hour, on one cloud and altogether.

They are checked here, before anything is reserved, so that no door passes them. Two changes that begin at the same
moment take turns: one sees the intents of the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from cloudms import registry
from cloudms.catalog.base import Lease
from cloudms.context import Context
from cloudms.engine.estimate import estimate
from cloudms.engine.plan import ACTIONS, Demand
from cloudms.engine.process import alive, this_process
from cloudms.errors import CloudmsError, ConfigError, Conflict, NoCapacity
from cloudms.model import Operation, OperationState, Origin, Step, Vm, VmState
from cloudms.record import Record

ALTOGETHER = "ceiling"
"""The section of the settings that hold for all clouds together."""

_TURN = 60.0
"""Seconds after which the turn of a killed process is over; counting and writing intents take a fraction of one."""
_PAUSE = 0.05
_OFF = (VmState.STOPPED, VmState.DEALLOCATED, VmState.SAVED)
IDLE = (*_OFF, VmState.TERMINATING, VmState.TERMINATED)
"""States of VMs that do not run, and so do not count."""

What = Literal["max_vms", "max_price_per_hour"]


class Ceiling(Record):
    """One setting: its `key`, `what` it limits and where (`cloud` empty: altogether), and its number."""

    key: str
    what: What
    cloud: str
    most: float


@contextmanager
def within(ctx: Context, steps: Sequence[Step], *, but: str = "") -> Iterator[None]:
    """Let the block write the intents of `steps` when the ceilings allow them, while nobody else writes some.

    Parameters: `but` names the operation whose own steps these are. Raises: NoCapacity, Conflict, ConfigError.
    """
    ceilings = _ceilings(ctx, steps)
    if not ceilings:
        yield
        return
    turn = _turn(ctx)
    try:
        _check(ctx, ceilings, steps, but)
        yield
    finally:
        ctx.catalog.release(turn)


def check(ctx: Context, steps: Sequence[Step]) -> None:
    """Refuse what the ceilings do not allow now, as a dry run does. Raises: NoCapacity, ConfigError."""
    _check(ctx, _ceilings(ctx, steps), steps, "")


def limit(ctx: Context, what: What, cloud: str = "") -> Ceiling | None:
    """Return the ceiling of a cloud, or of all together, or None where none is set. Raises: ConfigError."""
    key = f"cloud.{cloud}.{what}" if cloud else f"{ALTOGETHER}.{what}"
    value = ctx.config.get(key)
    if value is None and cloud:
        value = ctx.config.cloud(cloud).option(what)
    return None if value in (None, "") else Ceiling(key=key, what=what, cloud=cloud, most=number(key, value))


def number(key: str, value: object) -> float:
    """Return the number of a ceiling. Raises: ConfigError."""
    try:
        most = float(str(value))
    except ValueError:
        most = -1.0
    if not 0 <= most < float("inf"):
        raise ConfigError(f"{key} is not a number, 0 or more: {value!r}", hint=f"cms set {key}=10")
    return most


def hourly(ctx: Context, vm: Vm) -> float | None:
    """Return what a VM costs per hour: what its record says, else its flavor's price, or None when nobody knows."""
    return flavor_price(ctx, vm, vm.flavor) if vm.price_per_hour is None else vm.price_per_hour


def flavor_price(ctx: Context, vm: Vm, flavor: str) -> float | None:
    """Return what a VM would cost per hour with a flavor, 0 where nothing costs money, or None when nobody knows."""
    try:
        found = estimate(ctx, vm.cloud, flavor, vm.region)
    except CloudmsError:
        return None  # its cloud is not configured any more
    return found.per_hour if found else 0.0


def starting(ctx: Context, step: Step) -> Demand:
    """Return what a VM of ours adds that is off and is to run."""
    vm = _target(ctx, step)
    if vm is None or vm.state not in _OFF:
        return Demand()
    return Demand(vms=1, price=hourly(ctx, vm))


def resizing(ctx: Context, step: Step) -> Demand:
    """Return what a running VM of ours will cost more with its new flavor."""
    vm = _target(ctx, step)
    if vm is None or vm.state in IDLE or vm.flavor == step.params["flavor"]:
        return Demand()
    price = flavor_price(ctx, vm, step.params["flavor"])
    return Demand(price=None if price is None else price - (hourly(ctx, vm) or 0.0))


def cloning(ctx: Context, step: Step) -> Demand:
    """Return what the twin of a VM adds that has no row yet."""
    source = ctx.catalog.get("vm", step.params["source"])
    if source is None or ctx.catalog.get("vm", step.params["token"]) is not None:
        return Demand()
    return Demand(vms=1, price=hourly(ctx, Vm.from_document(source.document)))


def _target(ctx: Context, step: Step) -> Vm | None:
    """Return the VM of a step as the catalog knows it, unless it is somebody else's."""
    row = ctx.catalog.get("vm", step.params["key"])
    vm = Vm.from_document(row.document) if row else None
    return None if vm is None or vm.origin is Origin.FOREIGN else vm


def _ceilings(ctx: Context, steps: Sequence[Step]) -> list[Ceiling]:
    """Return the ceilings that concern `steps`."""
    clouds = dict.fromkeys(step.cloud for step in steps if step.cloud and ACTIONS[step.action].demand)
    kinds: tuple[What, ...] = ("max_vms", "max_price_per_hour")
    found = (limit(ctx, what, cloud) for cloud in ["", *clouds] for what in kinds) if clouds else iter(())
    return [ceiling for ceiling in found if ceiling]


def _turn(ctx: Context) -> Lease:
    """Wait until nobody else counts. Raises: Conflict, Interrupted."""
    owner = f"{this_process()}/{os.urandom(6).hex()}"
    end = ctx.clock.monotonic() + 2 * _TURN
    while ctx.clock.monotonic() < end:
        turn = ctx.catalog.acquire(ALTOGETHER, owner, now=ctx.clock.now(), seconds=_TURN)
        if turn:
            return turn
        ctx.pause(_PAUSE)
    raise Conflict(f"others have been counting VMs for {2 * _TURN:g} s", hint="try again")


def _check(ctx: Context, ceilings: Sequence[Ceiling], steps: Sequence[Step], but: str) -> None:
    if not ceilings:
        return
    wanted = [(step.cloud, _demand(ctx, step)) for step in steps]
    if not any(demand.vms > 0 or demand.price is None or demand.price > 0 for _cloud, demand in wanted):
        return
    rows = [Vm.from_document(row.document) for row in ctx.catalog.find("vm")]
    standing = [vm for vm in rows if vm.origin is not Origin.FOREIGN and vm.state not in IDLE]
    coming = list(_coming(ctx, but))
    for ceiling in ceilings:
        ours = _sum(ceiling, wanted)
        others = _sum(ceiling, [*((vm.cloud, Demand(vms=1)) for vm in standing), *coming])
        if ceiling.what == "max_vms":
            _check_count(ceiling, others.vms, ours.vms)
        else:
            prices = _prices(ctx, [vm for vm in standing if ceiling.cloud in ("", vm.cloud)])
            _check_price(ceiling, prices + (others.price or 0.0), ours.price)


def _demand(ctx: Context, step: Step) -> Demand:
    ask = ACTIONS[step.action].demand if step.action in ACTIONS else None
    return ask(ctx, step) if ask else Demand()


def _coming(ctx: Context, but: str) -> Iterator[tuple[str, Demand]]:
    """Yield what the steps that other processes have not begun yet will add."""
    for row in ctx.catalog.find("operation", text=OperationState.RUNNING):
        operation = Operation.from_document(row.document)
        if operation.name == but or operation.state is not OperationState.RUNNING or not alive(operation.process):
            continue
        if _loaded(operation):
            yield from ((s.cloud, _demand(ctx, s)) for s in operation.steps if s.state in ("waiting", "running"))


def _loaded(operation: Operation) -> bool:
    """Whether the actions of an operation are there; those of a plug-in may be gone."""
    try:
        registry.index().find(operation.verb.split())[0].load()
    except CloudmsError:
        return False
    return True


def _sum(ceiling: Ceiling, demands: Sequence[tuple[str, Demand]]) -> Demand:
    mine = [demand for cloud, demand in demands if ceiling.cloud in ("", cloud)]
    prices = [demand.price for demand in mine]
    known = [price for price in prices if price is not None]
    return Demand(vms=sum(demand.vms for demand in mine), price=None if len(known) < len(prices) else sum(known))


def _prices(ctx: Context, vms: Sequence[Vm]) -> float:
    """Return what VMs cost per hour together; those whose price nobody knows are warned about."""
    prices = {vm.name: hourly(ctx, vm) for vm in vms}
    unknown = [name for name, price in prices.items() if price is None]
    if unknown:
        count = "1 VM" if len(unknown) == 1 else f"{len(unknown)} VMs"
        shown = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
        ctx.warn(f"nobody knows the price of {count} ({shown}), which the ceiling does not count")
    return sum(price for price in prices.values() if price is not None)


def _check_count(ceiling: Ceiling, others: int, ours: int) -> None:
    if ours > 0 and others + ours > ceiling.most:
        raise NoCapacity(
            f"{_place(ceiling)} would have {others + ours} VMs running, and may have {ceiling.most:g}",
            hint=f"delete or stop some, or cms set {ceiling.key}={others + ours}",
            details={"setting": ceiling.key, "ceiling": ceiling.most, "running": others, "wanted": ours},
        )


def _check_price(ceiling: Ceiling, others: float, ours: float | None) -> None:
    if ours is None:
        raise NoCapacity(
            f"the price of this is not known, and {ceiling.key} allows {ceiling.most:g} per hour",
            hint=f"cms flavor price FLAVOR asks for it; cms set {ceiling.key}= drops the ceiling",
            details={"setting": ceiling.key, "ceiling": ceiling.most, "running": others, "wanted": None},
        )
    if ours > 0 and others + ours > ceiling.most + 1e-9:
        raise NoCapacity(
            f"{_place(ceiling)} would cost {others + ours:.4g} per hour, and may cost {ceiling.most:g}",
            hint=f"delete or stop some, choose a smaller flavor, or cms set {ceiling.key}={others + ours:.4g}",
            details={"setting": ceiling.key, "ceiling": ceiling.most, "running": others, "wanted": ours},
        )


def _place(ceiling: Ceiling) -> str:
    return f"cloud '{ceiling.cloud}'" if ceiling.cloud else "all clouds together"
