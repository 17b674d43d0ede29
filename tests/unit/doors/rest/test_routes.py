"""Every verb that has the door is a route, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from cloudms import registry
from cloudms.context import Context
from cloudms.doors.rest.routes import Route, _is_reachable, routes
from cloudms.engine.plan import Listing
from cloudms.registry import VerbEntry
from cloudms.verb import Doc, File, parameters, verb


def route_of(name: str) -> Route:
    return {" ".join(route.entry.path): route for route in routes()}[name]


def test_every_verb_with_the_door_is_a_route_and_no_other() -> None:
    with_door = {entry.path for entry in registry.index().verbs if "rest" in entry.doors}
    assert {route.entry.path for route in routes()} == with_door
    paths = [route.path for route in routes()]
    assert len(set(paths)) == len(paths) == len({route.name for route in routes()})


@pytest.mark.parametrize("words", ["vm ssh", "set", "config set", "key create", "image build", "demo", "serve"])
def test_what_works_on_this_machine_is_no_route(words: str) -> None:
    assert words not in {" ".join(route.entry.path) for route in routes()}


def test_the_words_are_the_path_and_a_change_is_a_post() -> None:
    assert (route_of("vm snapshot list").method, route_of("vm snapshot list").path) == ("GET", "/v1/vm/snapshot/list")
    assert (route_of("vm boot").method, route_of("vm boot").path) == ("POST", "/v1/vm/boot")
    assert route_of("ssh-config").path == "/v1/ssh-config"


def test_a_list_knows_its_noun() -> None:
    known = {" ".join(route.entry.path): route.noun for route in routes() if route.lists or route.may_list}
    expected = {"vm snapshot list": "snapshot", "vm ip list": "address", "default": "setting", "sweep": "finding",
                "vm status": "vm", "cloud check": "cloud", "event list": "event"}  # fmt: skip
    assert {name: known[name] for name in expected} == expected
    assert all(known.values()), known


@verb("toy", "paths", changes=True, doors=("rest",), example="cms toy paths x")
def paths(
    ctx: Context,
    sent: Annotated[Path | None, Doc("a file that is sent"), File()] = None,
    *,
    where: Annotated[Path | None, Doc("a path of the machine")] = None,
    out: Annotated[Path | None, Doc("a file to write"), File(write=True)] = None,
    limit: Annotated[int, Doc("at most so many")] = 0,
) -> Listing:
    """Take paths."""
    return Listing()


@verb("toy", "needs", doors=("rest",), example="cms toy needs x")
def needs(ctx: Context, where: Annotated[Path, Doc("a path of the machine")]) -> Iterator[str]:
    """Need a path."""
    yield str(where)


def entry(function: Any) -> VerbEntry:
    own = function.__verb__
    return VerbEntry(path=own.path, module=__name__, summary=own.summary, doors=own.doors, changes=own.changes)


def test_a_path_of_the_machine_is_never_asked_for() -> None:
    route = Route(entry(paths))
    assert _is_reachable(route)
    assert [p.name for p in route.parameters] == ["sent", "limit"]
    assert route.parameters[0].required
    assert {p.name for p in parameters(route.verb)} == {"sent", "where", "out", "limit"}


def test_a_verb_that_needs_one_is_no_route() -> None:
    assert not _is_reachable(Route(entry(needs)))
