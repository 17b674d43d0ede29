"""Flavors, and their prices where the configuration tells them: OpenStack itself knows none.

Shape: https://docs.openstack.org/api-ref/compute/#list-flavors-with-details.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cloudms.clouds.base import Price, Prices, Role
from cloudms.clouds.openstack.core import Core
from cloudms.clouds.openstack.settings import place
from cloudms.errors import Invalid, NotFound
from cloudms.model import Flavor, Vm

PAGE = 1000


class Flavoring(Core, Prices):
    """What sizes there are, and what they cost."""

    def list_flavors(self) -> Iterable[Flavor]:
        """Yield the flavors of the home region, then what only other regions in use have.

        The setting `flavors` narrows them to names and patterns such as m1.*.
        """
        home, seen = self.link.region, set[str]()
        for row in self._flavors_in(home):
            seen.add(str(row.get("name")))
            yield self.flavor_noun(row, home)
        others = self.link.each_region(lambda region: self._others(region, home))
        for region, row in others if len(self.link.regions) > 1 else ():
            if str(row.get("name")) not in seen:
                seen.add(str(row.get("name")))
                yield self.flavor_noun(row, region)

    def _others(self, region: str, home: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in self._flavors_in(region) if region != home else ():
            yield region, row

    def _flavors_in(self, region: str) -> Iterator[dict[str, Any]]:
        patterns = self.link.settings.flavors
        for row in self.link.pages("compute", "/flavors/detail", "flavors", region, limit=PAGE):
            if not patterns or any(fnmatchcase(str(row.get("name")), pattern) for pattern in patterns):
                yield row

    def find_flavor(self, name: str, region: str = "") -> Flavor:
        """Return the flavor that a boot would take, of those that are listed or not. Raises: NotFound."""
        where = place(region)[0] or self.link.region
        for row in self.link.pages("compute", "/flavors/detail", "flavors", where, limit=PAGE):
            if name in (row.get("name"), row.get("id")):
                return self.flavor_noun(row, where)
        raise NotFound(
            f"cloud '{self.name}' has no flavor '{name}' in {where}",
            hint=f"cms flavor list --cloud {self.name}",
            details={"flavor": name, "region": where},
        )

    def flavor_noun(self, row: Mapping[str, Any], region: str) -> Flavor:
        """Return the noun of a flavor as Nova described it, with its price when the configuration tells one."""
        name = str(row.get("name") or row.get("original_name") or row.get("id"))
        price = self.prices.get(name)
        return Flavor(
            name=name, cloud=self.name, id=str(row.get("id") or name), region=region, labels=_facts(row),
            vcpus=int(row.get("vcpus") or 0), memory_mib=int(row.get("ram") or 0), disk_gib=int(row.get("disk") or 0),
            price_per_hour=price, currency=self.currency if price is not None else "",
            price_fetched=self.clock.now() if price is not None else None, fetched=self.clock.now(), raw=row,
        )  # fmt: skip

    @property
    def prices(self) -> Mapping[str, float]:
        """Return the setting `prices`: what flavors and other things cost per hour, by name. Raises: Invalid."""
        return read_prices(self.setup.options.get("prices"))

    @property
    def currency(self) -> str:
        """Return the setting `currency`."""
        return str(self.setup.options.get("currency") or "USD").upper()

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        if not missing and role is Prices and not self.setup.options.get("prices"):
            return "OpenStack tells no prices: say in its setting `prices` what flavors cost"
        return missing

    def price(self, flavor: str, region: str = "") -> Flavor:
        """Return a flavor with what the setting `prices` says of it. Raises: NotFound (no such flavor, or no price)."""
        found = self.find_flavor(flavor, region)
        if found.price_per_hour is None:
            raise NotFound(
                f"the setting prices of cloud '{self.name}' says nothing of the flavor '{flavor}'",
                hint=f"for instance prices: {{{flavor}: 0.05}} in its entry",
            )
        return found

    def thing_price(self, what: str, region: str = "") -> Price:
        """Return what the setting `prices` says of an `address`, or of a GiB of a `volume` or `volume_snapshot`.

        Raises: NotFound.
        """
        known = self.prices.get(what)
        if known is None:
            raise NotFound(
                f"the setting prices of cloud '{self.name}' says nothing of {what}",
                hint=f"for instance prices: {{{what}: 0.005}} in its entry",
            )
        return Price(per_hour=known, currency=self.currency, fetched=self.clock.now())


def read_prices(value: Any) -> dict[str, float]:
    """Return prices by the name of a flavor. Raises: Invalid."""
    if not value:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("prices are no table", hint="for instance prices: {m1.small: 0.05, m1.large: 0.2}")
    found: dict[str, float] = {}
    for name, price in value.items():
        try:
            found[str(name)] = float(price)
        except (TypeError, ValueError):
            found[str(name)] = -1.0
        if not 0 <= found[str(name)] < float("inf"):
            raise Invalid(f"the price of {name} cannot be {price!r}", hint="a number: what an hour costs")
    return found


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells flavors apart beside their size."""
    said = {
        "ephemeral": f"{row['OS-FLV-EXT-DATA:ephemeral']} GiB" if row.get("OS-FLV-EXT-DATA:ephemeral") else "",
        "swap": f"{row['swap']} MiB" if row.get("swap") else "",
        "public": "no" if row.get("os-flavor-access:is_public") is False else "",
    }
    return {name: value for name, value in said.items() if value}
