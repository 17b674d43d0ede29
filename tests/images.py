"""Images that tests boot: built once per run of ./test, into the store that CMS_TEST_IMAGES names.

Without that variable (pytest called by hand) every user builds its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudms.images.build import build
from cloudms.images.store import ImageStore, StoredImage

VARIABLE = "CMS_TEST_IMAGES"


def ensure(name: str, otherwise: Path) -> StoredImage:
    """Return the image from the run's store, or from `otherwise` when there is none; built when it is missing."""
    root = Path(os.environ.get(VARIABLE) or otherwise)
    with _folder_for_packages(root.parent / "packages"):
        return build(name, store=ImageStore(root))


def provide(name: str, home: Path) -> None:
    """Put the image into the store of a home, as hard links where that is possible."""
    target = home / ".cloudmesh" / "images"
    if not os.environ.get(VARIABLE):
        ensure(name, target)
        return
    image = ensure(name, target)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(image.folder, target / name, copy_function=_link)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@contextmanager
def _folder_for_packages(folder: Path) -> Iterator[None]:
    """Let the builder keep what it fetches beside the store, not in the home of the test."""
    before = os.environ.get("CLOUDMESH_CONFIG_DIR")
    os.environ["CLOUDMESH_CONFIG_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CLOUDMESH_CONFIG_DIR"]
        else:
            os.environ["CLOUDMESH_CONFIG_DIR"] = before
