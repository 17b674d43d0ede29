"""From what a person typed to words of the house: global options, the person's aliases, a cloud's name as a prefix."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cloudms.errors import CloudmsError, Invalid, NotFound
from cloudms.record import Record
from cloudms.registry import Index

WITH_VALUE = frozenset(("-o", "--output", "--cloud", "--columns"))
FLAGS = frozenset(("-q", "--quiet", "-y", "--yes", "--dry-run", "--debug", "--no-header"))
"""Options of every command, which may also stand before its words."""


SCRIPTS = (".cms", ".cm")
"""How the names of scripts end."""


def is_script(word: str) -> bool:
    """Whether the first word of a command line names a script: it ends like one, or is the path of a file.

    No command and no cloud has such a name, so that a file never hides one.
    """
    if word.startswith("-"):
        return False
    return word.endswith(SCRIPTS) or ("/" in word and os.path.exists(word))  # noqa: PTH110 (start-up path)


class Known(Protocol):
    """What is asked of the configuration."""

    def aliases(self) -> Mapping[str, str]:
        """Return the person's own words."""

    def has_cloud(self, name: str) -> bool:
        """Whether a cloud has that name."""


class Words(Record):
    """A command line sorted out: the cloud of a prefix, the alias that was used, the words and what follows them."""

    words: tuple[str, ...] = ()
    cloud: str = ""
    alias: str = ""


def sort_out(argv: Sequence[str], index: Index, known: Callable[[], Known]) -> Words:
    """Bring global options behind the words, expand an alias, and take a cloud's name off the front.

    `known` is called only when the first word is no noun, since reading the configuration costs start-up time.
    Each of alias and cloud is looked for once, so that an alias may begin with a cloud and none can recurse.
    Raises: Invalid (an option without its value, an alias that cannot be read), NotFound (an alias of no known cloud).
    """
    words, options = _front(argv)
    cloud = alias = ""
    while words and words[0] not in index.reserved():
        aliases = {} if alias else known().aliases()
        if words[0] in aliases:
            alias = words[0]
            words = [*_split(alias, aliases[alias]), *words[1:]]
        elif not cloud and known().has_cloud(words[0]):
            cloud = words.pop(0)
        elif alias:
            raise NotFound(
                f"'{alias}' stands for '{known().aliases()[alias]}', but no cloud is called '{words[0]}'",
                hint="cms cloud list shows the clouds",
            )
        else:
            break
    return Words(words=_with(words, options), cloud=cloud, alias=alias)


def _front(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words without, and the global options that stand before the first of them."""
    words, options = list(argv), []
    while words and words[0].startswith("-") and words[0] != "--":
        name, has_value, _ = words[0].partition("=")
        if name in FLAGS or (has_value and name in WITH_VALUE):
            options.append(words.pop(0))
        elif name in WITH_VALUE:
            if len(words) < 2:
                raise Invalid(f"option {name} needs a value", hint="cms --help")
            options += [words.pop(0), words.pop(0)]
        else:
            break
    return words, options


def _with(words: list[str], options: list[str]) -> tuple[str, ...]:
    """Return the words with options at the end, but before what is passed on untouched."""
    place = words.index("--") if "--" in words else len(words)
    return (*words[:place], *options, *words[place:])


def _split(name: str, text: str) -> list[str]:
    import shlex

    try:
        found = shlex.split(text)
    except ValueError as error:
        raise Invalid(f"the alias '{name}' cannot be read: {error}", hint="cms config get alias") from None
    if not found:
        raise Invalid(f"the alias '{name}' is empty", hint="cms config get alias")
    return found


def option_of(argv: Sequence[str], *names: str) -> str | None:
    """Return the value of an option in words not parsed yet (the last one), "" when it has none, None when absent."""
    found = None
    for position, word in enumerate(argv):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in names:
            following = argv[position + 1] if position + 1 < len(argv) else ""
            found = value if equals else following
        elif len(word) > 2 and word[:2] in names and not word.startswith("--"):
            found = word[2:]
    return found


def clashes(known: Mapping[str, str], clouds: Sequence[str], index: Index) -> list[str]:
    """Return a warning for every alias or cloud that bears a word of the command line and so is out of reach."""
    reserved = index.reserved()
    found = [f"the alias '{name}' is a word of cms and is not used" for name in known if name in reserved]
    found += [
        f"the cloud '{name}' bears a word of cms: "
        + ("call it otherwise, --cloud all is every cloud" if name == "all" else f"reach it with --cloud {name}")
        for name in clouds
        if name in reserved
    ]
    return found


def utf8(argv: Sequence[str]) -> list[str]:
    """Return the words when they are text. Raises: Invalid, since no name, label or document could hold other bytes."""
    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise Invalid(f"{word!a} is not UTF-8 text", hint="check the locale of this terminal") from None
    return list(argv)


def unknown(index: Index, words: Sequence[str], door: str = "cli") -> CloudmsError:
    """Return the error for words that are no command at a door, or are one at another."""
    elsewhere = [entry for entry in index.below(words[:1]) if "cli" in entry.doors]
    if door == "shell" and elsewhere and not any(door in entry.doors for entry in elsewhere):
        name = elsewhere[0].path[0]
        return Invalid(f"'{name}' is for the command line, and this is the shell", hint=f"!cms {name} runs it beside")
    shown = " ".join(words[:2]) if words and index.below(words[:1]) else words[0]
    return Invalid(f"no command '{shown[:80]}'", hint=index.suggest(list(words), door))
