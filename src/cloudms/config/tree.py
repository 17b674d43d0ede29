"""The tree of a configuration file: dotted access, which leaves are secrets, and its form without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from cloudms.config.secret import Secret, is_reference
from cloudms.names import nearest

Path = tuple[str, ...]
"""The keys that lead to a value, from the root of the file."""

MARK = "!secret"
"""The key of what stands in the cache for a secret: its value is "", "set" or the reference."""

# Patterns stay text until they are used: compiling them all would cost each command a millisecond.
_HIDDEN_NAME = r"(?i)(password|passwd|passphrase|pass_phrase|secret|token|apikey)s?$|secret_access|.[_-]key(_id)?$"
_PUBLIC_NAME = r"(?i)(^|[_-])public[_-]?key$"
_URL_LOGIN = r"://[^/@\s:]*:[^/@\s]+@"
_PLACEHOLDER = r"(?i)(.*[/@])?(tbd([._@].*)?|x{4,}[x.-]*|none)"
_SAMPLE = r"(?i)(your|the|my)\b.*\b(id|key|name|password)|(access|secret) key|(image|size) id"


class MissingKey(KeyError):
    """No such key; its text names the nearest one."""

    def __str__(self) -> str:
        """Return the sentence without the quotes KeyError would add."""
        return str(self.args[0])


class Tree(dict[str, Any]):
    """A section of the file: a dict that also takes dotted keys, `tree["data.mongo.MONGO_HOST"]`.

    A key that itself has dots in it is found as well, the longest first. Changes are not written anywhere; that is
    what `Config.set` does.
    """

    def __missing__(self, key: str) -> Any:
        """Return the value of a dotted key. Raises: MissingKey."""
        path = locate(self, key)
        if path is None:
            raise MissingKey(self._complaint(key))
        value: Any = self
        for part in path:
            value = dict.__getitem__(value, part)
        return value

    def __contains__(self, key: object) -> bool:
        """Whether the plain or dotted key exists."""
        return dict.__contains__(self, key) or (isinstance(key, str) and locate(self, key) is not None)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of the plain or dotted key, or `default`."""
        path = locate(self, key)
        return default if path is None else at(self, path)

    def _complaint(self, key: str) -> str:
        known = [".".join(path) for path, _ in leaves(self)] + list(self)
        close = nearest(str(key), known)
        return f"the configuration has no {key!r}" + (f"; did you mean {close!r}?" if close else "")


def locate(tree: dict[str, Any], key: str) -> Path | None:
    """Return the path that the dotted `key` stands for in `tree`, keys with dots in them included, or None."""
    parts = key.split(".")
    for size in range(len(parts), 0, -1):
        head = ".".join(parts[:size])
        if not dict.__contains__(tree, head):
            continue
        if size == len(parts):
            return (head,)
        below = dict.__getitem__(tree, head)
        rest = locate(below, ".".join(parts[size:])) if isinstance(below, dict) else None
        if rest is not None:
            return (head, *rest)
    return None


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every value that is not a section, with its path; positions in lists count as keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))
    else:
        yield path, value


def is_entry_credential(key: str) -> bool:
    """Whether a key is a credential wherever it stands: the 2017 file has them beside `credentials:`, not below."""
    return key.startswith(("EC2_", "OS_", "AZURE_", "AWS_", "GOOGLE_", "OCI_")) and key.isupper()


def is_unset(value: object) -> bool:
    """Whether `value` is empty or one of the ancestors' fillers: TBD, None, xxxx-xxxx, ~/.cloudmesh/TBD."""
    if value is None or not isinstance(value, str):
        return value is None
    low = value.lower()
    suspect = "tbd" in low or "xxxx" in low or "none" in low
    return not low.strip() or (suspect and re.fullmatch(_PLACEHOLDER, low.strip()) is not None)


def is_placeholder(value: object) -> bool:
    """Whether `value` is a sample text of the ancestors' manuals: 'ACCESS KEY', 'your access id'."""
    return isinstance(value, str) and re.fullmatch(_SAMPLE, value.strip()) is not None


def is_secret_name(key: str) -> bool:
    """Whether a key named so holds a secret by its name: *_KEY, password, secret, token …; a public key does not."""
    return re.search(_HIDDEN_NAME, key) is not None and re.search(_PUBLIC_NAME, key) is None


def is_secret(path: Path, value: object) -> bool:
    """Whether the leaf at `path` is hidden: below `credentials`, named like a secret, or a URL with a password."""
    if "credentials" in path[:-1] or any(map(is_secret_name, path)):
        return True
    if "default" not in path and any(map(is_entry_credential, path)):
        return True
    return isinstance(value, str) and re.search(_URL_LOGIN, value) is not None


def is_clear(path: Path, value: object) -> bool:
    """Whether `value` is a real secret written out: not a reference, and not the user name or address beside one."""
    secret = is_secret_name(path[-1]) or (isinstance(value, str) and re.search(_URL_LOGIN, value) is not None)
    return secret and not isinstance(value, bool) and not is_unset(value) and not is_reference(value)


def elsewhere(path: Path) -> str:
    """Return the hint that says how to keep the secret at `path` out of the file."""
    if is_secret(path, ""):
        return f"keep it elsewhere: {path[-1]}: env:NAME, file:PATH or keyring:SERVICE/USER"
    return f"keep it in the environment: {path[-1]}: ${{NAME}}"


def mask(value: Any, path: Path = ()) -> Any:
    """Return `value` with a mark in the place of every secret leaf: what may be cached."""
    if isinstance(value, dict):
        return {key: mask(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item, (*path, str(index))) for index, item in enumerate(value)]
    if not is_secret(path, value):
        return value
    return {MARK: "" if is_unset(value) else value if is_reference(value) else "set"}


def hydrate(value: Any, load: Callable[[Path], object], path: Path = ()) -> Any:
    """Return the masked `value` with a `Secret` for every mark, whose value `load(path)` returns when asked."""
    if isinstance(value, dict):
        state = dict.get(value, MARK)
        if isinstance(state, str):
            return Secret(lambda: load(path), is_set=bool(state), reference="" if state == "set" else state)
        return Tree({key: hydrate(item, load, (*path, key)) for key, item in value.items()})
    if isinstance(value, list):
        return [hydrate(item, load, (*path, str(index))) for index, item in enumerate(value)]
    return value


def at(value: Any, path: Path) -> Any:
    """Return what is at `path`, or None where the path ends early."""
    for key in path:
        if isinstance(value, dict):
            value = dict.get(value, key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
