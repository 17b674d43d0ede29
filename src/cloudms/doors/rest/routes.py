"""Which verbs are routes, and where: the path is the command's words, `cms vm snapshot list` is /v1/vm/snapshot/list.

A reading verb is a GET with its parameters in the query, a changing one a POST with them in the body, where files can
be sent. One that writes files where the person is (`sends`) is a GET that answers with an archive of them. A verb is
left out when it has no door here, or needs a path on this machine that cannot be sent.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from cloudms import registry
from cloudms.engine.plan import Listing
from cloudms.model import nouns
from cloudms.names import nearest
from cloudms.registry import VerbEntry
from cloudms.verb import Parameter, Verb, parameters

PREFIX = "/v1"
EVENTS = f"{PREFIX}/operation/events/"
"""What the path of an operation's stream begins with; its name follows."""


class Route:
    """One verb over HTTP; what it needs is worked out when it is first asked for."""

    def __init__(self, entry: VerbEntry) -> None:
        self.entry = entry
        self.path = "/".join((PREFIX, *entry.path))
        self.name = "_".join(entry.path).replace("-", "_")

    @cached_property
    def verb(self) -> Verb:
        """Return the verb."""
        return self.entry.load()

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        return "POST" if self.changes else "GET"

    @cached_property
    def changes(self) -> bool:
        """Whether a request changes something; one that answers with files does not."""
        return self.entry.changes and not self.sends

    @cached_property
    def sends(self) -> bool:
        """Whether the answer is an archive of files."""
        return self.entry.sends

    @property
    def function(self) -> Callable[..., Any]:
        """Return what is called with the values of the parameters."""
        return self.verb.sends or self.verb.function

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return what a client may say: paths are uploads or nothing, and a page replaces the limit of a list."""
        return tuple(_for_clients(p) for p in parameters(self.verb) if self._is_asked(p))

    def _is_asked(self, parameter: Parameter) -> bool:
        if parameter.type == "path" and not (is_upload(parameter) and self.entry.changes):
            return False
        if self.sends and parameter.name not in inspect.signature(self.function).parameters:
            return False
        return not (self.lists and parameter.name == "limit")

    @cached_property
    def files(self) -> tuple[Parameter, ...]:
        """Return the parameters that are uploads."""
        return tuple(p for p in self.parameters if is_upload(p))

    @cached_property
    def returns(self) -> Any:
        """Return the type that the verb says it returns."""
        return typing.get_type_hints(self.function).get("return", Any)

    @cached_property
    def lists(self) -> bool:
        """Whether a reading verb answers with pages of a list."""
        return not self.changes and Listing in (self.returns, *typing.get_args(self.returns))

    @cached_property
    def may_list(self) -> bool:
        """Whether a changing verb may answer with a list instead, as `sweep` does."""
        return self.changes and Listing in typing.get_args(self.returns)

    @cached_property
    def cuts(self) -> bool:
        """Whether the verb itself takes a limit."""
        return any(p.name == "limit" for p in parameters(self.verb))

    @cached_property
    def noun(self) -> str:
        """Return the kind of noun that it lists: the one with these columns, or the word before the last one."""
        known = nouns()
        alike = [kind for kind, cls in known.items() if cls.columns == self.verb.columns]
        if len(alike) == 1:
            return alike[0]
        word = self.entry.path[-2] if len(self.entry.path) > 1 else ""
        return word if word in known else ""


_made: tuple[Sequence[VerbEntry], tuple[Route, ...]] = ((), ())
"""The verbs that were last asked for, and their routes: looking at the types of all their parameters takes long."""


def routes() -> Sequence[Route]:
    """Return every route, in the order of the command line's help."""
    global _made
    verbs = registry.index().verbs
    if _made[0] is not verbs:
        every = (Route(entry) for entry in verbs if "rest" in entry.doors)
        _made = verbs, tuple(route for route in every if _is_reachable(route))
    return _made[1]


def instead(path: str, known: Sequence[Route]) -> str:
    """Return what to do about a path that is none: the request of an alias, the nearest one, or the command line."""
    words = path.removeprefix(PREFIX).strip("/").split("/")
    entry = registry.index().exact(words)
    found = {route.entry.path: route for route in known}
    if entry is not None and entry.path in found:
        return f"{found[entry.path].method} {found[entry.path].path}"
    if entry is not None:
        return f"cms {' '.join(entry.path)} works on the machine of the service only"
    close = nearest(path[:200], [route.path for route in known])
    return f"did you mean {close}" if close else ""


def is_upload(parameter: Parameter) -> bool:
    """Whether a parameter is a file that the client sends."""
    return parameter.type == "path" and parameter.file is not None and not parameter.file.write


def _is_reachable(route: Route) -> bool:
    """Whether a verb can be called without a path of this machine."""
    asked = {parameter.name for parameter in route.parameters}
    lacking = (p for p in parameters(route.verb) if p.type == "path" and p.required and p.name not in asked)
    return route.sends or not any(lacking)


def _for_clients(parameter: Parameter) -> Parameter:
    """Return a parameter as a client sees it.

    A file that is an argument must be sent: what a command takes in its place lies on the machine of the service.
    """
    return parameter.with_(required=True) if is_upload(parameter) and parameter.argument else parameter
