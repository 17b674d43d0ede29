"""Plug-ins: what other distributions add through entry points, and why something of theirs is left out.

Only making the index imports this; a command reads the index.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Protocol, TypeVar

from cloudms.errors import CloudmsError
from cloudms.record import Record

WORDS = {
    "cloudms.clouds": "cloud",
    "cloudms.catalogs": "store",
    "cloudms.balancers": "balancer",
    "cloudms.formats": "format",
    "cloudms.policies": "policy",
    "cloudms.verbs": "command",
}
"""The groups of entry points, and what a member of each is."""

_SPELLED = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Plugin(Record):
    """A distribution: `adds` tells what came in ("cloud moon"), `problems` why something did not.

    `modules` are those its entry points name; a bug is laid at the door of whose module it is.
    """

    name: str
    version: str = ""
    adds: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept JSON lists."""
        for field in ("adds", "problems", "modules"):
            self.__dict__[field] = tuple(self.__dict__[field])

    @property
    def broken(self) -> str:
        """Return what is wrong with it in one line, or nothing."""
        return "; ".join(self.problems)


class Point(Record):
    """An entry point and the distribution it comes from."""

    plugin: str
    version: str
    group: str
    name: str
    value: str

    @property
    def module(self) -> str:
        """Return the module it names."""
        return self.value.partition(":")[0]


class Entry(Protocol):
    """What is asked of a verb in the index."""

    @property
    def path(self) -> tuple[str, ...]:
        """Return its words."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Return other last words."""

    @property
    def plugin(self) -> str:
        """Return the plug-in it comes from."""


E = TypeVar("E", bound=Entry)


def points() -> list[Point]:
    """Return the entry points of all groups, in an order that does not depend on the file system."""
    from importlib.metadata import entry_points

    found = []
    for group in WORDS:
        for point in entry_points(group=group):
            name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "")
            found.append(Point(plugin=name, version=version, group=group, name=point.name, value=point.value))
    return sorted(found, key=lambda p: (p.plugin.lower(), p.group, p.name))


class Gathered:
    """What is known of plug-ins while the index is made."""

    def __init__(self) -> None:
        self._found: dict[str, Plugin] = {}

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Return every plug-in."""
        return tuple(self._found.values())

    @contextmanager
    def trying(self, point: Point) -> Iterator[None]:
        """Take in what a plug-in brings; whatever it raises is kept as its problem, what it prints goes to stderr."""
        known = self._found.get(point.plugin, Plugin(name=point.plugin, version=point.version))
        self._found[point.plugin] = known.with_(modules=(*known.modules, point.module))
        try:
            with redirect_stdout(sys.stderr):
                yield
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a plug-in may raise anything; it must never stop cms)
            self._problem(point, reason(error))

    def member(self, point: Point, members: dict[str, str]) -> None:
        """Add a member of a family. Raises: CloudmsError when its name is taken."""
        if point.name in members:
            raise CloudmsError(f"the {WORDS[point.group]} '{point.name}' is {self._owner(point)}")
        members[point.name] = point.value
        self._add(point, f"{WORDS[point.group]} {point.name}")

    def verbs(self, point: Point, brought: Iterable[E], known: Sequence[E]) -> list[E]:
        """Return those of the verbs that may come in beside the known ones; the others become problems."""
        kept: list[E] = []
        for entry in brought:
            why = refusal(entry, [*known, *kept])
            if why:
                self._problem(point, why)
            else:
                kept.append(entry)
                self._add(point, f"command {' '.join(entry.path)}")
        return kept

    def _owner(self, point: Point) -> str:
        word = f"{WORDS[point.group]} {point.name}"
        other = next((plugin.name for plugin in self.plugins if word in plugin.adds), "")
        return f"already brought by '{other}'" if other else "built in"

    def _add(self, point: Point, what: str) -> None:
        known = self._found[point.plugin]
        self._found[point.plugin] = known.with_(adds=(*known.adds, what))

    def _problem(self, point: Point, text: str) -> None:
        known = self._found[point.plugin]
        told = f"{text} ({point.group} '{point.name}')"
        self._found[point.plugin] = known.with_(problems=(*known.problems, told))


def reason(error: BaseException) -> str:
    """Return in one line what was raised."""
    if isinstance(error, CloudmsError):
        return error.message
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def refusal(entry: Entry, known: Iterable[Entry]) -> str:
    """Return why a verb cannot come in beside the known ones, or nothing."""
    words = " ".join(entry.path)
    if not 1 <= len(entry.path) <= 3 or not all(map(_SPELLED.fullmatch, (*entry.path, *entry.aliases))):
        return f"'{words[:80]}' is no command: one to three words of small letters"
    for other in known:
        if _names(entry) & _names(other):
            return f"the command '{words}' is {_of(other)}"
        if entry.path[: len(other.path)] == other.path:
            return f"the word '{' '.join(other.path)}' is reserved: it is a command, and what follows is its own"
        if other.path[: len(entry.path)] == entry.path:
            return f"the word '{words}' is reserved: other commands begin with it"
    return ""


def _names(entry: Entry) -> set[tuple[str, ...]]:
    return {(*entry.path[:-1], word) for word in (entry.path[-1], *entry.aliases)}


def _of(other: Entry) -> str:
    return f"already brought by '{other.plugin}'" if other.plugin else "built in"
