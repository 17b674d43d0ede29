"""Fixtures over the images that live tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudms.images.store import StoredImage
from tests.images import ensure


def built(name: str, factory: pytest.TempPathFactory) -> Iterator[StoredImage]:
    """Give the image `name` of this test run."""
    yield ensure(name, factory.mktemp("images") / "store")
