"""Secrets: values that show themselves only when asked by name, and references to where they really are."""

from __future__ import annotations

import errno
import importlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never

from cloudms.errors import ConfigError, Denied

MASK = "******"
UNSET = "TBD"
_LARGEST = 64 * 1024


class Secret(str):
    """A text that prints, formats, logs and becomes JSON as ****** and tells its value to `reveal` only.

    One that is not set is the empty text, so that `if secret:` asks whether there is a value. It cannot be pickled.
    """

    __slots__ = ("_load", "reference")

    _load: Callable[[], object]
    reference: str
    """Where the value is (env:NAME, file:PATH, keyring:SERVICE/USER), or empty when it stands in the file itself."""

    def __new__(cls, load: Callable[[], object], *, is_set: bool = True, reference: str = "") -> Secret:
        """Make a secret whose value `load` returns when it is revealed."""
        made = super().__new__(cls, MASK if is_set else "")
        made._load = load
        made.reference = reference
        return made

    def reveal(self) -> str:
        """Return the value, its reference followed. Raises: Denied, ConfigError."""
        value = self._load()
        return "" if value is None else str(value)

    def shown(self) -> str:
        """Return what `config cat` prints: the reference, TBD when unset, else ******."""
        return self.reference or (MASK if self else UNSET)

    def __repr__(self) -> str:
        """Show the mask."""
        return MASK

    def __deepcopy__(self, memo: object) -> Secret:
        """Return itself: a secret does not change."""
        return self

    def __reduce__(self) -> Never:
        """Refuse: a pickle would carry the value."""
        raise TypeError("a Secret is not pickled; hand on its reference instead")


def revealed(value: Any) -> Any:
    """Return `value` with every secret in it replaced by its plain text, the unset ones left out of mappings."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {key: revealed(item) for key, item in value.items() if not (isinstance(item, Secret) and not item)}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return value


def is_reference(text: object) -> bool:
    """Whether `text` says where a secret is instead of being one."""
    return isinstance(text, str) and text.startswith(tuple(f"{scheme}:" for scheme in _SCHEMES))


def follow(text: str, environ: Mapping[str, str]) -> str:
    """Return the secret that the reference `text` leads to, or `text` itself when it is none.

    Raises: Denied (nothing there, or not readable), ConfigError (not a usable reference).
    """
    scheme, colon, place = text.partition(":")
    if not colon or scheme not in _SCHEMES:
        return text
    if not place:
        raise ConfigError(f"the reference '{scheme}:' names nothing", hint=f"write {scheme}:NAME")
    return _SCHEMES[scheme](place, environ)


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise Denied(f"the environment variable {name} has no value", hint=f"export {name}=... before running cms")
    return value


def _from_file(place: str, environ: Mapping[str, str]) -> str:
    path, name = Path(place).expanduser(), ""
    if "#" in place and not path.exists():
        whole, _, name = place.rpartition("#")
        path = Path(whole).expanduser()
    try:
        with path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()))
            content = file.read(_LARGEST + 1)
    except OSError as problem:
        hint = f"chmod 600 {path}" if problem.errno == errno.EACCES else "write the secret into that file, mode 0600"
        raise Denied(f"the secret file {path} cannot be read: {os.strerror(problem.errno or 0)}", hint=hint) from None
    if len(content) > _LARGEST:
        raise ConfigError(f"the secret file {path} is larger than 64 KiB", hint="name the file of one secret")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"the secret file {path} is not UTF-8 text", hint="store the secret as text") from None
    return _line(text, name, path) if name else text.removesuffix("\n").removesuffix("\r")


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Refuse a file of one's own that others may read; what the system mounts for a service has modes of its own.

    Raises: Denied.
    """
    if status.st_uid == os.geteuid() and stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise Denied(f"others may read the secret file {path} (mode {mode:04o})", hint=f"chmod 600 {path}")


def _line(text: str, name: str, path: Path) -> str:
    """Return the value of `name` in lines NAME=VALUE, upper and lower case being equal. Raises: Denied."""
    for line in text.splitlines():
        key, sign, value = line.strip().removeprefix("export ").partition("=")
        if sign and key.strip().lower() == name.lower():
            return value.strip().strip("'\"")
    raise Denied(f"the secret file {path} has no line {name}=VALUE", hint="write one, or name another file")


def _from_keyring(place: str, environ: Mapping[str, str]) -> str:
    service, slash, user = place.rpartition("/")
    if not (slash and service and user):
        raise ConfigError(f"'keyring:{place}' does not say whose secret", hint="write keyring:SERVICE/USER")
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise ConfigError("a keyring: reference needs the package keyring", hint="pip install keyring") from None
    value: str | None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as problem:
        raise Denied(
            f"the keyring cannot be opened: {type(problem).__name__}", hint="unlock it, or use env: or file:"
        ) from None
    if value is None:
        raise Denied(f"the keyring has nothing for {place}", hint=f"keyring set {service} {user}")
    return value


_SCHEMES: dict[str, Callable[[str, Mapping[str, str]], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "keyring": _from_keyring,
}
