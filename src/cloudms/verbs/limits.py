"""How much of a list is shown, as every verb says it."""

from __future__ import annotations

from typing import Annotated

from cloudms.verb import Doc, Least

Limit = Annotated[int, Doc("at most so many; 0 shows all"), Least(0)]
OwnLimit = Annotated[int | None, Doc("at most so many; 0 shows all"), Least(0)]
"""Where the number that is shown without it depends on who looks."""
