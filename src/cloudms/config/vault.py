"""Where secrets go that a person types: into the desktop's keyring, else into a file of mode 0600; never into YAML."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudms import paths


def keep(cloud: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Put the secrets of a cloud away, by name, and return the reference to each. Raises: OSError."""
    keyring = _keyring()
    if keyring is not None:
        for name, value in secrets.items():
            keyring.set_password(_service(cloud), name, value)
        return {name: f"keyring:{_service(cloud)}/{name}" for name in secrets}
    file = _file(cloud)
    paths.private(file.parent)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in secrets.items())
    fresh.replace(file)
    return {name: f"file:{file}#{name}" for name in secrets}


def drop(cloud: str, references: Mapping[str, str]) -> None:
    """Forget what `keep` has put away for a cloud, of these references by name; what others keep stays."""
    _file(cloud).unlink(missing_ok=True)
    ours = [name for name, text in references.items() if text == f"keyring:{_service(cloud)}/{name}"]
    keyring = _keyring() if ours else None
    for name in ours if keyring is not None else ():
        try:
            keyring.delete_password(_service(cloud), name)  # type: ignore[union-attr]
        except keyring.errors.KeyringError:  # type: ignore[union-attr]
            continue  # it is gone, or locked: nothing leads to it any more


def _keyring() -> Any:
    """Return the package keyring when a real one can be opened, else None."""
    try:
        keyring: Any = importlib.import_module("keyring")
        return keyring if keyring.get_keyring().priority >= 1 else None
    except (ImportError, RuntimeError):
        return None


def _service(cloud: str) -> str:
    return f"cloudms-{cloud}"


def _file(cloud: str) -> Path:
    return paths.home() / "credentials" / cloud
