"""Lists of what clouds offer: cached with their age, asked when never asked, never stopped by one bad cloud."""

from __future__ import annotations

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import NotFound, Unsupported
from cloudms.guards import unguarded
from tests.unit.verbs.conftest import Call


def fake(ctx: Context, name: str) -> FakeCloud:
    found = unguarded(ctx.cloud(name))
    assert isinstance(found, FakeCloud)
    return found


def asked(ctx: Context, name: str, call: str) -> int:
    return len(fake(ctx, name).calls(call))


def test_flavors_of_every_cloud_the_smallest_first(call: Call) -> None:
    listing = call("flavor list")
    assert [(f.cloud, f.name) for f in listing.items[:3]] == [("one", "nano"), ("one", "tiny"), ("one", "small")]
    assert {f.cloud for f in listing.items} == {"one", "two"}
    assert listing.failed == {}


def test_words_cloud_and_limit_narrow_a_list(call: Call) -> None:
    assert [f.name for f in call("flavor list", ["large"], cloud="two").items] == ["large", "xlarge"]
    assert [f.name for f in call("flavor list", cloud="two", limit=1).items] == ["nano"]
    with pytest.raises(NotFound, match="three"):
        call("flavor list", cloud="three")


def test_the_ancestors_word_for_a_flavor_still_works(call: Call) -> None:
    assert len(call("size list").items) == len(call("flavor list").items)


def test_a_list_that_was_never_fetched_is_fetched_even_when_refresh_is_off(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    call("set", ["refresh=off"])
    first = call("location list")
    assert len(first.items) == 6
    assert not first.cached
    clock.sleep(90)
    second = call("location list")
    assert second.items == first.items
    assert second.cached
    assert second.fetched == clock.now() - 90
    assert asked(ctx, "one", "list_locations") == 1
    assert call("location list", refresh=True).fetched == clock.now()
    assert asked(ctx, "one", "list_locations") == 2


def test_cached_never_asks(ctx: Context, call: Call) -> None:
    assert call("location list", cached=True).items == ()
    assert asked(ctx, "one", "list_locations") == 0


def test_a_cloud_that_does_not_answer_keeps_what_was_known(ctx: Context, call: Call) -> None:
    call("location list")
    fake(ctx, "two").add_fault("denied", call="list_locations", times=0)
    listing = call("location list")
    assert list(listing.failed) == ["two"]
    assert listing.failed["two"]["code"] == "denied"
    assert {item.cloud for item in listing.items} == {"one", "two"}


@pytest.mark.usefixtures("plain")
def test_a_cloud_without_the_role_is_left_out_and_refused_when_named(call: Call) -> None:
    assert {item.cloud for item in call("location list").items} == {"one", "two"}
    with pytest.raises(Unsupported, match="no locations"):
        call("location list", cloud="plain")
    assert {item.cloud for item in call("image list").items} == {"one", "two", "plain"}
