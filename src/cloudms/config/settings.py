"""What `cms set` and `cms default` remember: one small JSON file, and the environment above it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from cloudms.clock import Clock
from cloudms.config import files
from cloudms.config.tree import is_secret
from cloudms.errors import ConfigError, Invalid

Value = str | int | float | bool

BUILT_IN: dict[str, Value] = {
    "default.cloud": "local",
    "name.schema": "{user}-{cloud}-{counter}",
    "refresh": "on",
}

SHORT = {"cloud": "default.cloud", "group": "default.group", "experiment": "default.experiment", "vm": "default.vm"}
"""Variables of the ancestors' `cms set` by the keys they stand for here."""

PER_CLOUD = (
    "image", "flavor", "size", "location", "login", "username", "network", "key", "keypair", "secgroup", "ttl", "wait",
)  # fmt: skip
"""Words that, said alone, mean the default of a cloud."""

_KEY = r"[A-Za-z][A-Za-z0-9_.-]{0,199}"


def environment_name(key: str) -> str:
    """Return the variable that overrides `key`: default.cloud is CLOUDMS_DEFAULT_CLOUD."""
    return "CLOUDMS_" + "".join(letter if letter.isalnum() else "_" for letter in key.upper())


def checked(key: str) -> str:
    """Return `key` when it may be remembered. Raises: Invalid (spelling, secrets)."""
    if not re.fullmatch(_KEY, key) or ".." in key or key.endswith("."):
        raise Invalid(f"{key!r} is not a key", hint="write it like default.cloud")
    if is_secret(tuple(key.split(".")), ""):
        raise Invalid(
            f"{key} is a secret, which `cms set` does not keep",
            hint=f"cms config set {key}=env:NAME (or file:PATH) writes where it is",
        )
    return key


class Settings:
    """The remembered values. Parameters: `path`, the file; `clock`, to wait for other writers by."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    def values(self) -> dict[str, Value]:
        """Return every remembered value by its dotted key. Raises: ConfigError."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except OSError as problem:
            raise ConfigError(f"{self.path} cannot be read: {problem.strerror}", hint="check its mode") from None
        except UnicodeDecodeError:
            raise self._malformed(1) from None
        return self._parse(text)

    def _parse(self, text: str) -> dict[str, Value]:
        try:
            found = json.loads(text)
        except json.JSONDecodeError as problem:
            raise self._malformed(problem.lineno) from None
        values = found.get("values") if isinstance(found, dict) else None
        if not isinstance(values, dict) or not all(isinstance(v, str | int | float) for v in values.values()):
            raise self._malformed(1)
        return values

    def _malformed(self, line: int) -> ConfigError:
        return files.wrong(
            self.path, line, "this is not what `cms set` writes", "delete the file and set the values again"
        )

    def change(self, changes: Mapping[str, Value | None]) -> None:
        """Remember `changes`; None forgets a key. Raises: Invalid, Conflict, Denied, NoCapacity."""
        for key in changes:
            checked(key)
        with files.Lock(self.path, self._clock):
            values = {**self.values(), **changes}
            kept = {key: value for key, value in sorted(values.items()) if value is not None}
            files.write(self.path, json.dumps({"version": 1, "values": kept}, indent=2) + "\n")
