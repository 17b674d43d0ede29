"""Which version this is, and with what."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from cloudms import __version__
from cloudms.context import Context
from cloudms.verb import LOCAL, verb

_EXTRAS = {"libvirt": ("libvirt", "pycdlib")}
"""The modules that an extra of this distribution installs."""


@verb("version", doors=LOCAL, example="cms version -o json")
def version(ctx: Context) -> dict[str, Any]:
    """Show the version of cloudms, of Python and of this system, and which optional parts are installed."""
    import platform

    return {
        "kind": "version",
        "schema": 1,
        "cloudms": __version__,
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "platform": platform.platform(),
        "extras": {name: is_installed(name) for name in _EXTRAS},
    }


def is_installed(extra: str) -> bool:
    """Whether an optional part is installed; none needs nothing, and a plug-in's is its own affair."""
    return all(map(find_spec, _EXTRAS.get(extra, ())))
