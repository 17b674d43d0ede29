"""The application: a route for every verb, the streams of operations, the numbers, behind one gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Place

from cloudms.context import Context
from cloudms.doors.rest import requests
from cloudms.doors.rest.answer import Answerer
from cloudms.doors.rest.asking import Question, Reader
from cloudms.doors.rest.bearer import Token
from cloudms.doors.rest.desk import Desk
from cloudms.doors.rest.events import Teller
from cloudms.doors.rest.gate import Gate
from cloudms.doors.rest.journal import Journals
from cloudms.doors.rest.log import Log
from cloudms.doors.rest.looks import Looks
from cloudms.doors.rest.metrics import Metrics
from cloudms.doors.rest.openapi import document
from cloudms.doors.rest.replies import TAR, TEXT, as_json, bug, of_framework, refusal, warned
from cloudms.doors.rest.routes import EVENTS, Route, instead, routes
from cloudms.doors.rest.streams import EVENTS as STREAM
from cloudms.doors.rest.streams import LINES, Lines, beating
from cloudms.doors.rest.work import Work
from cloudms.engine.archive import Archive
from cloudms.errors import CloudmsError

REQUESTS = 32
"""Requests that work in threads at one time; more of them wait."""
CHANGES = 8
"""Changes that are carried out at one time; more of them wait."""
_LOOK_S = 1.0
"""Seconds between looks at whether a client still waits for what takes long."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Door:
    """The REST door over one context.

    Parameters: `allowed`, names of this service beside those of this machine; `width`, changes carried out at once.
    """

    def __init__(
        self, ctx: Context, token: Token, *, log: Log, allowed: tuple[str, ...] = (), width: int = CHANGES
    ) -> None:
        self.desk = Desk(ctx)
        self.log = log
        self.metrics = Metrics(self.desk)
        self.journals = Journals()
        self.work = Work(self.desk, self.journals, self.metrics, log, width)
        self.metrics.running.set_function(lambda: self.work.running)
        self.routes = list(routes())
        self._answers = Answerer(self.work, self.metrics, requests.Once(self.desk), Looks(ctx.clock))
        self._teller = Teller(self.desk, self.journals, self.work.closing.is_set)
        self.app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=self._life)
        self._stand_up()
        self.gate = Gate(
            self.app,
            token=token,
            log=log,
            metrics=self.metrics,
            clock=ctx.clock,
            paths=[route.path for route in self.routes] + ["/metrics", "/openapi.json", "/healthz"],
            allowed=allowed,
        )

    def _stand_up(self) -> None:
        places = [Place(r.path, self._endpoint(r), methods=[r.method], name=r.name) for r in self.routes]
        places.append(Place(f"{EVENTS}{{name}}", self._events, methods=["GET"]))
        places.append(Place("/metrics", self._numbers, methods=["GET"]))
        places.append(Place("/openapi.json", self._openapi, methods=["GET"]))
        places.append(Place("/healthz", _healthy, methods=["GET"]))
        self.app.router.routes.extend(places)
        self.app.router.redirect_slashes = False
        self.app.add_exception_handler(HTTPException, self._refused)
        self.app.add_exception_handler(CloudmsError, _told)
        self.app.add_exception_handler(ClientDisconnect, _gone)
        self.app.add_exception_handler(Exception, _broken)

    @asynccontextmanager
    async def _life(self, _app: FastAPI) -> AsyncIterator[None]:
        """Carry changes out until the service stops, and then let their calls end."""
        self._threads = CapacityLimiter(REQUESTS)
        self._lines = CapacityLimiter(LINES)
        yield
        await to_thread.run_sync(self.work.close)
        self.desk.close()

    def _endpoint(self, route: Route) -> Endpoint:
        reader = Reader(route)

        async def endpoint(request: Request) -> Response:
            question = await reader.read(request)
            if route.verb.streams:
                return await self._stream(request, route, question)
            if route.sends:
                return await self._archive(route, question)
            if not route.changes:
                return await self._read(request, route, question)
            key = requests.checked(request.headers.get("idempotency-key"))
            return await to_thread.run_sync(self._change, route, question, key, limiter=self._threads)

        return endpoint

    async def _read(self, request: Request, route: Route, question: Question) -> Response:
        """Answer a reading verb; it is asked to stop when the client has gone or the service ends."""
        with self.desk.context() as ctx:
            work = asyncio.ensure_future(
                to_thread.run_sync(self._answers.read, ctx, route, question, limiter=self._threads)
            )
            while True:
                done, _ = await asyncio.wait({work}, timeout=_LOOK_S)
                if done:
                    return work.result()
                if self.work.closing.is_set() or await request.is_disconnected():
                    ctx.stop()

    def _change(self, route: Route, question: Question, key: str) -> Response:
        begun = False
        try:
            with self.desk.context() as ctx:
                response = self._answers.change(ctx, route, question, key)
                begun = response.status_code == 202 and "idempotent-replayed" not in response.headers
                return response
        except CloudmsError as error:
            if question.uploads:
                error.message = question.uploads.hidden(error.message)
            raise
        finally:
            if question.uploads and not begun:
                question.uploads.drop()

    async def _stream(self, request: Request, route: Route, question: Question) -> Response:
        """Answer with lines as they come where that is asked for, else with all of them."""
        events = STREAM in request.headers.get("accept", "")
        if not events and not question.values.get("follow"):
            return await self._read(request, route, question)
        opened = ExitStack()
        ctx = opened.enter_context(self.desk.context())
        rows = iter(route.verb.function(ctx, **question.values))
        lines = Lines(ctx, rows, opened, limiter=self._lines, closing=self.work.closing.is_set)
        await lines.begin()
        if events:
            return StreamingResponse(beating(lines.events(self.log, route.path)), media_type=STREAM)
        return StreamingResponse(lines.text(), media_type=TEXT)

    async def _archive(self, route: Route, question: Question) -> Response:
        """Answer with files, as an archive that is made while it goes out."""
        opened = ExitStack()
        ctx = opened.enter_context(self.desk.context())
        try:
            made: Archive = await to_thread.run_sync(
                lambda: route.function(ctx, **question.values), limiter=self._threads
            )
        except BaseException:
            opened.close()
            raise
        chunks = Lines(ctx, made.chunks, opened, limiter=self._lines, closing=self.work.closing.is_set)
        await chunks.begin()
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(made.name, safe='')}.tar"}
        return StreamingResponse(chunks.content(), media_type=TAR, headers={**headers, **warned(ctx.warnings)})

    async def _events(self, request: Request) -> Response:
        return await self._teller.answer(request.path_params["name"], request.headers.get("last-event-id", ""))

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for these alone)
        return of_framework(error, instead(request.url.path, self.routes) if error.status_code == 404 else "")

    async def _numbers(self, _request: Request) -> Response:
        text = await to_thread.run_sync(self.metrics.text, limiter=self._threads)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _request: Request) -> Response:
        return as_json(await to_thread.run_sync(lambda: self.document))

    @cached_property
    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        return document(self.routes)


async def _healthy(_request: Request) -> Response:
    return Response("ok\n", media_type=TEXT)


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CloudmsError)  # noqa: S101 (it is registered for these alone)
    return refusal(error)


async def _gone(_request: Request, _error: Exception) -> Response:
    """Return what nobody hears any more; the log says it."""
    return Response(status_code=499)


async def _broken(_request: Request, error: Exception) -> Response:
    return bug(error)
