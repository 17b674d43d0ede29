"""The flavors that VMs could have, with their prices as far as they are known or worth asking for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cloudms.context import Context
from cloudms.engine.browse import browse, warn
from cloudms.engine.estimate import estimate
from cloudms.engine.prices import FRESH, known_price
from cloudms.engine.refresh import each
from cloudms.model import Flavor, Noun, Vm
from cloudms.record import Record

PER_VM = 12
"""Prices that are asked for one VM, of the smallest flavors that would do."""
ALTOGETHER = 60
"""Prices that one command asks for: each costs a request or two, and a person waits."""


class Price(Record):
    """What a flavor costs where a VM stands; `per_hour` None when that is not known."""

    per_hour: float | None = None
    currency: str = ""
    fetched: float | None = None


_FREE = Price(per_hour=0.0)


class Sizes:
    """The flavors of some clouds, asked for once, and their prices, each asked for once."""

    def __init__(self, ctx: Context, clouds: Iterable[str]) -> None:
        self.ctx = ctx
        self._left = ALTOGETHER
        self._prices: dict[tuple[str, str, str], Price] = {}
        names = ",".join(clouds)
        listing = browse(ctx, "flavor", _flavors_of, cloud=names) if names else None
        if listing:
            warn(ctx, listing)
        self._flavors = [item for item in listing.items if isinstance(item, Flavor)] if listing else []

    def of(self, vm: Vm) -> list[Flavor]:
        """Return the flavors of a VM's cloud without prices; its own one is asked for when it is not listed."""
        there = [flavor.with_(price_per_hour=None) for flavor in self._flavors if flavor.cloud == vm.cloud]
        if vm.flavor and not any(vm.flavor in (flavor.name, flavor.id) for flavor in there):
            self._price(vm, vm.flavor)  # which keeps the flavor in the catalog, of whatever generation it is
            rows = self.ctx.catalog.find("flavor", cloud=vm.cloud, name=vm.flavor)
            there += [Flavor.from_document(row.document).with_(price_per_hour=None) for row in rows]
        return there

    def priced(self, vm: Vm, flavors: Sequence[Flavor], likely: Sequence[Flavor]) -> list[Flavor]:
        """Return `flavors` with the prices of the VM's own and of the first of the `likely` ones."""
        wanted = [vm.flavor, *(flavor.name for flavor in likely)] if likely else []
        free = not self.ctx.cloud_class(vm.cloud).costs_money
        names = [name for name in dict.fromkeys(wanted) if name] if free else self._affordable(vm, wanted)
        each(names, lambda name: self._price(vm, name))
        return [self._with_price(vm, flavor) for flavor in flavors]

    def _affordable(self, vm: Vm, names: Sequence[str]) -> list[str]:
        """Return the names whose price is known, and of the first those that may still be asked for."""
        found, enough = [], True
        for place, name in enumerate(dict.fromkeys(filter(None, names))):
            known = (vm.cloud, vm.region, name) in self._prices or self._is_fresh(vm, name)
            if not known and place > PER_VM:
                continue
            if not known and self._left <= 0:
                enough = False
                continue
            self._left -= not known
            found.append(name)
        if not enough:
            self.ctx.warn(f"no more than {ALTOGETHER} prices are asked for at a time: try again for the other VMs")
        return found

    def _is_fresh(self, vm: Vm, name: str) -> bool:
        known = known_price(self.ctx, vm.cloud, name, vm.region)
        return bool(known and known.price_fetched and self.ctx.clock.now() - known.price_fetched < FRESH)

    def _price(self, vm: Vm, name: str) -> None:
        key = (vm.cloud, vm.region, name)
        if key in self._prices:
            return
        told = estimate(self.ctx, vm.cloud, name, vm.region)
        price = Price(per_hour=told.per_hour, currency=told.currency, fetched=told.asked) if told else _FREE
        self._prices[key] = price

    def _with_price(self, vm: Vm, flavor: Flavor) -> Flavor:
        price = self._prices.get((vm.cloud, vm.region, flavor.name))
        if price is None:
            return flavor
        return flavor.with_(price_per_hour=price.per_hour, currency=price.currency, price_fetched=price.fetched)


def _flavors_of(opened: Any) -> Iterable[Noun]:
    found: Iterable[Noun] = opened.list_flavors()
    return found
