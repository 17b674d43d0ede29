"""Substitution in values: ~, $VAR, ${VAR}, {cloudmesh.a.b} and a lone dot, by a parser that evaluates nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from cloudms.config.secret import Secret, follow
from cloudms.config.tree import Path, Tree, at, is_secret_name, locate
from cloudms.errors import ConfigError

_REFERENCE = r"(?a)\{(?P<key>cloudmesh\.[A-Za-z0-9_.-]+)\}|\$\{(?P<braced>[A-Za-z_]\w*)\}|\$(?P<bare>[A-Za-z_]\w*)"


class Substitution:
    """Replaces references inside the values of one tree.

    An unknown variable or key stays as it is written, and text that came from a variable is not looked at again.
    Parameters: `root`, returns the whole file; `environ`, the variables. Raises on use: ConfigError for a circle.
    """

    def __init__(self, root: Callable[[], dict[str, Any]], environ: Mapping[str, str]) -> None:
        self._root = root
        self._environ = environ

    def value(self, value: Any, trail: tuple[str, ...] = ()) -> Any:
        """Return `value` (text, list or section) with every reference in it replaced."""
        if isinstance(value, dict):
            return Tree({key: self.value(item, trail) for key, item in value.items()})
        if isinstance(value, list):
            return [self.value(item, trail) for item in value]
        if isinstance(value, str) and not isinstance(value, Secret):
            return self._text(value, trail)
        return value

    def secret(self, path: Path) -> object:
        """Return the plain value of the secret at `path` of a tree that has its secrets in it.

        Passwords may have any letters, so a value with a secret's name is replaced only when it is a reference as a
        whole; other credentials (paths, user names) are replaced like any value.
        Raises: Denied, ConfigError.
        """
        value = at(self._root(), path)
        if not isinstance(value, str):
            return value
        if followed := follow(value, self._environ):
            if followed is not value:
                return followed
            whole = re.fullmatch(_REFERENCE, value)
            verbatim = whole is None and is_secret_name(path[-1])
            return value if verbatim else self._text(value, (".".join(path),))
        return value

    def unknown(self, text: str) -> list[str]:
        """Return the references in `text` that lead nowhere, as they are written."""
        lost = []
        for token in re.finditer(_REFERENCE, text):
            name = token["braced"] or token["bare"]
            known = name in self._environ if name else self._find(token["key"]) is not None
            if not known:
                lost.append(token[0])
        return lost

    def _text(self, text: str, trail: tuple[str, ...]) -> Any:
        if text == ".":
            return os.getcwd()  # noqa: PTH109 (a text is wanted)
        if text == "~" or text.startswith("~/"):
            text = os.path.expanduser("~") + text[1:]  # noqa: PTH111 (a text is wanted)
        if "$" not in text and "{" not in text:
            return text
        if (whole := re.fullmatch(_REFERENCE, text)) and whole["key"]:
            found = self._find(whole["key"])
            return text if found is None else self._key(whole["key"], found, trail)
        return self._join(text, trail)

    def _join(self, text: str, trail: tuple[str, ...]) -> str:
        pieces: list[str] = []
        secrets: list[Secret] = []
        end = 0
        for token in re.finditer(_REFERENCE, text):
            value = self._token(token, trail)
            if isinstance(value, Secret):
                secrets.append(value)
            pieces += [text[end : token.start()], value]
            end = token.end()
        pieces.append(text[end:])
        if secrets:  # a text with a secret inside is a secret as a whole
            return Secret(lambda: "".join(p.reveal() if isinstance(p, Secret) else p for p in pieces))
        return "".join(pieces)

    def _token(self, token: re.Match[str], trail: tuple[str, ...]) -> str:
        if name := token["braced"] or token["bare"]:
            return self._environ.get(name, token[0])
        found = self._find(token["key"])
        value = None if found is None else self._key(token["key"], found, trail)
        if isinstance(value, Secret):
            return value
        return token[0] if value is None or isinstance(value, dict | list) else _plain(value)

    def _find(self, key: str) -> Path | None:
        return locate(self._root(), key)

    def _key(self, key: str, path: Path, trail: tuple[str, ...]) -> Any:
        if key in trail:
            circle = " -> ".join([*trail[trail.index(key) :], key])
            raise ConfigError(
                f"values of the configuration refer to each other in a circle: {circle}",
                hint="write the value itself in one of them",
            )
        return self.value(at(self._root(), path), (*trail, key))


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
