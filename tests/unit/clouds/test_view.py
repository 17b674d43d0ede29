"""Whose a VM is, and a VM that cannot be understood."""

from __future__ import annotations

import pytest

from cloudms.clouds.libvirt.tags import Tags
from cloudms.clouds.view import Marked, odd, origin_of, view_of
from cloudms.model import Origin, VmState


@pytest.mark.parametrize(
    ("mark", "origin"),
    [
        (Tags(token="t", owner="ada"), Origin.OWN),
        (Tags(token="t", owner="ada", adopted=True), Origin.ADOPTED),
        (Tags(token="t", owner="grace"), Origin.FOREIGN),
        (Tags(owner="ada"), Origin.FOREIGN),
        (None, Origin.FOREIGN),
    ],
)
def test_whose_it_is_stands_on_it(mark: Marked | None, origin: Origin) -> None:
    assert origin_of(mark, "ada") is origin


def test_who_looks_is_the_catalog_with_the_login_of_the_configuration() -> None:
    seen = view_of("lab", "ada", 12.0, {"username": "cc"})
    assert (seen.cloud, seen.owner, seen.login, seen.now) == ("lab", "ada", "cc", 12.0)
    assert view_of("lab", "ada", 12.0, {"login": "debian", "username": "cc"}).login == "debian"


def test_what_cannot_be_understood_stays_in_the_list_with_its_reason() -> None:
    view = view_of("lab", "ada", 12.0, {})
    vm = odd("i-1", "here", view, KeyError("State"), {"id": "i-1"})
    assert (vm.id, vm.cloud, vm.region, vm.state, vm.origin) == ("i-1", "lab", "here", VmState.UNKNOWN, Origin.FOREIGN)
    assert vm.reason == "its description cannot be understood (KeyError: 'State')"
    assert vm.raw == {"id": "i-1"}
