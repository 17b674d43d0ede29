"""Long lists of images: into the catalog while they arrive, and on from where a refresh broke off.

What a refresh has left to do stands in the catalog (kind `refresh`), written after the rows it accounts for, so that a
killed process loses no more than the parts it was in.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from cloudms.catalog.base import Generation, Scope
from cloudms.catalog.rows import Apart, take_all_apart
from cloudms.clouds.base import Cloud, ImageBatch, ImagePages, ImageQuery
from cloudms.context import Context
from cloudms.errors import CloudmsError, Interrupted, NotReady
from cloudms.garbage import seldom
from cloudms.model import Image

KIND = "refresh"
"""Of the documents that say how far a refresh of images has come."""
YOUNG = 3600.0
"""Seconds for which a complete list of images is trusted; images change by the day."""
_RESUMABLE = 86400.0
"""Seconds after which a refresh that broke off is begun anew."""
_MANY = 1000
"""Images above which the parts of a list are fetched from the start."""
_SHORT = 100
"""Images up to which a list is asked for as any other."""
_TOGETHER = 4
"""Batches that are written in one transaction: each rewrites most pages of the index of keys."""
_GATHERING = 0.3
"""Seconds for which a batch waits for the next one before it is written, once the list is long."""
_LONG = 10_000
"""Images after which a kill may lose some of them."""
_WAITING = 2
"""Batches that wait."""
_OFTEN = 0.5
"""Seconds between two reports."""


class Tally:
    """What a refresh has found so far: images that came, those of them that are new or changed, and those gone."""

    def __init__(self) -> None:
        self.seen = self.changed = self.gone = 0
        self.continued = False


def is_paged(ctx: Context, cloud: str) -> bool:
    """Whether a cloud gives its images in long lists. Raises nothing."""
    try:
        return issubclass(ctx.cloud_class(cloud), ImagePages)
    except CloudmsError:
        return False


def walk(
    ctx: Context, cloud: Cloud, query: ImageQuery | None = None, tally: Tally | None = None
) -> Iterator[Sequence[Image]]:
    """Bring the images of a query (without one: those usually listed) into the catalog, and yield them as they come.

    Raises, after all that came and is kept: what keeps the rest from coming.
    """
    paged: Any = cloud
    found = tally or Tally()
    refreshes = [_Refresh(ctx, paged, one, found, usual=query is None) for one in paged.image_queries(query)]
    if query is None:
        _forget_others(ctx, cloud.name, {refresh.key for refresh in refreshes})
    for refresh in refreshes:
        yield from refresh.batches()


def _forget_others(ctx: Context, cloud: str, keys: Collection[str]) -> None:
    """Forget how far lists have come that are no longer the usual ones, since regions or owners were set anew."""
    rows = ctx.catalog.find(KIND, cloud=cloud)
    ctx.catalog.delete(KIND, [row.key for row in rows if row.document["own"] and row.key not in keys])


def progress_of(ctx: Context, clouds: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what is known of refreshes of images of `clouds`: when they were complete, or what is missing."""
    for cloud in clouds:
        for row in ctx.catalog.find(KIND, cloud=cloud):
            yield row.document


def trusted(ctx: Context, clouds: Sequence[str]) -> list[str]:
    """Return the clouds whose own images, a long list, were completely listed within the last hour.

    None where `refresh` is set; a short list is asked for as any other.
    """
    if ctx.config.source("refresh") != "built in":
        return []
    now, young = ctx.clock.now(), []
    for cloud in clouds:
        own = [row for row in progress_of(ctx, [cloud]) if row["own"]] if is_paged(ctx, cloud) else []
        long = any((row["usual"] or 0) > _SHORT for row in own)
        if long and all(not row["parts"] and now - (row["sealed"] or 0.0) < YOUNG for row in own):
            young.append(cloud)
    return young


def incomplete(ctx: Context, clouds: Sequence[str]) -> dict[str, CloudmsError]:
    """Return by cloud what is missing of a list that broke off."""
    found: dict[str, CloudmsError] = {}
    for row in progress_of(ctx, clouds):
        if row["parts"]:
            cloud, why = str(row["cloud"]), str(row.get("error") or "it was interrupted")
            found[cloud] = NotReady(
                f"the list of images is incomplete, {row['parts']} parts are missing: {why}",
                hint="cms image refresh goes on where it broke off",
                details={"cloud": cloud, "parts": row["parts"], "images": row["count"], "region": row["region"]},
            )
    return found


