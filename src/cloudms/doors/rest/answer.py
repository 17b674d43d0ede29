"""What comes of a request: the verb is called, and its result becomes a reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response

from cloudms.clock import iso
from cloudms.context import Context
from cloudms.doors.outcome import of_listing, public_plan
from cloudms.doors.rest import pages
from cloudms.doors.rest.asking import Question
from cloudms.doors.rest.looks import Looks
from cloudms.doors.rest.metrics import Metrics
from cloudms.doors.rest.pages import Cursor
from cloudms.doors.rest.replies import as_json, as_text, warned
from cloudms.doors.rest.requests import Once, digest
from cloudms.doors.rest.routes import PREFIX, Route
from cloudms.doors.rest.work import Work
from cloudms.doors.view import public
from cloudms.engine import rehearse
from cloudms.engine.plan import Listing, Plan
from cloudms.model import Operation
from cloudms.record import Record

_MARGIN = 64
"""How many things may have been added before a page, and it is still found without looking at the whole list."""


class Answerer:
    """Calls verbs and writes replies; it works in threads, many at a time."""

    def __init__(self, work: Work, metrics: Metrics, once: Once, looks: Looks) -> None:
        self._looks = looks
        self._work = work
        self._metrics = metrics
        self._once = once

    def read(self, ctx: Context, route: Route, question: Question) -> Response:
        """Answer a reading verb. Raises what the verb raises."""
        if route.lists:
            return self._page(ctx, route, question)
        return self._anything(ctx, route, route.verb.function(ctx, **question.values))

    def _anything(self, ctx: Context, route: Route, result: Any) -> Response:
        if isinstance(result, Listing):
            return self._listing(ctx, route, Question(values={}), result)
        if isinstance(result, str):
            return as_text(result, warned(ctx.warnings))
        if isinstance(result, list | tuple):
            return as_json(_list(ctx, [public(row) for row in result]))
        if isinstance(result, Record | Mapping):
            return as_json(public(result), headers=warned(ctx.warnings))
        if isinstance(result, Iterator):
            return gathered(ctx, list(result))
        return as_text("" if result is None else str(result), warned(ctx.warnings))

    def _page(self, ctx: Context, route: Route, question: Question) -> Response:
        """Answer with one page; of a list that begins with the newest only as much is made as the page needs."""
        cursor = pages.read(question.after) if question.after else None
        kept = self._looks.find(cursor.look, route.path, question.values) if cursor and cursor.look else None
        if kept is not None:
            return self._listing(ctx, route, question, kept.with_(cached=True), cursor, same=True)
        limit = (cursor.place if cursor else 0) + question.limit + _MARGIN if route.verb.newest else 0
        listing = self._listed(ctx, route, question, limit)
        if cursor and limit and len(listing.items) >= limit and not pages.found(listing.items, cursor):
            listing = self._listed(ctx, route, question, 0)
        return self._listing(ctx, route, question, listing, cursor)

    def _listed(self, ctx: Context, route: Route, question: Question, limit: int) -> Listing:
        cut = {"limit": limit} if route.cuts else {}
        found: Listing = route.verb.function(ctx, **question.values, **cut)
        return found

    def _listing(
        self,
        ctx: Context,
        route: Route,
        question: Question,
        listing: Listing,
        cursor: Cursor | None = None,
        *,
        same: bool = False,
    ) -> Response:
        """Return a page of a list. Raises: the error of the clouds when all that were asked gave the same."""
        if not same:
            self._metrics.silent(listing.failed)
        if listing.failed and not listing.items:
            problem = of_listing(listing, ctx.cloud_names(str(question.values.get("cloud") or "")))
            if problem is not None and problem.code != "partial":
                raise problem
        if route.changes:
            return as_json(_list(ctx, [public(item) for item in listing.items], listing))
        shown, after = pages.page(listing.items, cursor, question.limit, same=same)
        if after is not None and not route.verb.newest:
            look = cursor.look if cursor and same else self._looks.keep(route.path, question.values, listing)
            after = after.with_(look=look)
        headers = {"cms-partial": ",".join(listing.failed)} if listing.failed else {}
        return as_json(
            _list(ctx, [public(item) for item in shown], listing, after.written() if after else None), headers=headers
        )

    def change(self, ctx: Context, route: Route, question: Question, key: str) -> Response:
        """Begin what a changing verb plans, or show it. Raises what the verb and the engine raise."""
        if question.dry_run or not key:
            return self._planned(ctx, route, question, {})
        asked = digest(route.path, question)
        with self._once.held(key):
            known = self._once.known(key, asked)
            if known is not None:
                return accepted(known, (), ctx.warnings, {"idempotent-replayed": "true"})
            return self._planned(ctx, route, question, self._once.labels(key, asked))

    def _planned(self, ctx: Context, route: Route, question: Question, labels: Mapping[str, str]) -> Response:
        result = route.verb.function(ctx, **question.values)
        if not isinstance(result, Plan):
            return self._anything(ctx, route, result)
        if question.dry_run:
            return as_json({**public_plan(rehearse(ctx, result)), "warnings": list(ctx.warnings)})
        operation = self._work.begin(result, labels, question.uploads)
        return accepted(operation, result.notes, ctx.warnings, {})


def accepted(operation: Operation, notes: tuple[str, ...], warnings: list[str], headers: Mapping[str, str]) -> Response:
    """Return the reply to a change that has begun; Location is where its record can be read."""
    told = {
        "kind": "accepted",
        "schema": 1,
        "operation": operation.to_public(),
        "notes": list(notes),
        "warnings": list(warnings),
    }
    where = f"{PREFIX}/operation/show?name={operation.name}"
    return as_json(told, 202, {"location": where, **headers})


def gathered(ctx: Context, rows: list[Any]) -> Response:
    """Return all that a streaming verb gave: lines as text, anything else as a list."""
    if all(isinstance(row, str) for row in rows):
        return as_text("".join(line if line.endswith("\n") else f"{line}\n" for line in rows), warned(ctx.warnings))
    return as_json(_list(ctx, [public(row) for row in rows]))


def _list(ctx: Context, items: list[Any], listing: Listing | None = None, after: str | None = None) -> dict[str, Any]:
    fetched = listing.fetched if listing else None
    return {
        "kind": "list",
        "schema": 1,
        "items": items,
        "fetched": iso(fetched),
        "age_seconds": None if fetched is None else round(max(ctx.clock.now() - fetched, 0.0), 3),
        "cached": bool(listing and listing.cached),
        "failed": dict(listing.failed) if listing else {},
        "next": after,
        "warnings": list(ctx.warnings),
    }
