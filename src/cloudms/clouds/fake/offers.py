"""What the fake cloud offers: flavors with prices, images, locations; the same on every fake cloud."""

from __future__ import annotations

from typing import TypeVar

from cloudms.errors import NotFound
from cloudms.model import Flavor, Image, Location

T = TypeVar("T", Flavor, Image, Location)

PRICED = 1_735_689_600.0
"""When the pretended prices were fetched: 2025-01-01."""

_MIB = 1 << 20

_FLAVORS = (
    ("nano", 1, 128, 1, 0.002),
    ("tiny", 1, 512, 4, 0.005),
    ("small", 1, 1024, 10, 0.01),
    ("lean", 1, 2048, 20, 0.02),
    ("medium", 2, 4096, 20, 0.04),
    ("large", 4, 8192, 40, 0.08),
    ("xlarge", 8, 16384, 80, 0.16),
)

_IMAGES = (
    ("micro", "img-0001", "linux", 8, "root"),
    ("debian", "img-0002", "debian 12", 340, "debian"),
    ("debian-12", "img-0003", "debian 12", 340, "debian"),
    ("debian-13", "img-0004", "debian 13", 350, "debian"),
    ("ubuntu-22.04", "img-0005", "ubuntu 22.04", 620, "ubuntu"),
    ("ubuntu-24.04", "img-0006", "ubuntu 24.04", 580, "ubuntu"),
)

_LOCATIONS = (
    ("fake-east-1", "fake-east", "US"),
    ("fake-east-2", "fake-east", "US"),
    ("fake-west-1", "fake-west", "DE"),
)


def flavors(cloud: str) -> list[Flavor]:
    """Return the flavors, smallest first."""
    return [
        Flavor(
            name=name, cloud=cloud, id=name, vcpus=vcpus, memory_mib=memory, disk_gib=disk, price_per_hour=price,
            price_fetched=PRICED, raw={"size": name, "cpu": vcpus, "ram": memory, "disk": disk, "usd": price},
        )
        for name, vcpus, memory, disk, price in _FLAVORS
    ]  # fmt: skip


def images(cloud: str) -> list[Image]:
    """Return the images."""
    return [
        Image(
            name=name, cloud=cloud, id=identity, os=system, arch="x86_64", size=size * _MIB, login=login,
            created=PRICED, raw={"image": identity, "title": name, "bytes": size * _MIB},
        )
        for name, identity, system, size, login in _IMAGES
    ]  # fmt: skip


def locations(cloud: str) -> list[Location]:
    """Return the zones."""
    return [
        Location(name=name, cloud=cloud, id=name, region=region, country=country, raw={"zone": name})
        for name, region, country in _LOCATIONS
    ]


def flavor(cloud: str, name: str) -> Flavor:
    """Return the flavor called `name`. Raises: NotFound."""
    return _pick(flavors(cloud), name, cloud, "flavor")


def image(cloud: str, name: str) -> Image:
    """Return the image whose name or id is `name`. Raises: NotFound."""
    return _pick(images(cloud), name, cloud, "image")


def location(cloud: str, name: str) -> Location:
    """Return the zone called `name`, or the first zone of the region called so. Raises: NotFound."""
    places = locations(cloud)
    for place in places:
        if name in (place.name, place.region):
            return place
    return _pick(places, name, cloud, "location")


def _pick(found: list[T], name: str, cloud: str, what: str) -> T:
    for thing in found:
        if name in (thing.name, thing.id):
            return thing
    raise NotFound(
        f"cloud '{cloud}' has no {what} '{name}'",
        hint=f"one of: {', '.join(thing.name for thing in found)}",
        details={"cloud": cloud, what: name},
    )
