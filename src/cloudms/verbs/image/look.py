"""`cms image list` and `info`: what there is to boot from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from cloudms.clouds.base import ImageStore
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine import images as engine
from cloudms.engine.browse import browse, named
from cloudms.engine.labels import has
from cloudms.engine.refresh import list_nouns
from cloudms.errors import CloudmsError, Conflict, NotFound
from cloudms.model import Image
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.limits import OwnLimit
from cloudms.verbs.lists import Cached, CloudName, Refresh

if TYPE_CHECKING:
    from cloudms.images.store import StoredImage

ImageName = Annotated[str, Doc("name or id of the image"), Names("image")]
ImageNames = Annotated[list[str], Doc("names or ids of images"), Names("image")]
SHOWN = 200
"""Rows that a person is shown when no limit is given."""
COLUMNS = ("name", "cloud", "id", "os", "arch", "size", "login", "created")


@verb("image", "list", columns=COLUMNS, example="cms image list debian --limit 10")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only images in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    limit: OwnLimit = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the images that VMs can be booted from.

    Those of this machine's store that no cloud has listed yet stand without a cloud. Unless `refresh` is set to on or
    off, a long list of a cloud is asked for once an hour. A terminal shows its first 200 unless told otherwise.
    """
    most = (SHOWN if ctx.terminal else 0) if limit is None else max(limit, 0)
    clouds = ctx.cloud_names(cloud or "")
    listing = browse(
        ctx,
        "image",
        _images_of,
        cloud=cloud or "",
        cached=cached,
        refresh=refresh,
        trusted=engine.trusted(ctx, clouds),
        find={"text": " ".join(words), "limit": 0 if label or not most else most + 1},
    )
    missing = {name: {**error.to_public(), "cloud": name} for name, error in engine.incomplete(ctx, clouds).items()}
    listing = listing.with_(failed={**missing, **listing.failed})
    staging = _staging(ctx, cloud or "")
    own = in_store(ctx) if staging or not (cloud or ctx.chosen_cloud) else []
    labels = {image.name: image.labels for image in own}
    listed = [i.with_(labels=labels.get(i.name, i.labels)) if i.cloud in staging else i for i in listing.items]
    shown = {item.name for item in listed if item.cloud in staging}
    fresh = [image for image in own if image.name not in shown and _has(image, words)]
    items = tuple(item for item in (*fresh, *listed) if has(item, label))
    if limit is None and most and len(items) > most:
        ctx.note(f"the first {most}; words narrow the list, --limit 0 shows all")
    return listing.with_(items=items[:most] if most else items)


@verb("image", "search", columns=COLUMNS, example="cms image search ubuntu 22.04 arm64 --limit 5")
def search(
    ctx: Context,
    words: Annotated[list[str], Doc("words that must all occur, in any order")],
    *,
    cloud: CloudName = None,
    limit: OwnLimit = None,
) -> Listing:
    """Search the images that the catalog knows, without asking any cloud.

    A word may be any part of name, id, system, processor, owner or region. A terminal shows the first 200 unless told
    otherwise.
    """
    most = (SHOWN if ctx.terminal else 0) if limit is None else max(limit, 0)
    find = {"text": " ".join(words), "limit": most + 1 if most else 0}
    listing = list_nouns(ctx, "image", ctx.cloud_names(cloud or ""), _images_of, fresh=False, find=find)
    if limit is None and most and len(listing.items) > most:
        ctx.note(f"the first {most}; more words narrow the list, --limit 0 shows all")
    return listing.with_(items=listing.items[:most] if most else listing.items)


def _images_of(opened: Any) -> list[Image]:
    return list(opened.list_images())


def _staging(ctx: Context, cloud: str) -> list[str]:
    """Return the clouds that take their images from this machine's store."""
    found = []
    for name in ctx.cloud_names(cloud):
        with suppress(CloudmsError):
            cls = ctx.cloud_class(name)
            found += [name] if issubclass(cls, ImageStore) and not cls.simulated else []
    return found


def in_store(ctx: Context) -> list[Image]:
    """Return the images of this machine's store; broken ones become warnings."""
    from cloudms.images import store

    good, broken = store.scan()
    for image in broken:
        ctx.warn(f"image '{image.name}' cannot be used: {image.reason}; cms image delete {image.name}")
    return [noun_of(image) for image in good]


def noun_of(image: StoredImage) -> Image:
    """Return an image of this machine's store as a noun."""
    return Image(
        name=image.name,
        id=image.digest,
        os=image.os,
        arch=image.arch,
        size=image.size,
        login=image.login,
        state="local",
        digest=image.digest,
        labels=image.labels,
        created=image.created,
    )


def _has(image: Image, words: list[str]) -> bool:
    text = " ".join((image.name, image.os, image.arch, image.id)).casefold()
    return all(word.casefold() in text for word in words)


@verb("image", "info", example="cms image info micro")
def info(ctx: Context, name: ImageName, *, cloud: CloudName = None) -> dict[str, Any]:
    """Show everything that is known of one image; of one in this machine's store also its files and packages."""
    from cloudms.images import store

    stored = store.find(name) if not cloud or _staging(ctx, cloud) else None
    found = matching(ctx, name, cloud, none_is_fine=stored is not None)
    if stored is None:
        return _preferred(ctx, name, found).to_public()
    image = _preferred(ctx, name, found) if found else noun_of(stored)
    if image.cloud and _staging(ctx, image.cloud):
        image = image.with_(labels=stored.labels)
    return {**image.to_public(), "store": stored.to_json()}


def matching(ctx: Context, name: str, cloud: str | None, *, none_is_fine: bool, role: Any = None) -> list[Image]:
    """Return the images of that name or id on the clouds. Raises: NotFound, unless none is fine."""
    try:
        found = named(ctx, "image", name, _images_of, cloud=cloud or "", role=role)
    except NotFound:
        if not none_is_fine:
            raise
        return []
    return [image for image in found if isinstance(image, Image)]


def _preferred(ctx: Context, name: str, found: list[Image]) -> Image:
    """Return the only one, or that of the default cloud. Raises: Conflict."""
    usual = [image for image in found if image.cloud == ctx.default_cloud()]
    if len(found) == 1 or len(usual) == 1:
        return usual[0] if usual else found[0]
    places = ", ".join(f"{image.id} on {image.cloud}" for image in found)
    raise Conflict(f"'{name}' means several images: {places}", hint="give the id, or --cloud")
