"""What VMs are to be booted like, the plan that boots so many on each of some clouds, and how one of them is booted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from cloudms.clouds.base import Cloud
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, userdata
from cloudms.engine.batches import BOOT, batch_of, tokens
from cloudms.engine.estimate import Estimate, estimate, in_words
from cloudms.engine.keys import identity
from cloudms.engine.making import created, demand, intents, withdraw
from cloudms.engine.ready import wait_ready
from cloudms.engine.refresh import each
from cloudms.engine.vms import save, wait_state
from cloudms.errors import Invalid
from cloudms.model import Step, Vm, VmState
from cloudms.record import Record
from cloudms.units import duration
from cloudms.verbs.vm import wishes
from cloudms.verbs.vm.places import Place, names_for, places

_MOST = 1000
"""VMs in one boot; more is more likely a slip of the finger."""
_MOST_USER_DATA = 16 << 20
"""Bytes of first-boot data, far more than any cloud takes; more is not a script."""


class Order(Record):
    """What VMs are booted like, as the options of `vm boot` say it; what is empty is left to each cloud.

    `name` is the name, or what the names begin with; with `exact` a single one that is taken is refused; `disk` in GiB;
    `user_data` the path of a file; `ports` such as 80,443; `ttl` a lease such as 8h; `timeout` seconds.
    """

    image: str = ""
    flavor: str = ""
    cloud: str = ""
    name: str = ""
    exact: bool = False
    key: str = ""
    labels: Mapping[str, str] = {}
    group: str = ""
    disk: int | None = None
    network: str = ""
    user_data: str = ""
    region: str = ""
    spot: bool = False
    ports: str = ""
    secgroups: tuple[str, ...] = ()
    spread: bool = False
    hibernate: bool = False
    ttl: str = ""
    wait: str = ""
    timeout: float | None = None


def ordered(ctx: Context, order: Order, counts: Mapping[str, int]) -> Plan:
    """Return the plan that boots so many VMs on each cloud (`counts` by its name, none of them 0).

    Raises: Invalid (numbers, a lease, user data), Exists (a name), NotFound (what a cloud lacks), Unsupported.
    """
    _check(order, counts)
    found = places(ctx, ",".join(counts), order.image, order.flavor, order.region)
    wanted = wishes.wishes(
        ctx,
        region=order.region,
        spot=order.spot,
        ports=order.ports,
        hibernate=order.hibernate,
        secgroups=order.secgroups,
        spread=order.spread,
    )
    options = {place.name: wishes.options(ctx, place.cloud, wanted) for place in found}
    for key in {order.key or str(place.settings.default.get("key") or "") for place in found}:
        identity(ctx, key)  # an unknown key is refused before anything is planned
    exact = order.exact and bool(order.name) and sum(counts.values()) == 1
    targets = names_for(ctx, found, order.name, counts, exact=exact)
    prices = _prices(ctx, found, order)
    steps: list[Step] = []
    notes: list[str] = []
    for place in found:
        price, count = prices[place.name], counts[place.name]
        params = {
            **_own(place, order),
            "options": options[place.name],
            "exact": exact,
            "by_default": not (order.name or place.base),
            "price": price.per_hour if price else None,
        }
        steps += _steps(ctx, place, params, count, targets)
        told = (*in_words(ctx, price, count), *_of_lease(place, order.ttl))
        notes += [f"{place.name}: {note}" for note in told] if len(found) > 1 else told
    return Plan(
        verb="vm boot",
        summary=_summary(found, counts, order.image),
        steps=tuple(steps),
        notes=tuple(notes),
        shows={"user data": userdata.shown(Path(order.user_data).read_text())} if order.user_data else {},
    )


def _steps(ctx: Context, place: Place, params: dict[str, Any], count: int, targets: Iterator[str]) -> Iterator[Step]:
    for token in tokens(ctx, place.cloud, count):
        yield Step(action="vm.boot", cloud=place.name, target=next(targets), params={**params, "token": token})


def _check(order: Order, counts: Mapping[str, int]) -> None:
    """Refuse numbers that cannot be. Raises: Invalid."""
    for count in counts.values():
        if not 1 <= count <= _MOST:
            raise Invalid(f"--count {count} is not between 1 and {_MOST}", hint="boot several times for more")
    if order.timeout is not None and order.timeout < 0:
        text = f"--timeout {order.timeout:g} is not a number of seconds"
        raise Invalid(text, hint="0 looks once, 600 waits ten minutes")
    if order.disk is not None and order.disk < 1:
        raise Invalid(f"--disk {order.disk} is not a size in GiB", hint="for instance --disk 20")
    total = sum(counts.values())
    if total > _MOST:
        raise Invalid(f"{total} VMs are more than {_MOST}", hint="boot several times for more")


def _own(place: Place, order: Order) -> dict[str, Any]:
    """Return what a VM is asked for; its cloud's settings say what the order leaves out. Raises: Invalid (a lease)."""
    default, cls = place.settings.default, place.cloud
    return {
        "labels": dict(order.labels),
        "group": order.group,
        "disk_gib": order.disk or 0,
        "user_data": order.user_data,
        "region": order.region,
        "timeout": order.timeout,
        "image": place.image,
        "flavor": place.flavor,
        "key": order.key or str(default.get("key") or ""),
        "network": order.network or str(default.get("network") or ""),
        "lease": duration(_lease(place, order.ttl)),
        "wait": order.wait or default.get("wait") or cls.default_wait,
    }


