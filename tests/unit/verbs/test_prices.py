"""Prices are asked for one by one and stay known with their age; quotas are listed; refresh asks the clouds."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.base import Prices, Quotas
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine.prices import FRESH, known_price, price_of
from cloudms.errors import Invalid, NotFound, Unsupported
from cloudms.guards import unguarded
from cloudms.model import Flavor
from tests.unit.verbs.conftest import Call


def fake(ctx: Context, name: str) -> FakeCloud:
    found = unguarded(ctx.cloud(name))
    assert isinstance(found, FakeCloud)
    return found


def asked(ctx: Context, name: str, call: str) -> int:
    return len(fake(ctx, name).calls(call))


@pytest.fixture
def unpriced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lists of flavors tell no prices, as those of large clouds do."""
    listed = FakeCloud.list_flavors

    def bare(cloud: FakeCloud) -> Any:
        gone = {"price_per_hour": None, "price_fetched": None, "currency": ""}
        return [flavor.with_(**gone) for flavor in listed(cloud)]

    monkeypatch.setattr(FakeCloud, "list_flavors", bare)


@pytest.mark.usefixtures("unpriced")
def test_a_price_is_asked_for_and_stays_known_with_its_age(ctx: Context, call: Call, clock: ManualClock) -> None:
    assert {flavor.price_per_hour for flavor in call("flavor list", cloud="one").items} == {None}
    listing = call("flavor price", ["small", "large"], cloud="one")
    assert [(f.name, f.price_per_hour, f.currency) for f in listing.items] == [
        ("small", 0.01, "USD"),
        ("large", 0.08, "USD"),
    ]
    assert asked(ctx, "one", "price") == 2
    told = clock.now()
    clock.sleep(3600)
    for again in (call("flavor list", cloud="one"), call("flavor refresh", cloud="one")):
        known = {f.name: (f.price_per_hour, f.currency, f.price_fetched) for f in again.items if f.price_per_hour}
        assert known == {"small": (0.01, "USD", told), "large": (0.08, "USD", told)}
    assert [f.price_fetched for f in call("flavor price", ["small", "nano"], cloud="one", cached=True).items] == [told]
    assert asked(ctx, "one", "price") == 2


def test_a_price_without_a_cloud_is_that_of_every_cloud_with_the_flavor(ctx: Context, call: Call) -> None:
    assert {(f.cloud, f.name) for f in call("flavor price", ["nano"]).items} == {("one", "nano"), ("two", "nano")}
    with pytest.raises(NotFound):
        call("flavor price", ["nonsense"])
    with pytest.raises(NotFound):
        call("flavor price", ["nonsense"], cloud="one")
    with pytest.raises(Invalid, match="named"):
        call("flavor price", [])


@pytest.mark.usefixtures("unpriced")
def test_what_cannot_be_priced_stands_beside_the_others(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("denied", call="price", times=0)
    listing = call("flavor price", ["nano"])
    assert [flavor.cloud for flavor in listing.items] == ["one"]
    assert listing.failed["two"]["code"] == "denied"


@pytest.mark.usefixtures("plain")
def test_a_cloud_without_prices_or_quotas_is_refused_when_named(call: Call) -> None:
    with pytest.raises(Unsupported, match="prices"):
        call("flavor price", ["small"], cloud="plain")
    with pytest.raises(Unsupported, match="quotas"):
        call("quota list", cloud="plain")


@pytest.mark.usefixtures("unpriced")
def test_an_estimate_is_content_with_a_price_that_is_not_too_old(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("flavor list")
    assert price_of(ctx, "one", "tiny", oldest=0.0).price_per_hour == 0.005
    assert price_of(ctx, "one", "tiny").price_fetched == clock.now()
    clock.sleep(FRESH / 2)
    price_of(ctx, "one", "tiny")
    assert asked(ctx, "one", "price") == 1
    clock.sleep(FRESH)
    assert price_of(ctx, "one", "tiny").price_fetched == clock.now()
    assert asked(ctx, "one", "price") == 2


@pytest.mark.usefixtures("unpriced")
def test_the_price_of_another_region_is_not_that_of_the_row(ctx: Context, call: Call) -> None:
    ctx.catalog.put("flavor", {"one/tiny": Flavor(name="tiny", cloud="one", id="tiny", region="here").to_document()})
    there = price_of(ctx, "one", "tiny", "fake-east-1")
    assert (there.region, there.price_per_hour) == ("fake-east-1", 0.005)
    assert known_price(ctx, "one", "tiny") is None
    with pytest.raises(NotFound):
        price_of(ctx, "one", "tiny", "nowhere")


def test_quotas_of_every_cloud_with_what_is_used(call: Call) -> None:
    call("vm boot", "micro", name="web1", cloud="one", wait="none")
    call("volume create", "data1", size=3, cloud="one")
    rows = {(q.cloud, q.name): (q.used, q.limit, q.unit) for q in call("quota list").items}
    assert rows[("one", "vms")] == (1, None, "VMs")
    assert rows[("one", "vcpus")] == (1, None, "vCPUs")
    assert rows[("one", "volumes")] == (3, None, "GiB")
    assert rows[("two", "addresses")] == (0, 16, "addresses")
    assert {q.name for q in call("quota list", ["vcpus"], cloud="two").items} == {"vcpus"}


@pytest.mark.parametrize(
    ("words", "call_of_cloud"),
    [
        ("flavor refresh", "list_flavors"),
        ("location refresh", "list_locations"),
        ("volume refresh", "list_volumes"),
        ("key refresh", "list_keys"),
        ("vm refresh", "list_vms"),
    ],
)
def test_refresh_asks_the_clouds_whatever_is_set(ctx: Context, call: Call, words: str, call_of_cloud: str) -> None:
    call("set", ["refresh=off"])
    for times in (1, 2):
        listing = call(words)
        assert not listing.cached
        assert asked(ctx, "one", call_of_cloud) == times
        assert asked(ctx, "two", call_of_cloud) == times
    call(words, cloud="one")
    assert (asked(ctx, "one", call_of_cloud), asked(ctx, "two", call_of_cloud)) == (3, 2)


def test_the_fake_cloud_has_both_roles(ctx: Context) -> None:
    assert isinstance(ctx.cloud("one"), Prices)
    assert isinstance(ctx.cloud("one"), Quotas)


def test_flavors_are_chosen_by_what_their_cloud_tells_of_them(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = FakeCloud.list_flavors

    def told(cloud: FakeCloud) -> Any:
        return [flavor.with_(labels={"arch": "arm64" if flavor.vcpus > 1 else "x86_64"}) for flavor in listed(cloud)]

    monkeypatch.setattr(FakeCloud, "list_flavors", told)
    arm = call("flavor list", cloud="one", label={"arch": "arm64"})
    assert [flavor.name for flavor in arm.items] == ["medium", "large", "xlarge"]
