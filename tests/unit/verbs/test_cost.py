"""What runs and bills: by thing, and summed by cloud, group and altogether."""

from __future__ import annotations

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.model import Cost
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import fake


@pytest.fixture
def things(call: Call, clock: ManualClock) -> None:
    """Make a large and a small VM, one that is off, and a volume, ten hours ago."""
    call("vm boot", name="small", group="shop")
    call("vm boot", name="large", flavor="large", ttl="2d")
    call("vm boot", "micro", name="off", cloud="two")
    call("vm stop", ["off"], cloud="two")
    call("volume create", "disk", size=73, cloud="one")
    clock.sleep(36000)


def rows(listing: Listing) -> list[tuple[object, ...]]:
    """Return what matters of each row."""
    found = [item for item in listing.items if isinstance(item, Cost)]
    return [(row.name, row.what, row.price_per_hour, row.so_far, row.count, row.unknown) for row in found]


@pytest.mark.usefixtures("things")
def test_what_bills_is_listed_the_dearest_first(call: Call) -> None:
    assert rows(call("cost")) == [
        ("large", "vm", 0.08, pytest.approx(0.8, abs=1e-3), 1, 0),
        ("disk", "volume", 0.01, pytest.approx(0.1, abs=1e-3), 1, 0),
        ("small", "vm", 0.01, pytest.approx(0.1, abs=1e-3), 1, 0),
    ]
    assert [round(row.hours) for row in call("cost").items] == [10, 10, 10]


@pytest.mark.usefixtures("things")
def test_sums(call: Call) -> None:
    call("vm start", ["off"], cloud="two")
    assert rows(call("cost", by="cloud")) == [
        ("one", "sum", 0.1, pytest.approx(1.0, abs=1e-3), 3, 0),
        ("two", "sum", 0.01, pytest.approx(0.1, abs=1e-3), 1, 0),
    ]
    assert [row[:3] for row in rows(call("cost", by="group"))] == [
        ("(no group)", "sum", 0.1),
        ("shop", "sum", 0.01),
    ]
    assert rows(call("cost", by="total"))[0][2:] == (0.11, pytest.approx(1.1, abs=1e-3), 4, 0)


@pytest.mark.usefixtures("things")
def test_an_unknown_price_comes_first_and_is_counted(ctx: Context, call: Call) -> None:
    row = next(row for row in ctx.catalog.find("vm") if row.document["name"] == "small")
    ctx.catalog.put("vm", {row.key: {**row.document, "price_per_hour": None}})
    ctx.catalog.delete("flavor", [row.key for row in ctx.catalog.find("flavor")])
    fake(ctx, "one").add_fault("denied", call="price", times=0)
    found = rows(call("cost", cached=True))
    assert found[0] == ("small", "vm", None, None, 1, 1)
    assert rows(call("cost", by="total", cached=True))[0][4:] == (3, 1)


def test_what_costs_nothing_is_left_out(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("vm boot", name="a")
    monkeypatch.setattr(FakeCloud, "costs_money", False)
    assert rows(call("cost")) == []


def test_a_silent_cloud_does_not_hide_the_others(ctx: Context, call: Call) -> None:
    call("vm boot", name="a")
    call("vm boot", "micro", name="b", cloud="two")
    fake(ctx, "two").add_fault("denied", call="list_vms", times=0)
    listing = call("cost")
    assert [row[0] for row in rows(listing)] == ["a", "b"]
    assert list(listing.failed) == ["two"]
