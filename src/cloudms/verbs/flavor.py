"""Sizes of VMs that the clouds offer, with prices where they have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from cloudms.clouds.base import Prices
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import browse, named
from cloudms.engine.labels import expanded
from cloudms.engine.prices import known_price, price_of
from cloudms.errors import CloudmsError, Invalid
from cloudms.model import Flavor, Noun
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.limits import Limit
from cloudms.verbs.lists import Cached, CloudName, Refresh

Words = Annotated[list[str], Doc("only flavors in which all these words occur")]
_COLUMNS = (*Flavor.columns, "price_fetched")
_PRICES = (
    "name", "cloud", "region", "vcpus", "memory_mib", "price_per_hour", "spot_per_hour", "currency", "price_fetched",
)  # fmt: skip


@verb("flavor", "list", columns=_COLUMNS, example="cms flavor list --cloud fake")
def list_(
    ctx: Context,
    words: Words = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    limit: Limit = 0,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the sizes a VM can have, the smallest of each cloud first.

    Prices are those already known, with their age; cms flavor price asks for more. Labels are what the cloud tells
    beside the size, such as arch=arm64 or hibernation=yes on AWS.
    """
    find = {"text": " ".join(words), "labels": label}
    listing = browse(ctx, "flavor", _flavors_of, cloud=cloud or "", cached=cached, refresh=refresh, find=find)
    flavors = sorted((item for item in listing.items if isinstance(item, Flavor)), key=_size)
    return listing.with_(items=tuple(flavors[:limit] if limit > 0 else flavors))


@verb("flavor", "refresh", columns=_COLUMNS, example="cms flavor refresh --cloud fake")
def refresh_(
    ctx: Context,
    words: Words = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    limit: Limit = 0,
) -> Listing:
    """Ask the clouds for their flavors, bring the catalog up to date and list them."""
    listing: Listing = list_(ctx, words, cloud=cloud, label=label, limit=limit, refresh=True)
    return listing


@verb("flavor", "price", columns=_PRICES, example="cms flavor price small --cloud fake")
def price(
    ctx: Context,
    names: Annotated[list[str], Doc("names of flavors"), Names("flavor")],
    *,
    cloud: CloudName = None,
    region: Annotated[str | None, Doc("in this region; the cloud's own otherwise")] = None,
    cached: Annotated[bool, Doc("show the prices that the catalog knows, with their age")] = False,
) -> Listing:
    """Ask what flavors cost per hour, and keep the prices in the catalog.

    Only the flavors that are named are asked for. `spot_per_hour` is the price of now for VMs the cloud may take back.
    """
    wanted = expanded(names)
    if not wanted:
        raise Invalid("no flavor was named", hint="cms flavor list shows them")
    pairs = _places(ctx, wanted, cloud or ctx.chosen_cloud)
    if cached:
        known = [known_price(ctx, where, name, region or "") for where, name in pairs]
        return Listing(items=tuple(flavor for flavor in known if flavor), cached=True)
    return _asked(ctx, pairs, region or "")


def _asked(ctx: Context, pairs: Sequence[tuple[str, str]], region: str) -> Listing:
    """Ask each cloud for each price; what cannot be told stands beside the others. Raises: the error, when all fail."""
    found: list[Flavor] = []
    errors: list[tuple[str, CloudmsError]] = []
    for where, name in pairs:
        try:
            found.append(price_of(ctx, where, name, region, oldest=0.0))
        except CloudmsError as error:
            errors.append((where, error))
    if errors and not found:
        raise errors[0][1]
    failed: dict[str, Any] = {}
    for where, reason in errors:
        if where in failed:
            ctx.warn(f"{where}: {reason.message}")
        failed.setdefault(where, {**reason.to_public(), "cloud": where})
    times = [flavor.price_fetched for flavor in found if flavor.price_fetched]
    return Listing(items=tuple(found), failed=failed, fetched=min(times, default=None))


def _places(ctx: Context, names: Iterable[str], cloud: str) -> list[tuple[str, str]]:
    """Return cloud and flavor for each name: of the chosen clouds, else of those with prices that have such a flavor.

    Raises: NotFound (cloud, flavor).
    """
    if cloud:
        return [(where, name) for name in names for where in ctx.cloud_names(cloud)]
    found: list[tuple[str, str]] = []
    for name in names:
        everywhere = [flavor.cloud for flavor in named(ctx, "flavor", name, _flavors_of)]
        priced = [where for where in everywhere if issubclass(ctx.cloud_class(where), Prices)]
        found += [(where, name) for where in priced or everywhere]
    return found


def _flavors_of(opened: Any) -> Iterable[Noun]:
    found: Iterable[Noun] = opened.list_flavors()
    return found


def _size(flavor: Flavor) -> tuple[str, int, int, int, str]:
    return flavor.cloud, flavor.vcpus, flavor.memory_mib, flavor.disk_gib, flavor.name