def _prices(ctx: Context, found: Sequence[Place], order: Order) -> dict[str, Estimate | None]:
    """Return what a VM costs on each cloud; all are asked at once."""
    flavors = {place.name: place.flavor for place in found}
    prices: dict[str, Estimate | None] = {}

    def ask(name: str) -> None:
        prices[name] = estimate(ctx, name, flavors[name], order.region, spot=order.spot)

    each(list(flavors), ask)
    return prices


def _lease(place: Place, ttl: str) -> str:
    return str(ttl or place.settings.default.get("ttl") or ("24h" if place.cloud.costs_money else "never"))


def _of_lease(place: Place, ttl: str) -> tuple[str, ...]:
    lease = _lease(place, ttl)
    return (f"the lease ends in {lease}; --ttl never boots without one",) if duration(lease) else ()


def _summary(found: Sequence[Place], counts: Mapping[str, int], image: str) -> str:
    if len(found) == 1:
        return f"boot {_vms(counts[found[0].name])} of {found[0].image} on {found[0].name}"
    if len(set(counts.values())) > 1:
        return f"boot {', '.join(f'{_vms(counts[place.name])} of {place.image} on {place.name}' for place in found)}"
    what = _vms(counts[found[0].name])
    if image:
        return f"boot {what} of {image} on each of {', '.join(place.name for place in found)}"
    return f"boot {what} on each of {', '.join(f'{place.name} ({place.image})' for place in found)}"


def _vms(count: int) -> str:
    return f"{count} VMs" if count > 1 else "1 VM"


def readable(user_data: Path | None) -> str:
    """Return the absolute path of user data that can be read; plans and catalog hold only its path. Raises: Invalid."""
    if user_data is None:
        return ""
    try:
        status = user_data.stat()
        if not S_ISREG(status.st_mode) and not S_ISDIR(status.st_mode):
            raise Invalid(
                f"cannot read {user_data}: it is a pipe or device", hint="it is read again later: write a file"
            )
        if status.st_size > _MOST_USER_DATA:
            most = f"a file of at most {_MOST_USER_DATA >> 20} MiB"
            raise Invalid(f"cannot read {user_data}: it has {status.st_size} bytes", hint=f"--user-data takes {most}")
        user_data.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Invalid(f"cannot read {user_data}: {reason}", hint="--user-data takes a file") from None
    return str(user_data.absolute())


@action("vm.boot", prepare=intents, withdraw=withdraw, batch=BOOT, demand=demand)
def _boot(work: Work) -> Vm:
    """Create the VM of a step, or find the one an earlier attempt created, and wait as asked."""
    stored = work.ctx.catalog.get("vm", work.step.params["token"])
    if stored is None:
        raise Invalid(f"{work.step.target} was swept meanwhile", hint="boot it again")
    vm = Vm.from_document(stored.document)
    cloud = work.ctx.cloud(work.step.cloud)
    if not batch_of(work.step):
        vm = created(work, cloud, vm)
    return _wait(work, cloud, vm)


def _wait(work: Work, cloud: Cloud, vm: Vm) -> Vm:
    wanted, timeout = work.step.params["wait"], work.step.params["timeout"]
    if timeout is not None and batch_of(work.step):
        timeout = max(timeout - (work.ctx.clock.monotonic() - work.begun), 0.0)  # its batch has waited already
    if wanted == "none":
        return vm
    if wanted == "running":
        waited = wait_state(work, cloud, vm, (VmState.RUNNING,), timeout)
    else:
        waited = wait_ready(work, cloud, vm, timeout)
    return save(work.ctx, waited, "vm.boot", wanted, work.operation)
