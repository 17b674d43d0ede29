"""The description of the whole interface (OpenAPI 3.1), made from the verbs when it is asked for."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from cloudms import __version__, registry
from cloudms.doors.rest import schemas
from cloudms.doors.rest.examples import example, queried
from cloudms.doors.rest.models import PAIRS, model, spelled
from cloudms.doors.rest.replies import JSON, TAR
from cloudms.doors.rest.routes import EVENTS, Route
from cloudms.doors.rest.schemas import Schema, ref
from cloudms.doors.rest.streams import EVENTS as STREAM
from cloudms.errors import tree
from cloudms.model import Noun, nouns
from cloudms.record import Record

FORM = "multipart/form-data"
_TEXT = "text/plain"
_READING = (400, 401, 403, 404, 409, 422)
_CHANGING = (*_READING, 413, 415)
_FROM_CLOUDS = tuple(sorted({cls.http_status for cls in tree()} - set(_CHANGING)))
"""Statuses of errors that come from beyond the service."""
_INTRODUCTION = """\
Every command of cloudms over HTTP. The path is the command's words, `cms vm list` is `GET /v1/vm/list`; a command \
that changes something is a POST. Every error has one shape: \
`{"error": {"code", "message", "hint", "retryable", "details"}}`."""
_TOLD: Schema = {
    "type": "object",
    "description": "one event; `data` is JSON",
    "properties": {name: {"type": "string"} for name in ("event", "data", "id")},
    "required": ["event", "data"],
}
_PAIR: Schema = {"type": "string", "pattern": "^[^=\\x00-\\x1f\\x7f]+=[^\\x00-\\x1f\\x7f]*$", "maxLength": 4096}


def document(routes: list[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    paths = {route.path: {route.method.lower(): _operation(route)} for route in routes}
    words = list(dict.fromkeys(route.entry.path[0] for route in routes))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cloudms",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [
            *({"name": word, **_about(word)} for word in words),
            {"name": "service", "description": "This service"},
        ],
        "paths": {**paths, **_own_paths()},
        "components": {
            "schemas": {**schemas.components(), **dict(_bodies(routes))},
            "responses": _responses(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "the token of the file"}},
        },
    }


def _about(word: str) -> dict[str, str]:
    text = registry.index().texts.get(word, "")
    return {"description": text} if text else {}


def _operation(route: Route) -> dict[str, Any]:
    verb = route.verb
    about = {
        "operationId": route.name,
        "tags": [route.entry.path[0]],
        "summary": verb.summary,
        "description": "\n\n".join(part for part in (verb.text, f"On the command line: `{verb.example}`") if part),
    }
    if route.changes:
        return {**about, "parameters": [_once()], "requestBody": _body(route), "responses": _changing(route)}
    return {**about, "parameters": _query(route), "responses": _reading(route)}


# What is asked


def _once() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same key, sent again, is answered with the operation that it began",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _properties(route: Route) -> tuple[dict[str, Schema], list[str]]:
    """Return the schema of every parameter by its name, and the names of those that are required."""
    made = model(route).model_json_schema(by_alias=True)
    found = {name: _plain(schema) for name, schema in made.get("properties", {}).items()}
    return found, made.get("required", [])


def _plain(schema: Schema) -> Schema:
    """Return a schema without the titles that pydantic makes up."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    return {key: [_plain(v) for v in value] if key == "anyOf" else value for key, value in kept.items()}


def _query(route: Route) -> list[dict[str, Any]]:
    found, required = _properties(route)
    pairs = {spelled(p) for p in route.parameters if p.type == "dict"}
    shown = dict(queried(example(route)))
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", ""),
            "required": name in required,
            "schema": _pairs() if name in pairs else _said(schema),
            **({"example": shown[name]} if name in shown else {}),
        }
        for name, schema in found.items()
    ]


def _said(schema: Schema) -> Schema:
    """Return the schema of a parameter in a query or form, where nothing can be null: it is left out."""
    some = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if len(some) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**some[0], **rest}


def _pairs() -> Schema:
    return {"type": "array", "items": _PAIR, "maxItems": PAIRS}


def _body(route: Route) -> dict[str, Any]:
    needed = [p for p in route.files if p.required]
    shown = example(route)
    content: dict[str, Any] = {}
    if not needed:
        content[JSON] = {"schema": ref(_body_name(route)), "example": shown}
    if route.files:
        content[FORM] = {"schema": _form(route)}
    _found, required = _properties(route)
    return {"content": content, "required": bool(required or needed)}


def _body_name(route: Route) -> str:
    return f"{route.name}_request"


def _bodies(routes: list[Route]) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas of JSON bodies by their names."""
    for route in routes:
        if route.changes and not any(p.required for p in route.files):
            found, required = _properties(route)
            yield _body_name(route), _closed(found, required)


