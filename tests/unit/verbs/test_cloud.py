"""What is configured, what answers, what can do what."""

from __future__ import annotations

import pytest

from cloudms.clouds.base import all_roles
from cloudms.context import Context
from cloudms.doors.outcome import of_listing
from cloudms.errors import NotFound, Partial
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import asked, fake


def test_list_says_why_a_cloud_is_not_used_and_asks_nobody(ctx: Context, call: Call) -> None:
    states = {info.name: (info.provider, info.default, info.state) for info in call("cloud list").items}
    assert states == {
        "one": ("fake", True, "active"),
        "two": ("fake", False, "active"),
        "aws": ("aws", False, "unset"),
        "strange": ("strange", False, "unsupported"),
        "local": ("libvirt", False, "inactive"),
    }
    by_name = {info.name: info for info in call("cloud list").items}
    assert "EC2_ACCESS_ID" in by_name["aws"].reason
    assert "'strange'" in by_name["strange"].reason
    assert by_name["local"].hint == "cms config set cloud.local.cm.active=true"
    assert not any(info.reason for info in (by_name["one"], by_name["two"]))
    assert asked(ctx, "one", "reach") == 0


def test_check_asks_every_active_cloud_and_shows_the_others(ctx: Context, call: Call) -> None:
    listing = call("cloud check")
    assert [(i.name, i.state) for i in listing.items] == [
        ("one", "ok"), ("two", "ok"), ("aws", "unset"), ("strange", "unsupported"), ("local", "inactive"),
    ]  # fmt: skip
    assert listing.failed == {}
    assert listing.items[0].version
    assert listing.items[0].seconds is not None
    assert listing.items[2].seconds is None
    assert (asked(ctx, "one", "reach"), asked(ctx, "two", "reach")) == (1, 1)


def test_one_broken_cloud_never_blocks_the_others(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("denied", call="reach", times=0, reason="these credentials are old")
    listing = call("cloud check")
    broken = listing.items[0]
    assert (broken.state, broken.reason) == ("failed", "these credentials are old")
    assert broken.hint
    assert broken.default
    assert listing.items[1].state == "ok"
    assert {name: error["code"] for name, error in listing.failed.items()} == {"one": "denied"}


def test_check_by_name_asks_those_alone_even_when_not_in_use(ctx: Context, call: Call) -> None:
    listing = call("cloud check", ["two", "strange"])
    assert [(i.name, i.state) for i in listing.items] == [("two", "ok"), ("strange", "failed")]
    assert listing.failed["strange"]["code"] == "not_found"
    assert type(of_listing(listing, ctx.cloud_names(""))) is Partial
    assert type(of_listing(call("cloud check", ["strange"]), ctx.cloud_names(""))) is NotFound
    assert asked(ctx, "one", "reach") == 0
    with pytest.raises(NotFound, match="three"):
        call("cloud check", ["three"])


def test_check_tells_the_quotas_that_were_seen_last(call: Call) -> None:
    assert "quotas" not in call("cloud check", ["one"]).items[0].details
    call("quota list", cloud="one")
    (info,) = call("cloud check", ["one"]).items
    assert info.details["quotas"]["addresses"] == {"used": 0, "limit": 16}


def test_a_cloud_chosen_by_its_prefix_is_checked_alone(ctx: Context, call: Call) -> None:
    ctx.chosen_cloud = "two"
    assert [i.name for i in call("cloud check").items] == ["two"]


def test_the_table_of_roles_names_every_role_and_every_kind(call: Call) -> None:
    table = call("cloud roles")
    assert [row["name"] for row in table] == [role.name for role in all_roles()]
    assert all(row["fake"] is True and row["text"] for row in table)


def test_a_kind_without_roles_and_a_broken_one_do_not_hide_the_table() -> None:
    from cloudms.clouds.roles import installed, role_table
    from tests.unit.verbs.plain import PlainCloud

    assert not any(row["plain"] for row in role_table({"plain": PlainCloud}))
    from cloudms import registry

    with pytest.MonkeyPatch.context() as patch:
        kinds = {"fake": "cloudms.clouds.fake:FakeCloud", "bad": "tests.no_such_module:Cloud"}
        patch.setitem(registry.index().families, "cloudms.clouds", kinds)
        found, broken = installed()
    assert list(found) == ["fake"]
    assert "no_such_module" in broken["bad"]
