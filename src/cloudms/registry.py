"""Name → class for every family, and words → verb for the doors; built-ins and plug-ins come in by the same door.

A plug-in is a distribution with entry points in the groups `cloudms.clouds`, `cloudms.catalogs`, `cloudms.balancers`,
`cloudms.formats` (a function that writes rows, see `doors.formats`) or `cloudms.verbs` (a module with verbs). What
cannot come in is left out and named; it never stops cms. Scanning entry points and importing every verb costs more than
a whole short command, so the result is kept as an index in the cache folder and made anew when a folder of `sys.path`
or a verb file changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloudms import __version__, families, paths
from cloudms.errors import CloudmsError, Invalid, NotFound, Unsupported
from cloudms.families import FAMILIES
from cloudms.older import COMMANDS
from cloudms.record import Record
from cloudms.verb import Verb, verbs_of

if TYPE_CHECKING:
    from pathlib import Path

    from cloudms.plugins import Plugin

NOUN_ALIASES = {"keypair": "key", "job": "experiment", "size": "flavor", "address": "ip", "sec": "secgroup"}
"""Other words for our nouns, most of them the ancestors'."""
SHELL_WORDS = frozenset(
    ("banner", "cd", "echo", "exit", "help", "history", "pause", "q", "quit", "sleep", "source", "true", "var")
)
"""Commands of the shell alone: a cloud of such a name could be reached from the command line and not from there."""


class VerbEntry(Record):
    """What the index knows of a verb without importing it; `plugin` names the distribution, none for a built-in."""

    path: tuple[str, ...]
    module: str
    summary: str
    aliases: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()
    changes: bool = False
    sends: bool = False
    plugin: str = ""

    def __post_init__(self) -> None:
        """Accept JSON lists, and what a verb has."""
        own = self.__dict__
        own["sends"] = bool(self.sends)
        for name in ("path", "aliases", "doors"):
            own[name] = tuple(own[name])

    def load(self) -> Verb:
        """Import the verb. Raises: NotFound (it is gone), Unsupported (the module of a plug-in is broken)."""
        try:
            module = import_module(self.module)
        except (Exception, SystemExit) as error:
            if not self.plugin:
                raise
            raise _unusable(f"the command '{' '.join(self.path)}' of the plug-in '{self.plugin}'", error) from error
        for found in verbs_of(module):
            if found.path == self.path:
                return found
        raise NotFound(f"'{' '.join(self.path)}' is no longer in {self.module}", hint="try again")


class Index(Record):
    """Every verb and family member that is installed.

    `texts` says in one line what each noun is; `plugins` are the other distributions that add to it, `broken` names
    those of which something was left out, with the reason; `watched` are the files of their verbs, and when they were
    last changed.
    """

    stamp: str
    verbs: tuple[VerbEntry, ...] = ()
    texts: Mapping[str, str] = {}
    families: Mapping[str, Mapping[str, str]] = {}
    broken: Mapping[str, str] = {}
    plugins: tuple[Mapping[str, Any], ...] = ()
    watched: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        """Accept JSON objects."""
        own = self.__dict__
        own["plugins"] = tuple(self.plugins)
        own["watched"] = tuple((path, when) for path, when in self.watched)
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
        return frozenset(self.nouns()) | frozenset(NOUN_ALIASES) | SHELL_WORDS | {"shell", "serve", "portal", "all"}

    def suggest(self, words: list[str], door: str = "") -> str:
        """Return a hint for words that are no command; with a `door` only of commands that stand in it."""
        from cloudms.names import nearest

        noun = canonical(words[:1])
        if len(words) > 1 and self.below(noun):
            known = [e.path[1] for e in self.below(noun) if len(e.path) > 1 and door in ("", *e.doors)]
            close = nearest(words[1], known)
            return f"did you mean: cms {noun[0]} {close}" if close else f"cms {noun[0]} --help lists its commands"
        nouns = [noun for noun, found in self.nouns().items() if any(door in ("", *e.doors) for e in found)]
        close = nearest(words[0], nouns) if words else None
        return f"did you mean: cms {close}" if close else "cms --help lists the commands"


