"""Sizes."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.libvirt import flavors
from cloudms.clouds.libvirt.making import GIB, disk_size
from cloudms.errors import ConfigError, Invalid, NotFound
from cloudms.model import VmSpec


def test_the_table_can_be_extended_and_changed() -> None:
    found = flavors.table(
        "local", {"flavors": {"huge": {"vcpus": 8, "memory_mib": 8192}, "tiny": {"vcpus": 1, "memory_mib": 128}}}
    )
    assert set(found) == {*flavors.BUILT_IN, "huge"}
    assert (found["huge"].disk_gib, found["tiny"].memory_mib, found["small"].memory_mib) == (0, 128, 512)
    assert all(each.price_per_hour == 0.0 and each.cloud == "local" for each in found.values())


@pytest.mark.parametrize("size", [None, 5, {}, {"vcpus": 0, "memory_mib": 512}, {"vcpus": 1, "memory_mib": "much"}])
def test_a_malformed_flavor_is_named(size: Any) -> None:
    with pytest.raises(ConfigError, match="'odd' of cloud 'local'"):
        flavors.table("local", {"flavors": {"odd": size}})


def test_the_flavor_must_fit_the_image() -> None:
    known = flavors.table("local", {})
    assert flavors.for_image(known, "", "debian", 400).name == "small"
    assert flavors.for_image(known, "large", "debian", 400).name == "large"
    with pytest.raises(Invalid, match="needs 400 MiB of memory, 'tiny' has 256") as error:
        flavors.for_image(known, "tiny", "debian", 400)
    assert "small" in error.value.hint
    with pytest.raises(NotFound):
        flavors.for_image(known, "huge", "debian", 400)
    with pytest.raises(Invalid, match="needs 99999 MiB"):
        flavors.for_image(known, "", "monster", 99999)


@pytest.mark.parametrize(("asked", "flavor", "expected"), [(0, "tiny", 3), (0, "small", 10), (20, "small", 20)])
def test_disk_size(asked: int, flavor: str, expected: int) -> None:
    spec = VmSpec(name="n", token="t", image="i", flavor=flavor, disk_gib=asked)
    assert disk_size(spec, flavors.table("local", {})[flavor], 3 * GIB) == expected * GIB


def test_a_disk_smaller_than_the_image_is_refused() -> None:
    spec = VmSpec(name="n", token="t", image="i", flavor="tiny", disk_gib=1)
    with pytest.raises(Invalid, match="too small") as error:
        disk_size(spec, flavors.table("local", {})["tiny"], 3 * GIB - 1)
    assert error.value.hint == "ask for 3 GiB or more"