def _form(route: Route) -> Schema:
    found, required = _properties(route)
    pairs = {spelled(p) for p in route.parameters if p.type == "dict"}
    fields = {name: _pairs() if name in pairs else _said(schema) for name, schema in found.items()}
    files = {
        spelled(p): {"type": "string", "contentMediaType": "application/octet-stream", "description": p.text}
        for p in route.files
    }
    return _closed({**fields, **files}, [*required, *(spelled(p) for p in route.files if p.required)])


def _closed(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, "additionalProperties": False}


# What is answered


def _reading(route: Route) -> dict[str, Any]:
    return {"200": _read(route), **_errors(_READING)}


def _changing(route: Route) -> dict[str, Any]:
    shown = [ref("plan"), *([_listed(route)] if route.may_list else [])]
    return {
        "200": _json(
            shown[0] if len(shown) == 1 else {"oneOf": shown}, "What would be done (`dry_run`), or what was found"
        ),
        "202": {
            **_json(ref("accepted"), "It was written down and has begun"),
            "headers": {
                "Location": {"description": "where its record is", "schema": {"type": "string"}},
                "Idempotent-Replayed": {
                    "description": "`true` when the key was known and nothing was begun",
                    "schema": {"type": "string"},
                },
            },
        },
        **_errors(_CHANGING),
    }


def _listed(route: Route) -> Schema:
    if route.noun:
        return ref(f"{route.noun}_list")
    return schemas.of_list({"oneOf": [ref(kind) for kind in nouns()]})


def _read(route: Route) -> dict[str, Any]:
    if route.sends:
        return {"description": "A tar of the files", "content": {TAR: {"schema": {}}}}
    if route.lists:
        found = _json(_listed(route), "A page of the list")
        silent = {"description": "the clouds that did not answer", "schema": {"type": "string"}}
        return {**found, "headers": {"Cms-Partial": silent}}
    if route.verb.streams:
        lines = {_TEXT: {"schema": {"type": "string"}}, STREAM: {"schema": _TOLD}}
        return {"description": "Lines of text, or events `line`, `error` and `end`", "content": lines}
    returns = route.returns
    if returns is str:
        return {"description": "Text", "content": {_TEXT: {"schema": {"type": "string"}}}}
    if isinstance(returns, type) and issubclass(returns, Noun):
        return _json(ref(returns.kind), "What is known of it")
    if isinstance(returns, type) and issubclass(returns, Record):
        return _json(schemas.of_record(returns), "What is known of it")
    if typing.get_origin(returns) is list:
        return _json(schemas.of_list({"type": "object"}), "A list")
    return _json({"type": "object"}, "What is known of it")


def _json(schema: Schema, text: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}


def _errors(statuses: tuple[int, ...]) -> dict[str, Any]:
    every = sorted({*statuses, *_FROM_CLOUDS})
    return {str(status): ref(str(status), "responses") for status in every}


def _responses() -> dict[str, Any]:
    """Return what each status of an error means, by the classes that have it."""
    told = {
        400: "It is no HTTP that can be read, or longer than what is read",
        401: "No token, or not the right one",
        413: "The body is too large",
        415: "Another kind of body is needed",
    }
    for cls in tree():
        text = (cls.__doc__ or "").strip().partition("\n")[0]
        told[cls.http_status] = f"{told[cls.http_status]} {text}" if cls.http_status in told else text
    return {str(status): _json(ref("problem"), text) for status, text in sorted(told.items())}


# What is no verb


def _own_paths() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string"},
        "description": "go on after this event",
    }
    stream = {
        "operationId": "operation_events",
        "tags": ["operation"],
        "summary": "Follow a change until its end",
        "description": "Events `operation` (all of it, at once), `step`, `progress` and at last `end`. "
        "204 when the event named by Last-Event-ID was the end.",
        "parameters": [name, last],
        "responses": {
            "200": {"description": "Events", "content": {STREAM: {"schema": _TOLD}}},
            "204": {"description": "There is nothing more to tell"},
            **_errors(_READING),
        },
    }
    return {
        f"{EVENTS}{{name}}": {"get": stream},
        "/metrics": {"get": _own("metrics", "Numbers for Prometheus", {_TEXT: {"schema": {"type": "string"}}})},
        "/openapi.json": {"get": _own("openapi", "This document", {JSON: {"schema": {"type": "object"}}})},
        "/healthz": {
            "get": {
                **_own("healthz", "Whether the service runs", {_TEXT: {"schema": {"type": "string"}}}),
                "security": [],
            }
        },
    }


def _own(name: str, text: str, content: Mapping[str, Any]) -> dict[str, Any]:
    refused = {str(status): ref(str(status), "responses") for status in (401, 403)}
    return {
        "operationId": name,
        "tags": ["service"],
        "summary": text,
        "responses": {"200": {"description": text, "content": dict(content)}, **refused},
    }
