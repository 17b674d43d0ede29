"""Labels of any noun: choosing by them, and changing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cloudms import names
from cloudms.errors import Invalid, NotFound
from cloudms.model import Noun

N = TypeVar("N", bound=Noun)


def narrow(what: str, found: Iterable[N], wanted: Mapping[str, str] | None) -> list[N]:
    """Return those of `found` that have all the labels `wanted`. Raises: NotFound, when none has them."""
    if not wanted:
        return list(found)
    having = [noun for noun in found if has(noun, wanted)]
    if not having:
        text = ", ".join(f"{key}={value}" for key, value in wanted.items())
        raise NotFound(
            f"no {what} has the labels {text}", hint=f"cms {what.lower()} list --label shows what a label matches"
        )
    return having


def has(noun: Noun, wanted: Mapping[str, str] | None) -> bool:
    """Whether a noun has all these labels with these values."""
    return not wanted or wanted.items() <= dict(noun.labels).items()


def pick(
    what: str,
    words: Sequence[str],
    wanted: Mapping[str, str] | None,
    find: Callable[[str], N],
    every: Callable[[], Iterable[N]],
) -> list[N]:
    """Return the nouns of these names and host lists, each once; with labels those of them, or of all, that have them.

    Parameters: `find` returns the one of a name, `every` all there are.
    Raises: Invalid (nothing named), NotFound (nothing has the labels), and what `find` raises.
    """
    check_named(what, words, wanted)
    found = [find(name) for name in expanded(words)] if words else every()
    return narrow(what, {(noun.key, noun.name): noun for noun in found}.values(), wanted)


def check_named(what: str, words: Sequence[str], wanted: Mapping[str, str] | None) -> None:
    """Refuse to choose everything. Raises: Invalid."""
    if not words and not wanted:
        raise Invalid(f"no {what} was named: name one, or choose with --label", hint=f"cms {what} list shows them")


def expanded(words: Iterable[str]) -> list[str]:
    """Return the names that words stand for, each once; one with a space in it is a name that a cloud has given."""
    parts = (names.expand(word) if word.split() == [word] else [word] for word in words)
    return list(dict.fromkeys(name for part in parts for name in part))


def changes(
    put: Mapping[str, str] | None, remove: Sequence[str] | None, *, hint: str = "--set key=value or --remove key"
) -> dict[str, Any]:
    """Return a change of labels as the parameters of a step. Raises: Invalid (nothing, or no labels)."""
    if not put and not remove:
        raise Invalid("nothing to change", hint=hint)
    return {"set": names.labels(put), "remove": list(remove or ())}


def changed(labels: Mapping[str, str], change: Mapping[str, Any]) -> dict[str, str]:
    """Return labels after such a change; what a step does not have changes nothing."""
    gone = change.get("remove", ())
    return {key: value for key, value in {**labels, **change.get("set", {})}.items() if key not in gone}
