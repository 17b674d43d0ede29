"""Where cloudms keeps its files: one folder, ~/.cloudmesh, so that an existing one of the ancestors is found."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the folder of all local state: $CLOUDMESH_CONFIG_DIR, else ~/.cloudmesh."""
    chosen = os.environ.get("CLOUDMESH_CONFIG_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cloudmesh"


def private(folder: Path) -> Path:
    """Create `folder` (mode 0700) with its parents where missing, and return it."""
    if not folder.parent.exists():
        private(folder.parent)  # mkdir(parents=True) would let the umask decide about the parents
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def catalog() -> Path:
    """Return the default catalog file."""
    return home() / "catalog.sqlite"


def cache() -> Path:
    """Return the folder of what can be thrown away: parsed files and indexes."""
    return home() / "cache"


def images() -> Path:
    """Return the folder of built, pulled and added images."""
    return home() / "images"


def keys() -> Path:
    """Return the folder of private keys made by cloudms, each file 0600."""
    return home() / "keys"


def known_hosts() -> Path:
    """Return the file of pinned host keys, in OpenSSH's format."""
    return home() / "known_hosts"
