"""Names and labels: what is allowed, the next free name, patterns, and host lists like web[01-05,08]."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from cloudms.errors import Exists, Invalid

LIMIT = 10_000
"""How many names one host list may stand for, and how many taken names `series` steps over."""

_LABEL_KEY, _LABEL_VALUE = 128, 255
"""Characters of a label's key and value."""

# Patterns stay text until they are used: compiling them all would cost each command a millisecond.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_FIELD = r"\{\{|\}\}|\{([^{}]*)\}|[{}]"
_PLACE = r"([A-Za-z_][A-Za-z0-9_.-]*)(?::(0?[1-9][0-9]?))?"
_RANGE = r"([0-9]+)-([0-9]+)"
_WORD = r"[A-Za-z0-9_.]+"
_LAST_NUMBER = r"[0-9]+(?=[^0-9]*\Z)"


def increment(name: str) -> str:
    """Return the name after `name`: its last run of digits counted up, zero padding kept, `1` appended without one.

    test00_cloudmesh00 becomes test00_cloudmesh01, web09 web10, web99 web100, web web1: the rule of newawsvm's
    `increment_string`.
    """
    found = re.search(_LAST_NUMBER, name)
    if found is None:
        return name + "1"
    number = str(int(found[0]) + 1).zfill(len(found[0]))
    return name[: found.start()] + number + name[found.end() :]


def series(base: str, count: int, taken: Callable[[str], bool]) -> list[str]:
    """Return `count` free names that begin with `base`.

    A base with digits counts up from itself (test00 → test00, test01 …). One without is used as it is for a single VM
    and numbered with a dash for several or when taken (web → web-1, web-2 …). `taken` tells whether a name is in use;
    such names are stepped over.

    Raises: Invalid (base, count), Exists (no free name within 10,000 steps).
    """
    if not 1 <= count <= LIMIT:
        raise Invalid(f"{count} VMs cannot be named at once", hint=f"choose a count from 1 to {LIMIT}")
    valid(base)
    numbered = re.search(_LAST_NUMBER, base) is not None
    candidate = base if numbered or (count == 1 and not taken(base)) else f"{base}-1"
    found: list[str] = []
    for _ in range(LIMIT + count):
        if not taken(candidate):
            found.append(valid(candidate))
            if len(found) == count:
                return found
        candidate = increment(candidate)
    raise Exists(f"no free name follows {base}", hint="choose another base name")


def valid(name: str) -> str:
    """Return `name` when it may name a VM: 1 to 63 of A-Z a-z 0-9 _ . -, the first a letter or digit.

    The rule is RFC 1123's label, widened by upper case, `_` and `.` which the ancestors' names have
    (test_cloudmesh00). Raises: Invalid, with a name that would do.
    """
    if re.fullmatch(_NAME, name):
        return name
    suggestion = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip("-_.").rstrip("-")[:63] or "vm1"
    shown = name if len(name) <= 80 and name.isprintable() else ascii(name[:60])
    reason = "is longer than 63 characters" if len(name) > 63 else "has characters a name cannot have"
    raise Invalid(
        f"the name {shown!r} {reason}" if name else "a name cannot be empty",
        hint=f"letters, digits, '-', '_' and '.' are allowed, the first a letter or digit: {suggestion}",
    )


