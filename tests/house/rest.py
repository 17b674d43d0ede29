"""The page of every request, made from the routes, and the curl lines on it as requests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudms.doors.rest.examples import example, files, queried
from cloudms.doors.rest.models import spelled
from cloudms.doors.rest.openapi import document
from cloudms.doors.rest.routes import Route, routes
from cloudms.record import Record
from cloudms.registry import VerbEntry
from tests.house.markdown import code, table

CURL = "curl -K ~/.cloudmesh/rest.curl"
JSON = "content-type: application/json"


def own_routes() -> list[Route]:
    """Return the routes without what plug-ins of this machine have added."""
    return [route for route in routes() if _is_ours(route.entry)]


def _is_ours(entry: VerbEntry) -> bool:
    return entry.module.startswith("cloudms.")


def requests() -> Iterator[str]:
    """Yield the lines of the page."""
    known = own_routes()
    paths = document(known)["paths"]
    yield from (
        "# Requests",
        "",
        "Every request with its parameters and an example, as [REST](../rest.md) explains them. `$API` is the address",
        "of the service, `~/.cloudmesh/rest.curl` holds the token ([first calls](../rest.md#first-calls)).",
        "",
    )
    for word in dict.fromkeys(route.entry.path[0] for route in known):
        yield from (f"## {word}", "")
        for route in known:
            if route.entry.path[0] == word:
                yield from _one(route, paths[route.path][route.method.lower()])
    yield from ("## The service", "", *table(("request", "answer"), _service()), "")


def _one(route: Route, described: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {route.method} {route.path}", "", f"{route.verb.summary}: `cms {route.verb.name}`.", "")
    rows = [(f"`{spelled(p)}`", _type(p), f"{p.text}{' (required)' if p.required else ''}") for p in route.parameters]
    rows += [("`limit`, `after`", "number, text", "the page of the list")] if route.lists else []
    rows += [("`dry_run`", "truth", "answer with the plan and change nothing")] if route.changes else []
    yield from (*table(("parameter", "type", "meaning"), rows), "") if rows else ()
    yield from (f"- answers: {_answers(route, described)}", "", "```sh", curl(route), "```", "")


def _type(parameter: Any) -> str:
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "truth",
        "dict": "texts by name",
        "path": "file",
    }
    one = " or ".join(f"`{word}`" for word in parameter.choices) or words[parameter.type]
    return f"list: {one}" if parameter.many else one


def _answers(route: Route, described: dict[str, Any]) -> str:
    if route.changes:
        listed = f", or a list of `{route.noun}`" if route.may_list else ""
        return f"202 with the operation, 200 with the plan (`dry_run`){listed}"
    if route.sends:
        return "a tar of the files"
    if route.lists:
        return f"a list of `{route.noun}`"
    (found, *_more) = described["responses"]["200"]["content"].items()
    kind, content = found
    word = content["schema"].get("$ref", "").rpartition("/")[2]
    return (
        "text, or events"
        if route.verb.streams
        else "text"
        if kind == "text/plain"
        else f"`{word}`"
        if word
        else "an object"
    )


def _service() -> list[tuple[str, str]]:
    return [
        ("`GET /v1/operation/events/NAME`", "a change as it happens, as events"),
        ("`GET /openapi.json`", "all of this as OpenAPI 3.1"),
        ("`GET /metrics`", "numbers for Prometheus"),
        ("`GET /healthz`", f"{code(['ok'])}, to everybody"),
    ]


def curl(route: Route) -> str:
    """Return the example of a route as a curl line."""
    said = example(route)
    sent = files(said)
    words = {name: value for name, value in said.items() if name not in sent}
    if route.sends:
        query = [f"--data-urlencode {shlex.quote(pair)}" for pair in _pairs(words)]
        return " ".join([CURL, "-G", f'"$API{route.path}"', *query, "-o", f"{next(iter(words.values()))}.tar"])
    if not route.changes:
        query = [f"--data-urlencode {shlex.quote(pair)}" for pair in _pairs(words)]
        return " ".join([CURL, *(["-G"] if query else []), f'"$API{route.path}"', *query])
    if sent:
        fields = [f"-F {shlex.quote(pair)}" for pair in _pairs(words)]
        fields += [f"-F {name}=@{path}" for name, path in sent.items()]
        return " ".join([CURL, f'"$API{route.path}"', *fields])
    return f"{CURL} \"$API{route.path}\" -H '{JSON}' -d {shlex.quote(json.dumps(words))}"


def _pairs(said: dict[str, Any]) -> Iterator[str]:
    for name, value in queried(said):
        for each in value if isinstance(value, list) else [value]:
            yield f"{name}={str(each).lower() if isinstance(each, bool) else each}"


class Asked(Record):
    """What a curl line asks."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = {}
    body: str = ""
    fields: Sequence[tuple[str, str]] = ()


def read(line: str) -> Asked:
    """Return what a curl line asks. Raises: AssertionError when it is none that a reader could run."""
    words = shlex.split(line)
    assert words[:3] == ["curl", "-K", "~/.cloudmesh/rest.curl"], line
    found: dict[str, Any] = {"method": "GET", "query": [], "headers": {}, "fields": [], "path": ""}
    rest: Iterator[str] = iter(words[3:])
    for word in rest:
        if word.startswith("$API/"):
            found["path"] = word.removeprefix("$API")
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            found["headers"][name] = value
        elif word == "--data-urlencode":
            found["query"].append(_pair(next(rest)))
        elif word in ("-d", "-F"):
            found["method"] = "POST"
            found |= {"body": next(rest)} if word == "-d" else {"fields": [*found["fields"], _pair(next(rest))]}
        elif word == "-o":
            assert next(rest).endswith(".tar"), line
        else:
            assert word == "-G", f"{word} in {line}"
    return Asked(**found)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    assert equals, text
    return name, value


def lines(page: str) -> Sequence[str]:
    """Return the curl lines of a page."""
    return [line for line in page.splitlines() if line.startswith("curl ")]
