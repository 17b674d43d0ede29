"""The page of every command, made from the verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudms import registry
from cloudms.doors import help as texts
from cloudms.doors.options import metavar, shared
from cloudms.registry import NOUN_ALIASES, Index, VerbEntry
from cloudms.verb import Parameter, Verb, parameters
from tests.house.markdown import code, table

DOOR_NAMES = {"cli": "command line", "shell": "shell", "python": "Python", "rest": "REST"}
"""The doors of this release."""


def built_in() -> Index:
    """Return the index without what plug-ins of this machine have added."""
    found = registry.index()
    own = tuple(entry for entry in found.verbs if entry.module.startswith("cloudms."))
    return found.with_(verbs=own, families=registry.FAMILIES)


def commands() -> Iterator[str]:
    index = built_in()
    yield from (
        "# Commands",
        "",
        "Every command with its arguments and options, as `cms NOUN VERB --help` tells them.",
        "",
    )
    yield from _common(index)
    for _title, nouns in texts._grouped(index.nouns()):
        for noun in nouns:
            yield from _noun(index, noun)


def _common(index: Index) -> Iterator[str]:
    """Tell once what every command has, or every changing one."""
    entry = next(entry for entry in index.verbs if entry.changes)
    yield from ("## Options of every command", "")
    yield from table(
        ("option", "meaning"),
        ((f"`{texts._spelled(p).strip()}`", _told(p)) for p in shared(entry.load().with_(changes=True), ())),
    )
    yield from (
        "",
        "`--dry-run` and `--yes` belong to commands that change something. `-h` and `--help` stand everywhere;",
    )
    yield from ("`cms --version` tells the version. The options may also stand before the words of a command.", "")


def _told(parameter: Parameter) -> str:
    only = " (changing commands)" if parameter.name in ("dry_run", "yes") else ""
    return texts._described(parameter) + only


def _noun(index: Index, noun: str) -> Iterator[str]:
    entries = index.below((noun,))
    yield from (f"## {noun}", "")
    about = index.texts.get(noun, "")
    if len(entries) > 1 and about:
        yield from (f"{about}.", "")
    others = [alias for alias, own in NOUN_ALIASES.items() if own == noun]
    if others:
        yield from (f"Also called {code(others)}.", "")
    for entry in entries:
        yield from _verb(entry)


def _verb(entry: VerbEntry) -> Iterator[str]:
    verb = entry.load()
    own = parameters(verb)
    yield from (f"### cms {verb.name}", "", f"{verb.summary}.", "")
    if verb.text:
        yield from (verb.text, "")
    yield from (f"    {usage(verb, own)}", "")
    rows = [(f"`{metavar(p)}`", texts._described(p)) for p in own if p.argument]
    rows += [(f"`{texts._spelled(p).strip()}`", texts._described(p)) for p in own if not p.argument]
    if rows:
        yield from (*table(("argument or option", "meaning"), rows), "")
    yield from (f"- {fact}" for fact in _facts(verb))
    yield ""


def usage(verb: Verb, own: Sequence[Parameter]) -> str:
    """Return how a verb is called."""
    words = [texts._usage(metavar(p), p) for p in own if p.argument and not p.rest]
    rest = [f"-- {p.name.upper()}..." for p in own if p.rest]
    return " ".join(["cms", verb.name, *words, "[OPTIONS]", *rest])


def _facts(verb: Verb) -> Iterator[str]:
    if verb.aliases:
        yield "also: " + code(" ".join(("cms", *verb.path[:-1], alias)) for alias in verb.aliases)
    if verb.columns:
        yield f"columns: {code(verb.columns)}"
    doors = [name for door, name in DOOR_NAMES.items() if door in verb.doors]
    near = "" if "rest" in verb.doors else "; it works on this machine's own files, so no service ever offers it"
    yield f"doors: {', '.join(doors)}{near}"
    yield f"example: `{verb.example}`"
