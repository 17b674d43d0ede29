"""What the fake cloud tells of the account: what flavors cost, and how much may be had."""

from __future__ import annotations

from collections.abc import Iterable

from cloudms.clouds.base import Price, Prices, Quotas
from cloudms.clouds.fake import machine, offers, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import NotFound
from cloudms.model import Flavor, Quota


class FakeAccount(FakeVms, Prices, Quotas):
    """Prices and limits."""

    def price(self, flavor: str, region: str = "") -> Flavor:
        """Return a flavor with its price of now, the same in every region. Raises: NotFound (flavor, region)."""

        def asked(_world: Doc, now: float) -> Flavor:
            found = offers.flavor(self.name, flavor)
            if region:
                offers.location(self.name, region)
            if found.price_per_hour is None:
                raise NotFound(f"cloud '{self.name}' has no price for '{flavor}'", hint="cms flavor list")
            return found.with_(region=region, price_fetched=now)

        return self.ask("price", flavor, asked, region)

    def thing_price(self, what: str, region: str = "") -> Price:
        """Return the pretended price of an address, or of a GiB. Raises: NotFound (what)."""

        def asked(_world: Doc, now: float) -> Price:
            if what not in views.PRICES:
                raise NotFound(f"cloud '{self.name}' tells no price of a {what}", hint="cms cost shows what bills")
            return Price(per_hour=views.PRICES[what], fetched=now)

        return self.ask("thing_price", what, asked, region)

    def list_quotas(self) -> Iterable[Quota]:
        """Return the limits of the settings, with what is used of them."""

        def rows(world: Doc, now: float) -> list[Quota]:
            living = [vm for vm in world["vms"].values() if machine.alive(vm, now)]
            cores = sum(offers.flavor(self.name, vm["flavor"]).vcpus for vm in living)
            gib = sum(volume["size_gib"] for volume in world["volumes"].values())
            limits = self.options
            return [
                self._quota("vms", len(living), limits.quota_vms, "VMs"),
                self._quota("vcpus", cores, 0, "vCPUs"),
                self._quota("volumes", gib, limits.max_volume_gib, "GiB"),
                self._quota("addresses", len(world["addresses"]), limits.addresses, "addresses"),
            ]

        return self.listing("list_quotas", rows)

    def _quota(self, name: str, used: int, limit: int, unit: str) -> Quota:
        return Quota(name=name, cloud=self.name, id=name, used=used, limit=limit or None, unit=unit)