class _Refresh:
    """One query of one region."""

    def __init__(self, ctx: Context, cloud: Any, query: ImageQuery, tally: Tally, *, usual: bool) -> None:
        self.ctx, self.cloud, self.query, self.tally = ctx, cloud, query, tally
        self.scope = Scope(kind="image", cloud=cloud.name, region=query.region, query=text_of(query))
        self.key = f"image/{cloud.name}/{query.region}/{self.scope.query}"
        stored = ctx.catalog.get(KIND, self.key)
        self.before: Mapping[str, Any] = stored.document if stored else {}
        self.own = usual or bool(self.before.get("own"))
        self.count = self._first = 0
        self._begun = self._reported = 0.0

    def batches(self) -> Iterator[Sequence[Image]]:
        """Yield the images as they arrive; when all have come, forget those that are gone."""
        _few_arenas()
        left = self._left()
        generation = self._generation(left)
        writer = _Writer(self, generation, left)
        complete = False
        many = int(self.before.get("usual") or 0) > _MANY or not (self.query.owners or self.query.text)
        try:
            with seldom:
                for batch in self.cloud.walk_images(self.query, left, many=many):
                    self._count(batch)
                    writer.put(batch.images, batch.left)
                    complete = batch.last
                    if batch.images:
                        yield batch.images
                    if self.ctx.stopping.is_set():
                        raise Interrupted("stopped on request")
        except CloudmsError as error:
            writer.close()
            self.note(generation, writer.left, error=error.message)
            raise
        finally:
            writer.close()
        if complete:
            self._seal(generation)

    def _count(self, batch: ImageBatch) -> None:
        self.count += len(batch.images)
        self.tally.seen += len(batch.images)
        self._report()

    def _left(self) -> Mapping[str, Any] | None:
        """Return what an earlier refresh left to do, unless that is too long ago."""
        young = self.ctx.clock.now() - float(self.before.get("started") or 0.0) < _RESUMABLE
        left: Mapping[str, Any] | None = self.before.get("left") if young and self.before.get("parts") else None
        return left

    def _generation(self, left: Mapping[str, Any] | None) -> Generation:
        """Return the generation to go on with, or begin one."""
        if left:
            self.tally.continued = True
            self.count = int(self.before["count"])
            return Generation(
                scope=self.scope, number=int(self.before["number"]), started=float(self.before["started"])
            )
        return self.ctx.catalog.begin(self.scope, now=self.ctx.clock.now())

    def _seal(self, generation: Generation) -> None:
        now = self.ctx.clock.now()
        gone = self.ctx.catalog.seal(generation, now=now, alone=False)
        self.tally.gone += len(gone)
        self.note(generation, None, sealed=now)

    def note(self, generation: Generation, left: Any, *, sealed: float | None = None, error: str = "") -> None:
        """Write down how far it has come."""
        document = {
            "name": "image", "cloud": self.cloud.name, "region": self.query.region, "query": self.scope.query,
            "own": self.own, "number": generation.number, "started": generation.started, "count": self.count,
            "usual": self.count if sealed else self.before.get("usual"), "error": error,
            "sealed": sealed or self.before.get("sealed"), "left": left,
            "parts": len(left["parts"]) if left else 0,
        }  # fmt: skip
        self.ctx.catalog.put(KIND, {self.key: document})

    def _report(self) -> None:
        now = self.ctx.clock.monotonic()
        if not self._begun:
            self._begun, self._reported, self._first = now, now, self.count
        if now - self._reported >= _OFTEN:
            self._reported = now
            rate = (self.count - self._first) / (now - self._begun)
            usual = int(self.before.get("usual") or 0)
            of = f" of about {usual:,}" if usual > self.count else ""
            self.ctx.progress(self.cloud.name, f"{self.count:,}{of} images, {rate:,.0f}/s")


class _Writer:
    """Writes batches in a thread of its own, several at a time."""

    def __init__(self, refresh: _Refresh, generation: Generation, left: Any) -> None:
        self.left = left
        self._refresh, self._generation = refresh, generation
        from queue import Queue  # nobody who only looks waits for its parts

        self._queue: Queue[tuple[Apart, Any] | None] = Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="image-writer", daemon=True)
        self._thread.start()

    def put(self, images: Sequence[Image], left: Any) -> None:
        """Hand over a batch. Raises: what went wrong with an earlier one."""
        if self._error is not None:
            self.close()
        # Taken apart here: these rows take a third of the memory, and this thread would only wait. The fields of an
        # image are JSON as they are.
        self._queue.put((take_all_apart("image", {image.key: vars(image) for image in images}), left))

    def close(self) -> None:
        """Wait until all is written. Raises: what went wrong."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        from queue import Empty

        ended = False
        while not ended:
            batches = [self._queue.get()]
            with suppress(Empty):
                while len(batches) < _TOGETHER and batches[-1] is not None:
                    wait = self._refresh.count > _LONG
                    batches.append(self._queue.get(wait, _GATHERING))
            ended = batches[-1] is None
            if self._error is None:
                try:
                    self._write([batch for batch in batches if batch is not None])
                except Exception as error:  # noqa: BLE001 (raised by the thread that hands over)
                    self._error = error
            del batches  # a thread that waits must not keep thousands of rows

    def _write(self, batches: list[tuple[Apart, Any]]) -> None:
        rows = Apart(chain.from_iterable(some.items() for some, _ in batches))
        catalog, tally = self._refresh.ctx.catalog, self._refresh.tally
        if rows:
            tally.changed += catalog.absorb(self._generation, rows)
        states = [left for _, left in batches if left is not None]
        if states and states[-1] != self.left:
            self.left = states[-1]
            self._refresh.note(self._generation, self.left)


def _few_arenas() -> None:
    """Let the threads of this process share two arenas of glibc's memory: one for each takes 10 to 20 MB more.

    M_ARENA_MAX of mallopt(3); other systems have nothing of the kind and need nothing.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-8, 2)


def text_of(query: ImageQuery) -> str:
    """Return what tells a query from others; everything there is has none."""
    said = (("owners", ",".join(sorted(query.owners))), ("arch", query.arch), ("text", query.text))
    return " ".join(f"{name}={value}" for name, value in said if value)
