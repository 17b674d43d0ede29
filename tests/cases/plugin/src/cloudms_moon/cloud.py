"""A cloud on the moon: the pretend cloud, in a place of its own."""

from __future__ import annotations

from collections.abc import Iterator

from cloudms.clouds.base import Reach
from cloudms.clouds.fake import FakeCloud
from cloudms.model import Location


class MoonCloud(FakeCloud):
    """The pretend cloud with one more place, which can be struck by a meteorite."""

    kind = "moon"

    def reach(self) -> Reach:
        """Say that it is there, or stumble when the settings tell of a meteorite."""
        if self.setup.options.get("meteorite"):
            raise ZeroDivisionError("hit by a meteorite")
        return super().reach()

    def list_locations(self) -> Iterator[Location]:
        """Yield the places."""
        yield from super().list_locations()
        yield Location(name="tranquility", cloud=self.name, id="tranquility", country="moon")