def canonical(words: Iterable[str]) -> tuple[str, ...]:
    """Return words with the ancestors' noun, or their whole command, replaced by ours."""
    path = tuple(words)
    path = (NOUN_ALIASES.get(path[0], path[0]), *path[1:]) if path else path
    return COMMANDS.get(path, path)


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
    try:
        return load_from(members[name])
    except CloudmsError:
        raise
    except (Exception, SystemExit) as error:
        raise _unusable(f"'{name}' ({members[name].partition(':')[0]})", error) from error


def load_from(value: str) -> type[Any]:
    """Import what an entry point names. Raises whatever importing it raises."""
    module, _, attribute = value.partition(":")
    found: type[Any] = getattr(import_module(module), attribute)
    return found


def _unusable(what: str, error: BaseException) -> Unsupported:
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Unsupported(f"{what} cannot be loaded: {text}", hint="cms doctor names what is broken")


def plugins() -> list[Plugin]:
    """Return every plug-in, with what is wrong with it now: all that it brings is imported."""
    from cloudms.plugins import WORDS, Plugin, reason

    groups = {word: group for group, word in WORDS.items()}
    known = {str(document["name"]): Plugin(**document) for document in index().plugins}
    found = []
    for name, why in index().broken.items():
        known.setdefault(name, Plugin(name=name, problems=(why,)))
    for plugin in known.values():
        problems = list(plugin.problems)
        for added in plugin.adds:
            word, _, name = added.partition(" ")
            try:
                _ = index().find(name.split())[0].load() if word == "command" else load(groups[word], name)
            except CloudmsError as error:
                problems.append(reason(error))
        found.append(plugin.with_(problems=tuple(dict.fromkeys(problems))))
    return found


def plugin_of(error: BaseException) -> str:
    """Return the plug-in whose code raised an error, or nothing when it was the house's own."""
    owners = {
        str(module).partition(".")[0]: str(plugin["name"]) for plugin in index().plugins for module in plugin["modules"]
    }
    found, step = "", error.__traceback__
    while owners and step is not None:
        found = owners.get(str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0], found)
        step = step.tb_next
    return found


_WORDS_OF_THE_HOUSE = tuple(
    VerbEntry(path=(word,), module="", summary="") for word in (*NOUN_ALIASES, "help", "portal")
)
"""Words that are no commands of their own and that no plug-in can take."""

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
    own = [os.stat(file) for file in (__file__, families.__file__)]  # noqa: PTH116 (start-up path)
    parts = [__version__, sys.version, *(f"{stat.st_mtime_ns}:{stat.st_size}" for stat in own)]
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
        is_new = document["stamp"] == stamp and all(_changed(path) == when for path, when in document["watched"])
        return Index(**document) if is_new else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _changed(path: str) -> int:
    return os.stat(path).st_mtime_ns  # noqa: PTH116 (start-up path)


def _scan(stamp: str) -> Index:
    from cloudms.plugins import Gathered, points

    known = {group: dict(members) for group, members in FAMILIES.items()}
    entries = [entry for module, _stat in _modules(_verbs_folder(), "cloudms.verbs") for entry in _entries(module)]
    gathered, watched = Gathered(), dict[str, int]()
    for point in points():
        with gathered.trying(point):
            if point.group == "cloudms.verbs":
                brought = _entries(point.module, point.plugin)
                watched |= _watched(point.module)
                entries += gathered.verbs(point, brought, [*entries, *_WORDS_OF_THE_HOUSE])
            else:
                gathered.member(point, known[point.group])
                load_from(point.value)
    found = Index(
        stamp=stamp,
        verbs=tuple(_ordered(entries)),
        texts=_texts(entries),
        families=known,
        broken={plugin.name: plugin.broken for plugin in gathered.plugins if plugin.problems},
        plugins=tuple(plugin.to_document() for plugin in gathered.plugins),
        watched=tuple(watched.items()),
    )
    _store(found)
    return found


def _watched(module: str) -> dict[str, int]:
    """Return the file of a module and when it was changed; installing it anew in place changes no folder's time."""
    file = getattr(sys.modules[module], "__file__", None)
    return {file: _changed(file)} if file and os.path.exists(file) else {}  # noqa: PTH110 (start-up path)


def _entries(module: str, plugin: str = "") -> list[VerbEntry]:
    shared = ("path", "summary", "aliases", "doors", "changes", "sends")
    found = verbs_of(import_module(module))
    return [VerbEntry(module=module, plugin=plugin, **{name: getattr(v, name) for name in shared}) for v in found]


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
