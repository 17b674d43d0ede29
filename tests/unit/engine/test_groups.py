"""Who is in a group: by name, by labels, on several clouds, described or only named by its members."""

from __future__ import annotations

import pytest

from cloudms.context import Context
from cloudms.engine import groups
from cloudms.errors import Invalid, NotFound
from cloudms.model import Group, Vm
from tests.unit.calling import Call


def names_of(found: list[Vm]) -> list[str]:
    return [vm.name for vm in found]


@pytest.fixture
def web(call: Call) -> None:
    """Boot twelve members of a group on one cloud and one on another, and a VM that is no member."""
    call("vm boot", name="web", count=11, group="web")
    call("vm boot", name="far", cloud="second", group="web", label={"tier": "front"})
    call("vm boot", name="other", label={"tier": "front"})


@pytest.mark.usefixtures("web")
def test_members_come_in_the_order_of_their_names_from_all_clouds(ctx: Context) -> None:
    found = groups.members(ctx, "web")
    assert names_of(found) == ["far", *(f"web-{n}" for n in range(1, 12))]
    assert {vm.cloud for vm in found} == {"first", "second"}


@pytest.mark.usefixtures("web")
def test_a_host_list_narrows_the_members_in_its_own_order(ctx: Context) -> None:
    assert names_of(groups.members(ctx, "web", on="web-[9-10],far")) == ["web-9", "web-10", "far"]
    with pytest.raises(NotFound, match="other is not in group 'web'"):
        groups.members(ctx, "web", on="far,other")
    with pytest.raises(Invalid, match="cannot be read"):
        groups.members(ctx, "web", on="web-[1")


@pytest.mark.usefixtures("web")
def test_a_selector_makes_members_of_all_that_have_its_labels(ctx: Context) -> None:
    ctx.catalog.put("group", {"front": Group(name="front", selector={"tier": "front"}).to_document()})
    assert names_of(groups.members(ctx, "front")) == ["far", "other"]


@pytest.mark.usefixtures("web")
def test_a_group_that_vms_only_name_is_listed_beside_those_that_were_described(ctx: Context, call: Call) -> None:
    ctx.catalog.put("group", {"empty": Group(name="empty", labels={"a": "b"}).to_document()})
    found = {group.name: group for group in call("group list").items}
    assert sorted(found) == ["empty", "web"]
    assert (found["web"].size, found["web"].cloud, found["web"].states) == (12, "first,second", {"running": 12})
    assert [group.name for group in call("group list", label={"a": "b"}).items] == ["empty"]


@pytest.mark.usefixtures("web")
def test_a_member_that_is_deleted_leaves_and_the_last_one_ends_a_group_that_nobody_described(
    ctx: Context, call: Call
) -> None:
    call("vm delete", ["web-[1-11]"])
    assert call("group info", "web").vms == ("far",)
    call("vm delete", ["far"])
    with pytest.raises(NotFound, match="no group named 'web'"):
        groups.members(ctx, "web")


def test_an_unknown_group_is_told_with_the_nearest_name(ctx: Context, call: Call) -> None:
    call("vm boot", name="one", group="genome")
    with pytest.raises(NotFound) as raised:
        groups.members(ctx, "genom")
    assert raised.value.hint == "did you mean 'genome'"
