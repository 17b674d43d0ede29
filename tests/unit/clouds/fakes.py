"""What the tests of the fake cloud share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudms.clock import Clock
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from cloudms.model import VmSpec

Open = Callable[..., FakeCloud]


def opener(folder: Path, clock: Clock) -> Open:
    """Return what opens a fake cloud whose state stands in `folder`, with the settings it is given."""

    def opened(owner: str = "ada", **options: Any) -> FakeCloud:
        settings = {"state": str(folder / "state.json"), "boot_seconds": 10, **options}
        return FakeCloud(Setup(name="fake", owner=owner, options=settings, clock=clock))

    return opened


def spec(name: str = "web", **more: Any) -> VmSpec:
    """Return a request for a VM whose token follows from its name."""
    values = {"token": f"token-{name}", "image": "micro", "flavor": "nano", "owner": "ada", **more}
    return VmSpec(name=name, **values)
