"""What clouds lack of what one boot asks of all of them, found out before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudms.clouds.base import Cloud, ImageStore, Locations
from cloudms.context import Context
from cloudms.engine.refresh import each
from cloudms.errors import CloudmsError, NotFound
from cloudms.record import Record


class Wish(Record):
    """What is asked of a cloud; what is empty is left to it. `takes` is the flavor that it will take."""

    image: str = ""
    flavor: str = ""
    region: str = ""
    takes: str = ""


def lacking(ctx: Context, wishes: Mapping[str, Wish]) -> dict[str, list[str]]:
    """Return by cloud the words `image`, `flavor` and `location` for what it does not have; all are asked at once.

    A cloud that does not answer lacks nothing: the boot itself tells what is wrong with it.
    """
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found[name] = _lacks(ctx.cloud(name), wishes[name])

    each(list(wishes), look)
    return {name: found[name] for name in wishes if found[name]}


def _lacks(cloud: Cloud, wish: Wish) -> list[str]:
    try:
        if wish.region and not _has_place(cloud, wish.region):
            return ["location"]
        wanted = {"image": bool(wish.image), "flavor": bool(wish.flavor)}
        return [what for what, asked in wanted.items() if asked and not _has(cloud, what, wish)]
    except CloudmsError:
        return []


def _has_place(cloud: Cloud, region: str) -> bool:
    places = cloud.list_locations() if isinstance(cloud, Locations) else ()
    return any(region in (place.name, place.region) for place in places)


def _has(cloud: Cloud, what: str, wish: Wish) -> bool:
    try:
        if what == "image":
            return builds(cloud, wish.image) or bool(cloud.find_image(wish.image, wish.takes, wish.region))
        return bool(cloud.find_flavor(wish.flavor, wish.region))
    except NotFound:
        return False


def builds(cloud: Cloud, image: str) -> bool:
    """Whether an image that a cloud of this machine lacks is built when it is first used."""
    if not isinstance(cloud, ImageStore) or cloud.simulated:
        return False
    from cloudms.images import build

    return image in build.RECIPES


def in_words(found: Mapping[str, Sequence[str]], values: Mapping[str, str]) -> str:
    """Return what is lacking as a sentence; `values` are the words that were asked for."""
    return ", ".join(
        f"cloud '{cloud}' has no {what} '{values[what]}'" for cloud, all_ in found.items() for what in all_
    )
