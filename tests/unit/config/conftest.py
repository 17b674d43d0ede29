"""A folder for the configuration of one test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def folder(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return ~/.cloudmesh, with nothing of the house in the environment."""
    for name in [name for name in os.environ if name.startswith("CLOUDMS_")]:
        monkeypatch.delenv(name)
    found = own_home / ".cloudmesh"
    found.mkdir(mode=0o700)
    return found
