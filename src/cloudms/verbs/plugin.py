"""Plug-ins: distributions that add commands, clouds, stores and formats."""

from __future__ import annotations

from typing import Any

from cloudms import registry
from cloudms.context import Context
from cloudms.verb import LOCAL, verb


@verb("plugin", "list", doors=LOCAL, columns=("name", "version", "adds", "broken"), example="cms plugin list")
def list_(ctx: Context) -> list[dict[str, Any]]:
    """List the installed plug-ins, what each adds, and what of it is left out or broken, and why."""
    return [
        {
            "kind": "plugin",
            "schema": 1,
            "name": plugin.name,
            "version": plugin.version,
            "adds": list(plugin.adds),
            "broken": plugin.broken,
        }
        for plugin in registry.plugins()
    ]
