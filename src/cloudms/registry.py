"""Name → class for every family, and words → verb for the doors; built-ins and plug-ins come in by the same door.

A plug-in is a distribution with entry points in the groups `cloudms.clouds`, `cloudms.catalogs`, `cloudms.formats`
(a function that writes rows, see `doors.formats`) or `cloudms.verbs` (a module with verbs). Scanning entry points and
importing every verb costs more than a whole short command, so the result is kept as an index in the cache folder and
made anew when a folder of `sys.path` or a verb file has changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloudms import __version__, paths
from cloudms.errors import CloudmsError, Invalid, NotFound, Unsupported
from cloudms.record import Record
from cloudms.verb import Verb, verbs_of

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES: Mapping[str, Mapping[str, str]] = {
    "cloudms.clouds": {
        "libvirt": "cloudms.clouds.libvirt.driver:LibvirtCloud",
        "fake": "cloudms.clouds.fake:FakeCloud",
    },
    "cloudms.catalogs": {
        "sqlite": "cloudms.catalog.sqlite:SqliteCatalog",
        "memory": "cloudms.catalog.memory:MemoryCatalog",
    },
    "cloudms.formats": {
        "table": "cloudms.doors.formats:table",
        "json": "cloudms.doors.formats:as_json",
        "yaml": "cloudms.doors.formats:as_yaml",
        "csv": "cloudms.doors.formats:as_csv",
        "name": "cloudms.doors.formats:names",
    },
    "cloudms.verbs": {},
}
"""The built-in members by group; the built-in verbs are the modules of `cloudms.verbs`."""

NOUN_ALIASES = {"keypair": "key", "size": "flavor"}
"""The ancestors' words for our nouns."""


class VerbEntry(Record):
    """What the index knows of a verb without importing it."""

    path: tuple[str, ...]
    module: str
    summary: str
    aliases: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()
    changes: bool = False

    def __post_init__(self) -> None:
        """Accept JSON lists."""
        own = self.__dict__
        for name in ("path", "aliases", "doors"):
            own[name] = tuple(own[name])

    def load(self) -> Verb:
        """Import the verb."""
        for found in verbs_of(import_module(self.module)):
            if found.path == self.path:
                return found
        raise NotFound(f"'{' '.join(self.path)}' is no longer in {self.module}", hint="try again")


class Index(Record):
    """Every verb and family member that is installed.

    `texts` says in one line what each noun is; `broken` names plug-ins that failed, with the reason.
    """

    stamp: str
    verbs: tuple[VerbEntry, ...] = ()
    texts: Mapping[str, str] = {}
    families: Mapping[str, Mapping[str, str]] = {}
    broken: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        """Accept JSON objects."""
        own = self.__dict__
        own["verbs"] = tuple(v if isinstance(v, VerbEntry) else VerbEntry(**v) for v in self.verbs)

    def find(self, words: Iterable[str]) -> tuple[VerbEntry, list[str]]:
        """Return the verb that `words` begin with and the words that follow it. Raises: Invalid."""
        given = list(words)
        for length in (3, 2, 1):
            entry = self.exact(given[:length]) if len(given) >= length else None
            if entry:
                return entry, given[length:]
        raise Invalid(f"no command '{' '.join(given[:2])}'", hint=self.suggest(given))

    def exact(self, words: list[str]) -> VerbEntry | None:
        """Return the verb with exactly these words, aliases included, or None."""
        path = canonical(words)
        for entry in self.verbs:
            if entry.path == path or (entry.path[:-1] == path[:-1] and path[-1] in entry.aliases):
                return entry
        return None

    def below(self, words: Iterable[str]) -> list[VerbEntry]:
        """Return the verbs whose path begins with `words`."""
        path = canonical(words)
        return [entry for entry in self.verbs if entry.path[: len(path)] == path]

    def nouns(self) -> dict[str, list[VerbEntry]]:
        """Return the verbs by their first word."""
        found: dict[str, list[VerbEntry]] = {}
        for entry in self.verbs:
            found.setdefault(entry.path[0], []).append(entry)
        return found

    def reserved(self) -> frozenset[str]:
        """Return the words that a cloud, an alias or a plug-in's noun cannot take."""
        return frozenset(self.nouns()) | frozenset(NOUN_ALIASES) | {"help", "shell", "serve", "portal"}

    def suggest(self, words: list[str]) -> str:
        """Return a hint for words that are no command."""
        from cloudms.names import nearest

        noun = canonical(words[:1])
        if len(words) > 1 and self.below(noun):
            known = [e.path[1] for e in self.below(noun) if len(e.path) > 1]
            close = nearest(words[1], known)
            return f"did you mean: cms {noun[0]} {close}" if close else f"cms {noun[0]} --help lists its commands"
        close = nearest(words[0], list(self.nouns())) if words else None
        return f"did you mean: cms {close}" if close else "cms --help lists the commands"


def canonical(words: Iterable[str]) -> tuple[str, ...]:
    """Return words with the ancestors' noun replaced by ours."""
    path = tuple(words)
    return (NOUN_ALIASES.get(path[0], path[0]), *path[1:]) if path else path


