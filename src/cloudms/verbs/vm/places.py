"""Where VMs are booted: one cloud or several, what each of them takes, and how the VMs are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from cloudms import names
from cloudms.clouds.base import Cloud
from cloudms.config import CloudSettings
from cloudms.context import Context
from cloudms.engine.lacking import Wish, in_words, lacking
from cloudms.engine.reserve import default_names, free_names
from cloudms.errors import Exists, Invalid, MissingExtra, NotFound
from cloudms.record import Record
from cloudms.verbs.version import is_installed


class Place(Record):
    """A cloud that VMs are booted on: `image` and `flavor` as asked for, else its own; `base` begins their names."""

    cloud: Cloud
    settings: CloudSettings
    image: str
    flavor: str
    base: str

    @property
    def name(self) -> str:
        """Return the name of the cloud."""
        return self.settings.name


def places(ctx: Context, chosen: str, image: str, flavor: str, region: str) -> list[Place]:
    """Return the chosen clouds, or the default one. Of several, each has what is asked for.

    Raises: NotFound (a cloud, or what clouds lack), Invalid (no default image), MissingExtra.
    """
    clouds = [ctx.config.cloud(name) for name in ctx.new_clouds(chosen)]
    for settings in clouds:
        extra = ctx.cloud_class(settings.name).extra
        if not is_installed(extra):
            raise MissingExtra(extra, why=f"booting on cloud '{settings.name}'")
    without = [settings.name for settings in clouds if not (image or settings.default.get("image"))]
    if without:
        raise _no_image(without)
    found = [_place(ctx, settings, image, flavor) for settings in clouds]
    if len(found) > 1 and (image or flavor or region):
        _refuse_lacking(ctx, found, Wish(image=image, flavor=flavor, region=region))
    return found


def _place(ctx: Context, settings: CloudSettings, image: str, flavor: str) -> Place:
    default = settings.default
    return Place(
        cloud=ctx.cloud(settings.name),
        settings=settings,
        image=image or str(default.get("image")),
        flavor=flavor or str(default.get("flavor") or ctx.cloud_class(settings.name).default_flavor),
        base=ctx.base_name or str(default.get("name") or ""),
    )


def _no_image(clouds: Sequence[str]) -> Invalid:
    many = len(clouds) > 1
    who = f"clouds {', '.join(map(repr, clouds))} have" if many else f"cloud '{clouds[0]}' has"
    return Invalid(f"{who} no default image", hint=f"cms image list --cloud {clouds[0]}, then name one")


def _refuse_lacking(ctx: Context, found: Sequence[Place], wish: Wish) -> None:
    """Refuse what not all clouds have, since the words for it differ between them. Raises: NotFound."""
    lost = lacking(ctx, {place.name: wish.with_(takes=place.flavor) for place in found})
    if not lost:
        return
    values = {"image": wish.image, "flavor": wish.flavor, "location": wish.region}
    words = dict.fromkeys(what for all_ in lost.values() for what in all_)
    hint = f"leave the {' and the '.join(words)} out, and each cloud takes its own, or boot on each by itself"
    raise NotFound(in_words(lost, values), hint=hint, details={"lacking": lost})


def names_for(
    ctx: Context, found: Sequence[Place], name: str, counts: Mapping[str, int], *, exact: bool
) -> Iterator[str]:
    """Return names for so many VMs on each place (`counts` by its name), in their order, all different.

    With `exact` the one VM has this name and no other. Raises: Exists, Invalid.
    """
    if exact:
        if ctx.catalog.get("name", names.valid(name)) is not None:
            raise Exists(f"the name '{name}' is taken", hint=f"--name {free_names(ctx, name, 1)[0]} is free")
        return iter([name])
    if name:
        return iter(free_names(ctx, names.valid(name), sum(counts[place.name] for place in found)))
    return iter(_unnamed(ctx, found, counts))


def _unnamed(ctx: Context, found: Sequence[Place], counts: Mapping[str, int]) -> list[str]:
    """Return names that begin as the places say, or follow the pattern of the configuration."""
    patterned = [place.name for place in found for _ in range(counts[place.name]) if not place.base]
    defaults = iter(default_names(ctx, patterned, use=False)) if patterned else iter(())
    given: list[str] = []
    for place in found:
        if place.base:
            given += free_names(ctx, names.valid(place.base), counts[place.name], but=given)
        else:
            given += islice(defaults, counts[place.name])
    return given
