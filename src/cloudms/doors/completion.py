"""Completion: the answer to `cms __complete SHELL WORDS...`, which the scripts of `cms completion` ask.

The answer is a line per candidate, `value<TAB>what it is`; the line `:files` means that the shell completes file names.
It reads the index, one verb's signature, the configuration and the catalog, and asks no cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from cloudms import registry
from cloudms.config.settings import BUILT_IN, PER_CLOUD, SHORT
from cloudms.context import Context
from cloudms.doors import words as typed
from cloudms.doors.options import negated, shared, spelled
from cloudms.doors.session import Known
from cloudms.registry import VerbEntry
from cloudms.verb import Parameter, parameters

FILES = ":files"
LIMIT = 200
"""Names offered at most; who has more types another letter."""

Candidate = tuple[str, str]


def main(argv: Sequence[str]) -> int:
    """Answer a shell: its name, then the words after `cms` up to the one being typed. Never complains."""
    shell, words = (argv[0], list(argv[1:])) if argv else ("", [])
    context = Context()
    try:
        found = list(candidates(context, words or [""], split_equals=shell == "bash"))
        context.close()
    except Exception:  # noqa: BLE001 (a person is typing: whatever is wrong, the command itself will say it)
        return 1
    for value, text in found:
        print(f"{value}\t{text}" if text and shell != "bash" else value)  # noqa: T201
    return 0


def candidates(
    context: Context, words: Sequence[str], *, split_equals: bool = False, door: str = "cli"
) -> Iterator[Candidate]:
    """Yield what the last of `words` may become.

    Parameters: `split_equals`, `--option=value` comes as three words and only the value is replaced (bash); `door`,
    whose commands are offered.
    """
    *before, current = _unquoted(words) if door == "cli" else words
    index = registry.index()
    if not [word for word in before if not word.startswith("-")] and not current.startswith("-"):
        yield from _matching(current, _first(context, door))
        return
    sorted_out = typed.sort_out(before, index, lambda: Known(context))
    context.chosen_cloud = sorted_out.cloud
    asked = list(sorted_out.words)
    if not asked:
        yield from _matching(current, _nouns(door) if sorted_out.cloud else ())
        return
    entry, rest = _found(asked)
    if not current.startswith("-"):
        yield from _matching(current, _next(tuple(word for word in asked if not word.startswith("-")), door))
    if entry is not None and door in entry.doors:
        yield from _Verb(context, entry).complete(rest, current, split_equals=split_equals)


def _unquoted(words: Sequence[str]) -> list[str]:
    """Return words as the command would get them; bash hands over quotes and backslashes."""
    return [word.replace("\\", "").lstrip("'\"") for word in words]


def _matching(current: str, found: Iterable[Candidate]) -> Iterator[Candidate]:
    return ((value, text) for value, text in found if value.startswith(current))


def _nouns(door: str) -> Iterator[Candidate]:
    index = registry.index()
    for noun, entries in index.nouns().items():
        if any(door in entry.doors for entry in entries):
            yield noun, entries[0].summary if entries[0].path == (noun,) else index.texts.get(noun, "")


def _first(context: Context, door: str) -> Iterator[Candidate]:
    yield from _nouns(door)
    yield from ((name, "alias") for name in context.config.aliases())
    yield from ((cloud.name, "cloud") for cloud in context.config.clouds())


def _found(asked: list[str]) -> tuple[VerbEntry | None, list[str]]:
    for length in (3, 2, 1):
        entry = registry.index().exact(asked[:length]) if len(asked) >= length else None
        if entry is not None:
            return entry, asked[length:]
    return None, asked


def _next(path: tuple[str, ...], door: str) -> Iterator[Candidate]:
    """Yield the words that may follow `path`."""
    seen: set[str] = set()
    for entry in registry.index().below(path):
        if len(entry.path) > len(path) and door in entry.doors and (word := entry.path[len(path)]) not in seen:
            seen.add(word)
            yield word, entry.summary if len(entry.path) == len(path) + 1 else ""


def _all_names(option: Parameter) -> dict[str, None]:
    """Return how an option is typed, that which says no included, in this order."""
    return dict.fromkeys(name for name in (*spelled(option), negated(option)) if name)


class _Verb:
    """One verb, whose options and values are completed."""

    def __init__(self, context: Context, entry: VerbEntry) -> None:
        verb = entry.load()
        self.context = context
        self.own = parameters(verb)
        self.options = {
            name: p for p in [*self.own, *shared(verb, self.own)] if not p.argument for name in _all_names(p)
        }

    def complete(self, rest: list[str], current: str, *, split_equals: bool) -> Iterator[Candidate]:
        """Yield what `current` may become after the words `rest`."""
        if split_equals and (current == "=" or (rest and rest[-1] == "=")):
            rest, current = (rest, "") if current == "=" else (rest[:-1], current)
            if rest and not rest[-1].startswith("-"):
                yield from self._after_equals(rest, current)
                return
        if "--" in rest:
            yield FILES, ""
            return
        positional, pending = self._sorted(rest)
        name, equals, value = current.partition("=")
        if pending is not None:
            yield from self._values(pending, current, rest)
        elif current.startswith("-") and equals and name in self.options:
            yield from (
                (f"{name}={v}" if v != FILES else v, t) for v, t in self._values(self.options[name], value, rest)
            )
        elif current.startswith("-"):
            yield from _matching(current, self._names(rest))
        else:
            argument = self._argument(len(positional))
            yield from self._values(argument, current, positional) if argument else ()

    def _after_equals(self, rest: list[str], current: str) -> Iterator[Candidate]:
        """Yield the values of a setting, of which the shell replaces what stands after the equals sign."""
        head = f"{rest[-1]}="
        for value, text in self._values(self.own[0], head + current, rest[:-1]) if self.own else ():
            yield value.removeprefix(head), text

    def _sorted(self, rest: list[str]) -> tuple[list[str], Parameter | None]:
        """Return the positional words, and the option that still waits for its value."""
        positional: list[str] = []
        pending: Parameter | None = None
        for word in rest:
            if pending is not None:
                pending = None
                if word != "=":
                    continue
            option = self.options.get(word)
            if option is not None and option.type != "bool":
                pending = option
            elif not word.startswith("-"):
                positional.append(word)
        return positional, pending

    def _names(self, rest: list[str]) -> Iterator[Candidate]:
        for name, option in self.options.items():
            if name.startswith("--") and (
                option.many or option.type == "dict" or not _all_names(option).keys() & set(rest)
            ):
                yield name, option.text
        yield "--help", "help for this command"

    def _argument(self, position: int) -> Parameter | None:
        arguments = [p for p in self.own if p.argument and not p.rest]
        if position < len(arguments):
            return arguments[position]
        return arguments[-1] if arguments and arguments[-1].many else None

    def _values(self, parameter: Parameter, current: str, taken: list[str]) -> Iterator[Candidate]:
        if parameter.choices:
            yield from _matching(current, ((choice, "") for choice in parameter.choices))
        elif parameter.type == "path":
            yield FILES, ""
        elif parameter.names:
            several = parameter.many or parameter.names == "cloud"
            head, comma, last = current.rpartition(",") if several else ("", "", current)
            names = _SOURCES.get(parameter.names, _stored)(self.context, parameter.names, self._cloud(taken), last)
            if parameter.names == "setting" and parameter.many:  # it is given a value
                names = ((v if "=" in v else f"{v}=", t) for v, t in names)
            yield from ((head + comma + v, t) for v, t in _matching(last, names) if v not in taken)

    def _cloud(self, words: list[str]) -> str:
        return typed.option_of(words, "--cloud") or self.context.chosen_cloud


def _clouds(context: Context, _noun: str, _cloud: str, _current: str) -> Iterator[Candidate]:
    others = context.config.natives().clouds.values()
    return ((cloud.name, cloud.kind) for cloud in (*context.config.clouds(), *others))


def _stored(context: Context, noun: str, cloud: str, current: str) -> Iterator[Candidate]:
    """Yield names that the catalog knows."""
    seen: set[str] = set()
    for row in context.catalog.find(noun, cloud=cloud, text=current, limit=LIMIT):
        name = str(row.document.get("name") or row.key)
        if name not in seen:
            seen.add(name)
            facts = (row.document.get("cloud"), row.document.get("state"))
            yield name, " ".join(str(fact) for fact in facts if fact)


def _groups(context: Context, noun: str, _cloud: str, current: str) -> Iterator[Candidate]:
    """Yield groups that were described, and those that VMs only name."""
    yield from _stored(context, noun, "", current)
    described = {row.key for row in context.catalog.find(noun)}
    rows = context.catalog.find("vm", text=current, limit=LIMIT)
    named = dict.fromkeys(str(row.document.get("group") or "") for row in rows)
    yield from ((name, "") for name in named if name and name not in described)


def _settings(context: Context, _noun: str, cloud: str, current: str) -> Iterator[Candidate]:
    """Yield the keys of settings, with what each is now; after `KEY=` the names that may be its value."""
    key, equals, value = current.partition("=")
    config = context.config
    if equals:
        kind = _OF_SETTINGS.get(key, "")
        where = cloud or ("" if kind in ("key", "vm") else config.default_cloud())
        found = _SOURCES.get(kind, _stored)(context, kind, where, value) if kind else ()
        yield from ((f"{key}={name}", text) for name, text in found)
        return
    for name in dict.fromkeys((*SHORT, *PER_CLOUD, *BUILT_IN, *sorted(config.settings.values()))):
        now = config.get(config.key_for(name, cloud or None))
        yield name, "" if now is None else str(now)


_OF_SETTINGS = {"cloud": "cloud", "default.cloud": "cloud", "image": "image", "flavor": "flavor", "size": "flavor",
                "key": "key", "keypair": "key", "location": "location", "vm": "vm"}  # fmt: skip
"""Settings whose values are names, and of what."""

_SOURCES: dict[str, Callable[[Context, str, str, str], Iterator[Candidate]]] = {
    "cloud": _clouds,
    "group": _groups,
    "setting": _settings,
}
