"""Help at three depths: every noun, one noun, one command. The first two come from the index alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from cloudms import __version__
from cloudms.doors.options import metavar, negated, spelled
from cloudms.doors.screen import paint, width
from cloudms.registry import NOUN_ALIASES, Index, VerbEntry

if TYPE_CHECKING:
    from cloudms.verb import Parameter, Verb

_MACHINES = (
    "vm", "group", "experiment", "node", "run", "cluster", "ssh", "ssh-config", "put", "get", "inventory", "ansible",
    "scaler", "balancer", "workload", "load",
)  # fmt: skip
_GROUPS = (
    ("Machines", _MACHINES),
    (
        "What they are made of",
        ("image", "flavor", "key", "volume", "snapshot", "secgroup", "ip", "address", "network", "location"),
    ),
    (
        "Clouds and what happens there",
        ("cloud", "quota", "operation", "event", "cost", "sweep", "check", "status", "refresh"),
    ),
)
_LAST = "This program"
_SELF = (
    "config", "set", "default", "counter", "catalog", "doctor", "demo", "plugin", "shell", "serve", "portal",
    "completion", "version",
)  # fmt: skip

_OPTIONS = """
  -o, --output FORMAT   table, json, yaml, csv or name
      --dry-run         show what a command would do and change nothing
  -y, --yes             do not ask
  -q, --quiet           say nothing but results and errors
  -h, --help            help for any command"""


def general(index: Index, door: str = "cli") -> Iterator[str]:
    """Yield the lines of `cms --help`, or of `help` in the shell."""
    yield f"{_bold('cms')} {__version__}: one way to run virtual machines on every cloud a person can reach"
    yield ""
    yield f"{_bold('Usage:')} cms [CLOUD] COMMAND [ARGUMENTS] [OPTIONS]"
    nouns = {noun: entries for noun, entries in index.nouns().items() if any(door in entry.doors for entry in entries)}
    size = max((len(noun) for noun in nouns), default=0)
    for title, members in _grouped(nouns):
        yield ""
        yield _bold(title)
        for noun in members:
            yield from _pair(noun, _about(index, noun, nouns[noun]), size)
    yield ""
    yield _bold("Options of every command") + _OPTIONS
    yield ""
    yield "cms NOUN --help lists the commands of a noun, cms NOUN VERB --help tells one in full."


def _grouped(nouns: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    left = list(nouns)
    groups = [(title, [noun for noun in members if noun in left]) for title, members in _GROUPS]
    own = [noun for noun in _SELF if noun in left]
    placed = {noun for _, members in groups for noun in members} | set(own)
    groups += [("More", sorted(set(left) - placed)), (_LAST, own)]
    return ((title, members) for title, members in groups if members)


def _about(index: Index, noun: str, entries: list[VerbEntry]) -> str:
    if len(entries) == 1 and entries[0].path == (noun,):
        return _first_lower(entries[0].summary)
    return _first_lower(index.texts.get(noun, "") or ", ".join(e.path[-1] for e in _shown(entries)))


def words(index: Index, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of `cms NOUN --help`: the commands below `path`."""
    entries = _shown(index.below(path))
    name = " ".join(entries[0].path[: len(path)])
    yield f"{_bold('Usage:')} cms {name} COMMAND [ARGUMENTS] [OPTIONS]"
    about = index.texts.get(entries[0].path[0], "") if len(path) == 1 else ""
    if about:
        yield ""
        yield from _filled(about, 2)
    yield ""
    yield _bold("Commands")
    size = max(len(" ".join(e.path[len(path) :])) for e in entries)
    for entry in entries:
        also = f" (also: {', '.join(entry.aliases)})" if entry.aliases else ""
        also += f" (plug-in {entry.plugin})" if entry.plugin else ""
        yield from _pair(" ".join(entry.path[len(path) :]), _first_lower(entry.summary) + also, size)
    others = [alias for alias, noun in NOUN_ALIASES.items() if noun == name]
    if others:
        yield ""
        yield f"{name} is also called {', '.join(others)}."


def one(verb: Verb, own: list[Parameter], shared: list[Parameter]) -> Iterator[str]:
    """Yield the lines of `cms NOUN VERB --help`: usage, text, arguments, options, an example."""
    arguments = [p for p in own if p.argument and not p.rest]
    options = [p for p in own if not p.argument]
    rest = [p for p in own if p.rest]
    usage = [_usage(metavar(p), p) for p in arguments] + ["[OPTIONS]"] + [f"-- {p.name.upper()}..." for p in rest]
    yield f"{_bold('Usage:')} cms {verb.name} {' '.join(usage)}"
    yield ""
    yield from _filled(verb.summary + ".", 2)
    for paragraph in verb.text.split("\n\n") if verb.text else ():
        yield ""
        is_set = paragraph.startswith("  ") or "\n  " in paragraph
        yield from [f"  {line}" for line in paragraph.splitlines()] if is_set else _filled(paragraph, 2)
    yield from _section("Arguments", [(metavar(p), _described(p)) for p in [*arguments, *rest]])
    yield from _section("Options", [(_spelled(p), _described(p)) for p in options])
    yield from _section("Options of every command", [(_spelled(p), _described(p)) for p in shared])
    if verb.example:
        yield ""
        yield f"{_bold('Example:')} {verb.example}"
    if verb.aliases:
        yield f"{_bold('Also:')} " + ", ".join(" ".join(("cms", *verb.path[:-1], alias)) for alias in verb.aliases)


def _usage(name: str, parameter: Parameter) -> str:
    shown = name + ("..." if parameter.many else "")
    return shown if parameter.required else f"[{shown}]"


def _spelled(parameter: Parameter) -> str:
    names = spelled(parameter)
    shown = ", ".join(names) if len(names) > 1 else f"    {names[0]}"
    if parameter.type == "bool":
        no = negated(parameter)
        return f"{shown}, {no}" if no else shown
    return f"{shown} {metavar(parameter)}"


def _described(parameter: Parameter) -> str:
    facts = []
    if parameter.required and not parameter.argument:
        facts.append("required")
    if not parameter.argument and (parameter.many or parameter.type == "dict"):
        facts.append("may be repeated")
    if parameter.default not in (None, False, "", [], {}, ()):
        facts.append(f"default: {_word(parameter.default)}")
    return parameter.text + (f" ({'; '.join(facts)})" if facts else "")


def _word(value: object) -> str:
    return "yes" if value is True else " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _section(title: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
    if pairs:
        yield ""
        yield _bold(title)
        size = min(max(len(left) for left, _ in pairs), 30)
        for left, right in pairs:
            yield from _pair(left, right, size)


def _pair(left: str, right: str, size: int) -> Iterator[str]:
    """Yield a word and what it means, the meaning wrapped beside it."""
    lines = wrap(right, max(_columns() - size - 4, 30)) or [""]
    if len(left) > size:
        yield f"  {left}"
        left = ""
    yield f"  {left:<{size}}  {lines[0]}".rstrip()
    yield from (" " * (size + 4) + line for line in lines[1:])


def _filled(text: str, indent: int) -> list[str]:
    return [" " * indent + line for line in wrap(" ".join(text.split()), _columns() - indent)]


def _columns() -> int:
    return min(width(sys.stdout) or 100, 100)


def _shown(entries: Iterable[VerbEntry]) -> list[VerbEntry]:
    return [entry for entry in entries if "cli" in entry.doors]


def _first_lower(text: str) -> str:
    """Return text as a phrase; a word like SSH keeps its capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _bold(text: str) -> str:
    return paint(text, "bold", sys.stdout)