def labels(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels when they may be put on something: keys of 1 to 128 characters without spaces and `=`, values of
    at most 255, all of them on one line.

    The lengths are those that the tags of EC2 (keys) and the metadata of OpenStack (values) allow. Raises: Invalid.
    """
    for key, value in (given or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise Invalid(f"the label {key!r} is not text", hint="write key=value")
        if not 1 <= len(key) <= _LABEL_KEY or not key.isprintable() or set(" =") & set(key):
            raise Invalid(
                f"{key[:60]!a} cannot be the key of a label",
                hint=f"1 to {_LABEL_KEY} characters without spaces and '=', for instance tier=front",
            )
        if len(value) > _LABEL_VALUE or not value.isprintable():
            raise Invalid(
                f"the label {key[:60]} cannot have the value {value[:60]!a}",
                hint=f"one line of at most {_LABEL_VALUE} characters",
            )
    return dict(given or {})


def hostname(name: str) -> str:
    """Return `name` as a host name by RFC 1123: lower case letters, digits and single dashes, at most 63."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].rstrip("-")
    return label or "vm"


def unreserved(name: str, nouns: Collection[str], what: str) -> str:
    """Return `name` unless it is one of the words of the command line.

    Parameters: `nouns`, the reserved words; `what`, what was to be named so ("cloud", "alias").
    Raises: Invalid.
    """
    if name not in nouns:
        return name
    raise Invalid(
        f"{name!r} is a word of the command line and cannot name {'an' if what[0] in 'aeiou' else 'a'} {what}",
        hint=f"choose another name, for instance my-{name}",
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` closest to `word`, upper and lower case being equal, or None when none is close."""
    import difflib

    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def render(pattern: str, values: Mapping[str, object]) -> str:
    """Return `pattern` with `{key}` replaced by `values`, `{key:03}` padded with zeros, `{{` and `}}` as braces.

    Keys are looked up as plain text; nothing of a value is interpreted. Source: name.yaml's `schema` of the ancestors.
    Raises: Invalid (unknown key, stray brace, width of something that is not a number).
    """

    def field(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        place = re.fullmatch(_PLACE, found[1]) if found[1] is not None else None
        if place is None:
            raise Invalid(
                f"{found[0]!r} in the name pattern {pattern!r} is not a placeholder",
                hint="write {key} or {key:03}, and {{ for a brace",
            )
        return _filled(pattern, place[1], place[2], values)

    return re.sub(_FIELD, field, pattern)


def _filled(pattern: str, key: str, width: str | None, values: Mapping[str, object]) -> str:
    if key not in values:
        close = nearest(key, values)
        raise Invalid(
            f"the name pattern {pattern!r} asks for {{{key}}}, which is not known here",
            hint=(f"did you mean {{{close}}}? " if close else "") + f"known: {', '.join(sorted(values))}",
        )
    text = str(values[key])
    if width is None:
        return text
    if not text.isdecimal():
        raise Invalid(
            f"the name pattern {pattern!r} pads {{{key}}}, which is not a number",
            hint=f"write {{{key}}} without a width",
        )
    return text.zfill(int(width))


def expand(text: str) -> list[str]:
    """Return the names a host list stands for, in order and each once: web[01-03,08],db → web01 web02 web03 web08 db.

    Several brackets multiply; a range keeps the zeros of its first number. Raises: Invalid (brackets, ranges, empty
    parts, more than 10,000 names).
    """
    names: dict[str, None] = {}
    for part in _split(text):
        for name in _multiply(part, text):
            names[name] = None
        if len(names) > LIMIT:
            raise _too_many(text)
    return list(names)


def _split(text: str) -> list[str]:
    """Return the parts between the commas that stand outside brackets."""
    parts: list[str] = []
    depth = start = 0
    for position, letter in enumerate(text + ","):
        if letter in "[]":
            depth += 1 if letter == "[" else -1
            if depth not in (0, 1):
                raise _wrong(text, "its brackets do not match")
        elif letter == "," and (depth == 0 or position == len(text)):
            parts.append(text[start:position].strip())
            start = position + 1
    if depth:
        raise _wrong(text, "a bracket is not closed")
    if not all(parts):
        raise _wrong(text, "a name is missing beside a comma" if text.strip() else "it is empty")
    return parts


def _multiply(part: str, text: str) -> list[str]:
    names = [""]
    for index, piece in enumerate(re.split(r"\[([^]]*)\]", part)):
        if index % 2 == 0:
            if any(letter.isspace() for letter in piece):
                raise _wrong(text, "a name has a space in it")
            names = [name + piece for name in names]
            continue
        choices = _choices(piece, text)
        if len(names) * len(choices) > LIMIT:
            raise _too_many(text)
        names = [name + choice for name in names for choice in choices]
    return names


def _choices(inside: str, text: str) -> list[str]:
    """Return what one bracket stands for."""
    found: list[str] = []
    for item in (entry.strip() for entry in inside.split(",")):
        if limits := re.fullmatch(_RANGE, item):
            found.extend(_range(limits[1], limits[2], text))
        elif re.fullmatch(_WORD, item):
            found.append(item)
        else:
            raise _wrong(text, f"[{inside}] has something that is neither a number, a range nor a word")
    return found


def _range(first: str, last: str, text: str) -> list[str]:
    if max(len(first), len(last)) > 18:
        raise _too_many(text)
    low, high = int(first), int(last)
    if low > high:
        raise _wrong(text, f"{first}-{last} runs backwards; write {last}-{first}")
    if high - low >= LIMIT:
        raise _too_many(text)
    width = len(first) if first.startswith("0") else 0
    return [str(number).zfill(width) for number in range(low, high + 1)]


def _wrong(text: str, why: str) -> Invalid:
    return Invalid(f"the host list {text[:80]!r} cannot be read: {why}", hint="write it like web[01-05,08],db1")


def _too_many(text: str) -> Invalid:
    return Invalid(
        f"the host list {text[:80]!r} stands for more than {LIMIT} names", hint="write a smaller range, or several"
    )


def compress(names: Iterable[str]) -> str:
    """Return the shortest host list this house writes for `names`: web01 web02 web03 db → web[01-03],db.

    Names that differ in their last number only are joined; `expand` gives back the same names, each once.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for head, number, tail in _parts(names):
        width = len(number) if number else 0
        groups.setdefault((head, tail, width), []).append(int(number) if number else -1)
    return ",".join(_group(head, tail, width, numbers) for (head, tail, width), numbers in _merged(groups).items())


def _parts(names: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    for name in dict.fromkeys(names):
        found = re.search(_LAST_NUMBER, name)
        if found is None or len(found[0]) > 18:
            yield name, "", ""
        else:
            yield name[: found.start()], found[0], name[found.end() :]


def _merged(groups: dict[tuple[str, str, int], list[int]]) -> dict[tuple[str, str, int], list[int]]:
    """Join the groups of one width each whose numbers have no leading zero: width 1 then means unpadded."""
    joined: dict[tuple[str, str, int], list[int]] = {}
    for (head, tail, width), numbers in groups.items():
        padded = width > 1 and min(numbers) < 10 ** (width - 1)
        joined.setdefault((head, tail, width if padded else min(width, 1)), []).extend(numbers)
    return joined


def _group(head: str, tail: str, width: int, numbers: list[int]) -> str:
    if width == 0:
        return head
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    items = [
        str(low).zfill(width) if low == high else f"{str(low).zfill(width)}-{str(high).zfill(width)}"
        for low, high in runs
    ]
    inside = ",".join(items)
    return f"{head}{inside}{tail}" if len(numbers) == 1 else f"{head}[{inside}]{tail}"
