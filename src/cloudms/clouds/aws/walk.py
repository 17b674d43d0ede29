"""Fetching a long list with several walkers at once, each on a part of its own, so that nothing is lost.

The first page of the whole list is asked for beside the parts. When it is the only page, the list is complete. Else its
rows are the proof: each of them must come again with some part. Where one does not (the service understands no such
pattern), the list is cut in the next way, and in the end walked from page to page.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudms.clock import Clock
from cloudms.clouds.aws.parts import CUTS, UNDATED, VALUES, Cut, Part
from cloudms.clouds.aws.wire import Wire
from cloudms.errors import CloudmsError, Interrupted, Invalid, NotReady, Throttled, Unsupported
from cloudms.record import Record

PAGE = 1000
"""Images of one page: as many as EC2 gives."""
_AHEAD = 4
"""Pages and ends of parts that wait to be taken; walkers wait while there are more, so that memory stays small."""
_GIVE_UP = 3
"""Parts that fail one after another, without a page in between, before the rest is left alone."""
_WHOLE: Part = ()
"""The part that is everything."""
_PAGES = "pages"
"""The way that is left when nothing cuts the list: one page after another."""


class Batch(Record):
    """What a walk brings: `rows` as boto3 describes images; `left`, when that has changed, what is still to do once all
    rows so far are kept (JSON); `last`, whether the list is complete.
    """

    rows: Any = ()
    left: Any = None
    last: bool = False


class Walk:
    """One list of images. Iterating yields batches; their order means nothing.

    Parameters: `wire`, the region; `params`, what DescribeImages is asked; `walkers`, how many at once; `left`, what an
    earlier walk left to do; `many`, whether more than a page is expected, so that the parts begin at once.
    """

    def __init__(
        self, wire: Wire, params: Mapping[str, Any], clock: Clock, *, walkers: int = 12,
        left: Mapping[str, Any] | None = None, many: bool = False,
    ) -> None:  # fmt: skip
        self._wire, self._params, self._clock, self._walkers = wire, dict(params), clock, max(walkers, 1)
        self._many = many
        left = left if left and left.get("parts") else {}
        self._cut: Cut | None = next(iter(CUTS.values())) if left.get("by") != _PAGES else None
        self._cut = CUTS.get(left.get("by", ""), self._cut)
        self._parts = [tuple(part) for part in left.get("parts", ())]
        self._sample: set[str] | None = set(left["sample"]) if left else None
        self._seen: set[str] = set()
        self._todo: deque[Part] = deque()
        self._open: list[Part] = []
        self._missed: list[Part] = []
        self._pages: dict[Part, int] = {}
        self._changed = threading.Condition()
        self._out: queue.Queue[tuple[str, Part, Any]] = queue.Queue(_AHEAD)
        self._over = self._refused = False
        self._failures = 0
        self._error: CloudmsError | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches. Raises, after all that came: the first error for which a part is missing."""
        for number in range(self._walkers):
            threading.Thread(target=self._work, name=f"walk-{number}", daemon=True).start()
        try:
            self._add(self._parts or [_WHOLE, *(self._first() if self._many else ())])
            yield from self._stages()
        finally:
            self._stop()
        if self._error is not None:
            raise self._error
        yield Batch(last=True)

    def _stages(self) -> Iterator[Batch]:
        """Yield batches, cutting the list in the next way as often as rows are missing."""
        while True:
            while self._open and not self._over:
                yield from self._heard(*self._out.get())
            if self._over or self._error is not None:
                return
            missing = self._missing()
            if not missing and not self._refused:
                return
            self._sample, self._refused = missing, False
            names = list(CUTS)
            following = names[names.index(self._cut.name) + 1 :] if self._cut else []
            self._cut = CUTS[following[0]] if following else None
            self._add(self._first())
            yield Batch(left=self._left())

    def _first(self) -> list[Part]:
        return self._cut.first(self._walkers, self._clock.now()) if self._cut else [_WHOLE]

    def _heard(self, what: str, part: Part, found: Any) -> Iterator[Batch]:
        """Yield what a walker brought, and note what is done."""
        if what == "page":
            self._failures = 0
            yield from self._page(part, found)
            self._wire.release()
            return
        self._open.remove(part)
        if what == "cut":
            self._add(found)
        elif what == "done":
            self._pages[part] = found  # a copy of it decides in other threads what is large
        else:
            self._failed(part, found)
        if self._sample is not None:
            yield Batch(left=self._left())

    def _page(self, part: Part, page: Mapping[str, Any]) -> Iterator[Batch]:
        """Yield the rows of a page; the first page of all says whether there are parts at all."""
        rows = page.get("Images") or []
        idents = {str(row.get("ImageId")) for row in rows}
        known: set[str] = set()
        if part == _WHOLE and self._cut is not None:
            self._over = not page.get("NextToken")
            self._sample, known, self._seen = idents - self._seen, self._seen & idents, set()
            if not self._over and not self._many:
                self._add(self._first())
        elif self._sample is not None:
            known = self._sample & idents
            self._sample -= idents
        else:
            self._seen |= idents
        yield Batch(rows=[row for row in rows if row.get("ImageId") not in known] if known else rows)

    def _failed(self, part: Part, error: Exception) -> None:
        """Note what is missing; one that concerns all parts, or several in a row, ends the walk. Raises: a bug."""
        if not isinstance(error, CloudmsError):
            raise error
        if isinstance(error, Invalid | Unsupported) and part != _WHOLE:
            self._refused = self._refused or part != UNDATED
            return
        self._error = self._error or error
        self._missed.append(part)
        self._failures += 1
        hopeless = not isinstance(error, NotReady | Throttled) or self._failures >= _GIVE_UP or part == _WHOLE
        if hopeless:
            with self._changed:
                self._missed += self._todo
                self._open = [each for each in self._open if each not in self._todo]
                self._todo.clear()

    def _missing(self) -> set[str]:
        """Return images of the first page that no part brought although they are still there. Raises: any error."""
        wanted, found = sorted(self._sample or ()), set()
        for start in range(0, len(wanted), VALUES):
            filters = [{"Name": "image-id", "Values": wanted[start : start + VALUES]}]
            page = self._wire.page("DescribeImages", {**self._params, "Filters": filters})
            found |= {str(row.get("ImageId")) for row in page.get("Images") or ()}
        return found

    def _left(self) -> dict[str, Any]:
        parts = [list(part) for part in (*self._missed, *self._open) if part != _WHOLE or self._cut is None]
        return {"by": self._cut.name if self._cut else _PAGES, "parts": parts, "sample": sorted(self._sample or ())}

    def _add(self, parts: Sequence[Part]) -> None:
        with self._changed:
            self._open += parts
            self._todo.extend(parts)
            self._changed.notify_all()

    def _stop(self) -> None:
        self._wire.pace.stop()
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        """Walk parts until there are none (the work of one thread)."""
        try:
            while (part := self._take()) is not None:
                self._walk(part)
        except Interrupted:
            pass
        finally:
            self._wire.close()

    def _take(self) -> Part | None:
        with self._changed:
            while not self._todo and not self._wire.pace.stopped.is_set():
                self._changed.wait()
            return None if self._wire.pace.stopped.is_set() else self._todo.popleft()

    def _walk(self, part: Part) -> None:
        """Bring the pages of a part. Raises: Interrupted."""
        params, pages = self._asked(part), 0
        first_only = part == _WHOLE and self._cut is not None
        while True:
            try:
                page = self._wire.page("DescribeImages", params, hold=True, ahead=not first_only)
            except Interrupted:
                raise
            except Exception as error:  # noqa: BLE001 (the thread that iterates raises it)
                self._put("failed", part, error)
                return
            pages += 1
            params["NextToken"] = page.get("NextToken")
            self._put("page", part, page)
            del page  # a thread that waits for the next one must not keep a thousand rows
            if not params["NextToken"] or first_only:
                self._put("done", part, pages)
                return
            if smaller := self._smaller(part, pages):
                self._put("cut", part, smaller)
                return

    def _smaller(self, part: Part, pages: int) -> list[Part]:
        """Return the parts of one that is large, while there are walkers who would else have nothing to do."""
        if self._cut is None or len(self._todo) >= self._walkers:
            return []
        return self._cut.smaller(part) if self._cut.large(part, pages, dict(self._pages)) else []

    def _asked(self, part: Part) -> dict[str, Any]:
        filters = list(self._params.get("Filters", ()))
        if part:
            filters.append({"Name": "creation-date", "Values": list(part)})
        return {**self._params, **({"Filters": filters} if filters else {}), "MaxResults": PAGE}

    def _put(self, what: str, part: Part, found: Any) -> None:
        while not self._wire.pace.stopped.is_set():
            try:
                self._out.put((what, part, found), timeout=0.5)
                return
            except queue.Full:
                continue
        raise Interrupted("stopped on request")
