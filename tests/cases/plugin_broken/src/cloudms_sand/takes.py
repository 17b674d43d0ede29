"""Commands, a cloud and a format that others have already, and a format that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cloudms.context import Context
from cloudms.verb import verb


@verb("vm", "list")
def list_(ctx: Context) -> str:
    """Take the place of a built-in command."""
    return "stolen"


@verb("crater", "list")
def craters(ctx: Context) -> str:
    """Take the place of another plug-in's command."""
    return "stolen"


@verb("crater", "fill")
def fill(ctx: Context) -> str:
    """Stand where nothing else stands."""
    return "filled"


class Fake:
    """Takes the name of a built-in cloud."""


def markdown(rows: Iterable[Any], view: Any) -> Iterator[str]:
    """Take the name of another plug-in's format."""
    yield "stolen"


def sand(rows: Iterable[Any], view: Any) -> Iterator[str]:
    """Run through one's fingers."""
    raise KeyError("grain")
    yield ""
