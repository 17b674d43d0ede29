"""The example of a command, as a request."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloudms.doors.parse import parse
from cloudms.doors.rest.routes import Route


def example(route: Route) -> dict[str, Any]:
    """Return what the example of a verb says, by parameter, as a JSON body has it; files that are sent are paths."""
    line = route.verb.example.split(" > ")[0].split(" | ")[0]
    words = shlex.split(line)[1 + len(route.entry.path) :]
    said = parse(route.verb, words, here=False).values
    asked = {p.name for p in route.parameters} | ({"limit"} if route.lists else set())
    return {name.rstrip("_"): value for name, value in said.items() if name in asked}


def queried(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the same as a query has it: pairs as KEY=VALUE."""
    for name, value in said.items():
        yield name, [f"{key}={word}" for key, word in value.items()] if isinstance(value, dict) else value


def files(said: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files among what is said."""
    return {name: value for name, value in said.items() if isinstance(value, Path)}
