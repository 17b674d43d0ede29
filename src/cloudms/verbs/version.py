"""Which version this is, and with what."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from cloudms import __version__
from cloudms.context import Context
from cloudms.verb import LOCAL, verb

EXTRAS = {
    "libvirt": ("libvirt", "pycdlib"),
    "aws": ("boto3",),
    "openstack": ("openstack", "keystoneauth1"),
    "rest": ("fastapi", "uvicorn", "multipart", "prometheus_client"),
    "ssh": ("asyncssh",),
    "keyring": ("keyring",),
    "postgres": ("psycopg",),
    "emulator": ("moto", "flask"),
}
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
        "extras": {name: is_installed(name) for name in EXTRAS},
    }


def is_installed(extra: str) -> bool:
    """Whether an optional part is installed; none needs nothing, and a plug-in's is its own affair."""
    return all(map(find_spec, EXTRAS.get(extra, ())))
