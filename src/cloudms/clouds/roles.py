"""The table of clouds and roles, made from the classes: what each kind of cloud can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms import registry
from cloudms.clouds.base import Cloud, all_roles


def role_table(kinds: Mapping[str, type[Cloud]]) -> list[dict[str, Any]]:
    """Return a row per role: its name, whether each kind of cloud has it, and its line for people."""
    return [
        {
            "kind": "role",
            "schema": 1,
            "name": role.name,
            **{kind: issubclass(cls, role) for kind, cls in kinds.items()},
            "text": (role.__doc__ or "").strip().partition("\n")[0].rstrip("."),
        }
        for role in all_roles()
    ]


def installed() -> tuple[dict[str, type[Cloud]], dict[str, str]]:
    """Return the class of every kind of cloud that is installed, and by kind why one cannot be imported."""
    found: dict[str, type[Cloud]] = {}
    broken: dict[str, str] = {}
    for kind in sorted(registry.index().families["cloudms.clouds"]):
        try:
            found[kind] = registry.load("cloudms.clouds", kind)
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything; it must not hide the other clouds)
            broken[kind] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found, broken
