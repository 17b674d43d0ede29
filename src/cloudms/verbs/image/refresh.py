"""`cms image refresh`: ask the clouds for their images, and show them as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cloudms.clouds.base import ImagePages, ImageQuery, require
from cloudms.context import Context
from cloudms.engine import images as engine
from cloudms.engine.refresh import refresh
from cloudms.errors import CloudmsError, Partial
from cloudms.model import Image
from cloudms.verb import LOCAL, Doc, Least, verb
from cloudms.verbs.image.look import COLUMNS
from cloudms.verbs.lists import CloudName

SHOWN = 50
"""Rows that a person is shown when no limit is given."""


@verb("image", "refresh", doors=LOCAL, columns=COLUMNS, example="cms image refresh --limit 20")
def refresh_(
    ctx: Context,
    *,
    cloud: CloudName = None,
    all: Annotated[bool, Doc("every public image, not only those of the usual owners")] = False,  # noqa: A002
    owner: Annotated[
        list[str] | None, Doc("only images of this account: self, amazon, canonical, debian or a number")
    ] = None,
    arch: Annotated[str, Doc("only images for this processor: x86_64 or arm64")] = "",
    region: Annotated[str, Doc("only images of this region")] = "",
    limit: Annotated[int | None, Doc("show at most so many; 0 shows all"), Least(0)] = None,
) -> Iterator[Image]:
    """Ask the clouds for their images and show them as they come.

    All go to the catalog, however few are shown: a terminal shows 50 unless told otherwise. What broke off is gone on
    with.
    """
    most = (SHOWN if ctx.terminal else 0) if limit is None else max(limit, 0)
    query = ImageQuery(owners=() if all else tuple(owner or ()), arch=arch, region=region)
    narrowed = all or bool(owner or arch or region)
    return _rows(ctx, cloud or "", query, most, narrowed=narrowed, whole=all)


def _rows(ctx: Context, chosen: str, query: ImageQuery, most: int, *, narrowed: bool, whole: bool) -> Iterator[Image]:
    failed: dict[str, CloudmsError] = {}
    shown = 0
    names = _able(ctx, chosen, narrowed=narrowed)
    for name in names:
        try:
            for images in _of_cloud(ctx, name, query, narrowed=narrowed, whole=whole):
                room = images[: most - shown] if most else images
                shown += len(room)
                yield from room
        except CloudmsError as error:
            failed[name] = error
    if len(names) == 1 and failed:
        raise failed[names[0]]
    if failed:
        said = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
        raise Partial(
            f"{len(failed)} of {len(names)} clouds did not answer: {said}", hint="what came is in the catalog"
        )


def _able(ctx: Context, chosen: str, *, narrowed: bool) -> list[str]:
    """Return the clouds to ask; a query can only be asked where lists are long. Raises: Unsupported."""
    names = ctx.cloud_names(chosen)
    if not narrowed:
        return names
    if chosen or ctx.chosen_cloud or len(names) == 1:
        for name in names:
            require(ctx.cloud(name), ImagePages)
        return names
    return [name for name in names if engine.is_paged(ctx, name)]


def _of_cloud(ctx: Context, name: str, query: ImageQuery, *, narrowed: bool, whole: bool) -> Iterator[Sequence[Image]]:
    """Yield the images of one cloud in batches, and note in the end what has changed."""
    if not engine.is_paged(ctx, name):
        failed = refresh(ctx, [name], "image", lambda opened: opened.list_images())
        if failed:
            raise failed[name]
        yield [Image.from_document(row.document) for row in ctx.catalog.find("image", cloud=name)]
        return
    begun, tally, opened = ctx.clock.monotonic(), engine.Tally(), ctx.cloud(name)
    yield from engine.walk(ctx, opened, _asked(opened, query, whole=whole) if narrowed else None, tally)
    seconds = ctx.clock.monotonic() - begun
    again = ", going on where it broke off" if tally.continued else ""
    ctx.note(
        f"{name}: {tally.seen:,} images{again}, {tally.changed:,} new or changed, {tally.gone:,} gone, {seconds:.1f} s"
    )


def _asked(opened: Any, query: ImageQuery, *, whole: bool) -> ImageQuery:
    """Return the query for this cloud: unless owners are named or all are wanted, of the owners of its own list."""
    return query if query.owners or whole else query.with_(owners=opened.image_queries()[0].owners)
