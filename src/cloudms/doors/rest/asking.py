"""What a client asks, read from query, JSON body or multipart form into the values of a verb's parameters."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cloudms.doors.rest.models import PAGE, PAIRS, Asked, model, refused, spelled, values
from cloudms.doors.rest.routes import Route
from cloudms.doors.rest.uploads import Uploads
from cloudms.errors import Invalid
from cloudms.record import Record

_FIELDS = 2000
"""Fields and files of one form at most."""


class Question(Record):
    """What was asked of a verb: its `values`, the page of a list, and whether a change is only to be shown."""

    values: dict[str, Any]
    limit: int = PAGE
    after: str = ""
    dry_run: bool = False
    uploads: Uploads | None = None


class Reader:
    """Reads the requests of one route."""

    def __init__(self, route: Route) -> None:
        self.route = route

    @cached_property
    def model(self) -> type[Asked]:
        """Return the model, made at the first request."""
        return model(self.route)

    async def read(self, request: Request) -> Question:
        """Return what is asked. Raises: Invalid, HTTPException (a kind of body that is not read here)."""
        if self.route.method == "GET":
            return self._question(self._checked(self._gathered(request.query_params.multi_items())))
        if request.query_params:
            name = next(iter(request.query_params))
            raise Invalid(f"'{name[:80]}' stands in the query", hint="a change takes its parameters in the body")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data" and self.route.files:
            return await self._form(request)
        return await self._json(request, kind)

    async def _json(self, request: Request, kind: str) -> Question:
        body = await request.body()
        if body and kind != "application/json":
            accepted = "multipart/form-data or application/json" if self.route.files else "application/json"
            raise HTTPException(415, f"this takes {accepted}")
        missing = [spelled(p) for p in self.route.files if p.required]
        if missing:
            raise Invalid(f"{missing[0]} is missing", hint="send it as a file of a multipart/form-data body")
        try:
            return self._question(self.model.model_validate_json(body or b"{}", strict=True))
        except ValidationError as error:
            raise self._refused(error) from None

    async def _form(self, request: Request) -> Question:
        """Read a form whose files are uploads; they are kept until the change that reads them has ended."""
        files = {spelled(p): p for p in self.route.files}
        if not _is_whole(await request.body(), request.headers["content-type"]):
            raise HTTPException(400, "the form ends before its last boundary")
        async with request.form(max_files=len(files), max_fields=_FIELDS) as form:
            items = form.multi_items()
            sent = [(name, value) for name, value in items if isinstance(value, UploadFile)]
            found = self._checked(self._gathered((n, v) for n, v in items if isinstance(v, str)))
            self._check_files(files, [name for name, _ in sent])
            contents = {files[name].name: await value.read() for name, value in sent}
        uploads = Uploads()
        paths: dict[str, Path] = {name: uploads.keep(content) for name, content in contents.items()}
        question = self._question(found)
        return question.with_(values={**question.values, **paths}, uploads=uploads)

    def _check_files(self, files: dict[str, Any], sent: list[str]) -> None:
        unknown = [name for name in sent if name not in files]
        if unknown or len(set(sent)) != len(sent):
            raise Invalid(f"'{(unknown or sent)[0][:80]}' is not one file", hint=f"files: {', '.join(files)}")
        missing = [name for name, parameter in files.items() if parameter.required and name not in sent]
        if missing:
            raise Invalid(f"{missing[0]} is missing", hint="send it as a file of the form")

    def _checked(self, given: dict[str, Any]) -> Asked:
        try:
            return self.model.model_validate(given)
        except ValidationError as error:
            raise self._refused(error) from None

    def _refused(self, error: ValidationError) -> Invalid:
        known = [field.alias or "" for field in self.model.model_fields.values()]
        return refused(error, known, f"cms {self.route.verb.name}")

    def _gathered(self, items: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return words as the model takes them: repeated ones as lists, KEY=VALUE ones as objects."""
        many = {spelled(p): p for p in self.route.parameters if p.many or p.type == "dict"}
        found: dict[str, Any] = {}
        pairs = 0
        for name, value in items:
            if name not in many:
                if name in found:
                    raise Invalid(f"{name[:80]} is given twice", hint="it takes one value")
                found[name] = value
            elif many[name].type == "dict":
                key, equals, word = value.partition("=")
                if not equals:
                    raise Invalid(f"{name}: '{value[:80]}' is not of the form key=value", hint=f"{name}=tier=web")
                pairs += 1
                if pairs > PAIRS:
                    raise Invalid(f"more than {PAIRS} of {name} are given", hint="ask with fewer")
                found.setdefault(name, {})[key] = word
            else:
                found.setdefault(name, []).append(value)
        return found

    def _question(self, found: Asked) -> Question:
        given = values(found)
        page = {name: given.pop(name) for name in ("limit", "after") if self.route.lists and name in given}
        after = page.pop("after", None) or ""
        dry_run = bool(given.pop("dry_run", False)) if self.route.changes else False
        return Question(values=given, after=after, dry_run=dry_run, **page)


def _is_whole(body: bytes, kind: str) -> bool:
    """Whether a form has its last boundary: the parser leaves out in silence the file that was cut off before it."""
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    return b"--" + boundary + b"--" in body