def load(family: str, name: str) -> type[Any]:
    """Import the class of a family member. Raises: NotFound with the known names; Unsupported when it is broken."""
    members = index().families[family]
    if name not in members:
        from cloudms.names import nearest

        word = family.rsplit(".", 1)[-1].rstrip("s")
        close = nearest(name, list(members))
        raise NotFound(
            f"no {word} of kind '{name}' is installed",
            hint=f"did you mean '{close}'" if close else f"known kinds: {', '.join(sorted(members))}",
        )
    module, _, attribute = members[name].partition(":")
    try:
        found: type[Any] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise Unsupported(
            f"'{name}' ({module}) cannot be loaded: {error}", hint="cms doctor names what is broken"
        ) from error
    return found


_index: Index | None = None


def index() -> Index:
    """Return the index, from the cache when nothing it depends on has changed."""
    global _index
    if _index is None:
        stamp = _stamp()
        _index = _cached(stamp) or _scan(stamp)
    return _index


def forget() -> None:
    """Drop the index kept in this process, so that the next call looks again."""
    global _index
    _index = None


def _verbs_folder() -> str:
    return os.path.join(os.path.dirname(__file__), "verbs")  # noqa: PTH118, PTH120 (start-up path)


def _modules(folder: str, package: str) -> list[tuple[str, os.stat_result]]:
    found = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith("_"):
            found += _modules(entry.path, f"{package}.{entry.name}")
        elif entry.name.endswith(".py") and not entry.name.startswith("_"):
            found.append((f"{package}.{entry.name[:-3]}", entry.stat()))
    return found


def _stamp() -> str:
    own = os.stat(__file__)  # noqa: PTH116 (start-up path)
    parts = [__version__, sys.version, f"{own.st_mtime_ns}:{own.st_size}"]
    parts += [f"{name}:{stat.st_mtime_ns}:{stat.st_size}" for name, stat in _modules(_verbs_folder(), "cloudms.verbs")]
    for folder in sys.path:
        try:
            parts.append(f"{folder}:{os.stat(folder).st_mtime_ns}")  # noqa: PTH116 (start-up path)
        except OSError:
            continue
    return "|".join(parts)


def _file() -> Path:
    """Return the file of the index: one per interpreter and search path, so that two installations do not fight."""
    from zlib import crc32

    return paths.cache() / f"index-{crc32('|'.join((__file__, sys.version, *sys.path)).encode()):08x}.json"


def _cached(stamp: str) -> Index | None:
    try:
        with _file().open("rb") as file:
            document = json.load(file)
        return Index(**document) if document["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan(stamp: str) -> Index:
    from importlib.metadata import entry_points

    families = {group: dict(members) for group, members in FAMILIES.items()}
    broken: dict[str, str] = {}
    for group, members in families.items():
        for point in entry_points(group=group):
            members.setdefault(point.name, point.value)
    entries = []
    for module, _stat in _modules(_verbs_folder(), "cloudms.verbs"):
        entries += _entries(module)
    reserved = {entry.path[0] for entry in entries}
    for name, module in families["cloudms.verbs"].items():
        try:
            entries += _fresh_nouns(_entries(module), reserved)
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything; it must never stop cms)
            broken[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    found = Index(stamp=stamp, verbs=tuple(_ordered(entries)), texts=_texts(entries), families=families, broken=broken)
    _store(found)
    return found


def _entries(module: str) -> list[VerbEntry]:
    return [
        VerbEntry(path=v.path, module=module, summary=v.summary, aliases=v.aliases, doors=v.doors, changes=v.changes)
        for v in verbs_of(import_module(module))
    ]


def _ordered(entries: list[VerbEntry]) -> list[VerbEntry]:
    """Return verbs with those of a noun in the order that its package gives in ORDER, others after them as written."""
    nouns = list(dict.fromkeys(entry.path[0] for entry in entries))
    orders: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        package = entry.module.rpartition(".")[0]
        if package.rpartition(".")[2] == entry.path[0]:
            orders[entry.path[0]] = getattr(import_module(package), "ORDER", ())

    def place(entry: VerbEntry) -> tuple[int, int]:
        order, words = orders.get(entry.path[0], ()), entry.path[1:2]
        return nouns.index(entry.path[0]), order.index(words[0]) if set(words) & set(order) else len(order)

    return sorted(entries, key=place)


def _texts(entries: Iterable[VerbEntry]) -> dict[str, str]:
    """Return what each noun is: the first line of the docstring of the package or module that bears its name."""
    found: dict[str, str] = {}
    named: set[str] = set()
    for entry in entries:
        noun = entry.path[0]
        parts = entry.module.split(".")
        bears = ".".join(parts[: parts.index(noun) + 1]) if noun in parts else ""
        if noun not in found or (bears and noun not in named):
            text = import_module(bears or entry.module).__doc__ or ""
            found[noun] = text.strip().partition("\n")[0].rstrip(".")
            named |= {noun} if bears else set()
    return found


def _fresh_nouns(entries: list[VerbEntry], reserved: set[str]) -> list[VerbEntry]:
    for entry in entries:
        if entry.path[0] in reserved:
            raise CloudmsError(f"the word '{entry.path[0]}' is reserved")
    return entries


def _store(found: Index) -> None:
    file = _file()
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        paths.private(file.parent)
        temporary.write_text(json.dumps(found.to_document()))
        temporary.replace(file)
    except OSError:
        _remove(temporary)


def _remove(file: Path) -> None:
    try:
        file.unlink()
    except OSError:
        return  # it is not there, or the folder cannot be written: an index is made each time then
