"""Images that live tests share, built once per run into a store of the run's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudms.images.build import build
from cloudms.images.store import ImageStore, StoredImage


def built(name: str, factory: pytest.TempPathFactory) -> Iterator[StoredImage]:
    """Build the image `name` and give it; the apt cache and the store are the test run's."""
    folder = factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDMESH_CONFIG_DIR", str(folder / "home"))
        yield build(name, store=ImageStore(folder / "store"))
