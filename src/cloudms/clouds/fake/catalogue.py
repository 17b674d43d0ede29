"""The fake cloud's images as a long list, two at a time, so that going on with what broke off can be tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloudms.clouds.base import ImageBatch, ImagePages, ImageQuery
from cloudms.clouds.fake import offers
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import CloudmsError
from cloudms.model import Image

PAGE = 2
"""Images of one batch."""


class FakeCatalogue(FakeVms, ImagePages):
    """Images in batches."""

    def image_queries(self, query: ImageQuery | None = None) -> Sequence[ImageQuery]:
        """Return the one query: its images are the same in every region."""
        return [query or ImageQuery()]

    def walk_images(
        self, query: ImageQuery, left: Mapping[str, Any] | None = None, *, many: bool = False
    ) -> Iterator[ImageBatch]:
        """Yield the images of a query, or those that are `left` of them. Raises: NotReady (partial_list), late."""
        rest = frozenset(left["parts"]) if left else None

        def rows(world: Doc, now: float) -> Iterable[Image]:
            images = self.images_of(world, now)
            return (each for each in images if _fits(each, query) and (rest is None or each.id in rest))

        return _batches(self.listing("walk_images", rows), rest or frozenset(each.id for each in offers.images("")))


def _batches(images: Iterator[Image], rest: frozenset[str]) -> Iterator[ImageBatch]:
    """Yield images two at a time, with the ids that have not come. Raises, after all that came: what broke the list."""
    batch: list[Image] = []
    broken: CloudmsError | None = None
    while True:
        try:
            batch.append(next(images))
        except StopIteration:
            break
        except CloudmsError as error:
            broken = error
            break
        if len(batch) == PAGE:
            rest -= {image.id for image in batch}
            yield ImageBatch(images=batch, left={"parts": sorted(rest)})
            batch = []
    rest -= {image.id for image in batch}
    if broken is not None:
        yield ImageBatch(images=batch, left={"parts": sorted(rest)})
        raise broken
    yield ImageBatch(images=batch, last=True)


def _fits(image: Image, query: ImageQuery) -> bool:
    owned = not query.owners or image.owner in query.owners
    return owned and query.arch in ("", image.arch) and query.text in image.name
